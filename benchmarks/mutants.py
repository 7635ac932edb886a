"""Do the tests bite? Random mutations of the package, each against the tests that are near it.

A mutant is one change of one place: another comparison or arithmetic operator, a negated condition,
another constant, a keyword argument left out, a function that returns at once. All tests are
collected once. Then every mutant has a child of this process, in which the code of its function is
replaced (outside functions: a copy of the package is imported) and tests are tried until one fails
or `--seconds` of CPU time are over: those first from which the fewest and least ambiguous names
lead to the place, see `_near.py`, of equals the shorter. Most mutants that fall do so in a second.

    python benchmarks/mutants.py --n 150 --seed 0
    python benchmarks/mutants.py --n 20 --folder tables
    python benchmarks/mutants.py --n 150 --seed 0 --only 7 31 --seconds 60
    python benchmarks/mutants.py --again mutants.log

Prints a line a mutant, KILLED, SURVIVED, TIMEOUT (an endless loop) or UNTESTED (no test is near),
and their numbers at the end. Survivors are to be read. Tests further off may see them: try again
with more seconds; `--again` tries those that a file of such lines tells, after the code has
changed, too. Some change nothing that can be seen; of 150 with seed 11 those were

- checks of the program against itself: `zip(strict=True)`, `dataclass(frozen=True)`;
- numbers of rows, widths of blocks, seeds, and which of two exact routes is taken for cheaper;
- thresholds and starts of searches that try more after them;
- the division of what is zero, and directions of size zero, which are left out later.
"""

import argparse
import ast
import gc
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType

import numpy as np
import pytest
from _near import ROOT, Nearby, dotted

FOLDERS = [p.name for p in sorted((ROOT / "sktn").iterdir()) if (p / "__init__.py").exists()]
# Tests that start processes of their own, or run whole scripts, see no mutant.
LEFT_OUT = ("documentation", "readme", "benchmarks", "common_jax", "hostile")
# What takes seconds to import, and has nothing of the package in it.
LIBRARIES = "jax.numpy sklearn.ensemble scipy.stats pandas polars matplotlib.pyplot optax"
# CPU seconds of a mutant, whatever its tests do, and seconds of waiting.
LIMIT, PATIENCE = 60, 900
# Instances that are tried at once of a test that has parameters.
INSTANCES = 8

SWAPS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.USub: ast.UAdd,
}


# A line that is printed for a mutant.
_LINE = (
    r" *(?P<number>\d+) (?P<verdict>[A-Z]+) .* s  (?P<path>[^ :]+):(?P<at>\d+)  (?P<text>.*)  \["
)


def shown(text):
    return " ".join(text.split())[:110]


def other_constant(value):
    """-> a value of the same type that is not the same, or None where there is no telling"""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return 2.0 * value if value else 1.0
    return None


def mutations(tree):
    """The changes of a module: (node, sentence, function that applies it to the tree)."""
    found = []

    def add(node, text, change):
        found.append((node, text, change))

    def swap(node, owner, field):
        old = getattr(owner, field)
        ops = old if isinstance(old, list) else [old]
        if type(ops[0]) in SWAPS:
            new = SWAPS[type(ops[0])]()
            text = f"{type(ops[0]).__name__} -> {type(new).__name__}"
            add(
                node,
                f"{text} in {ast.unparse(node)}",
                lambda: setattr(owner, field, [new, *ops[1:]] if isinstance(old, list) else new),
            )

    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            swap(node, node, "ops")
        elif isinstance(node, ast.BinOp | ast.BoolOp | ast.UnaryOp | ast.AugAssign):
            swap(node, node, "op")
        elif isinstance(node, ast.If | ast.IfExp | ast.While):
            negated = ast.UnaryOp(ast.Not(), node.test)
            text = f"not ({ast.unparse(node.test)})"
            add(node, text, lambda n=node, t=negated: setattr(n, "test", t))
        elif isinstance(node, ast.Constant) and other_constant(node.value) is not None:
            new = other_constant(node.value)
            text = f"{node.value!r} -> {new!r}"
            add(node, text, lambda n=node, v=new: setattr(n, "value", v))
        elif isinstance(node, ast.Call):
            for keyword in node.keywords:
                text = f"without {ast.unparse(keyword)} in {ast.unparse(node)}"
                add(node, text, lambda n=node, k=keyword: n.keywords.remove(k))
        elif isinstance(node, ast.FunctionDef) and len(node.body) > 1:
            name = node.args.args[0].arg if node.args.args else "None"
            value = ast.parse(name, mode="eval").body
            text = f"{node.name} returns {ast.unparse(value)} at once"
            add(node, text, lambda n=node, v=value: n.body.insert(0, ast.Return(v)))
    return found


def survivors(lines):
    """-> {number: place} of what was not killed in the lines of an earlier run: the mutant of the
    same sentence that is nearest to the line where it was"""
    found = {}
    for line in lines:
        parts = re.match(_LINE, line)
        if parts and parts["verdict"] != "KILLED":
            path, at = ROOT / parts["path"], int(parts["at"])
            tree = ast.parse(path.read_text() if path.exists() else "")
            same = [
                (abs(node.lineno - at), i)
                for i, (node, text, _) in enumerate(mutations(tree))
                if shown(text) == parts["text"]
            ]
            if same:
                found[int(parts["number"])] = path, min(same)[1]
            else:
                print(f"{parts['number']:>3} GONE  {parts['path']}  {parts['text']}")
    return found


def function_of(item):
    """-> file, name of a test's function"""
    file, *_, name = item.nodeid.split("[")[0].split("::")
    return file, name


def arranged(items, order):
    """Tests of the functions that are to be tried in their order, a few instances of each first."""
    rank, found, chosen = {test: i for i, test in enumerate(order)}, Counter(), []
    for item in items:
        test = function_of(item)
        found[test] += 1
        if test in rank:
            chosen.append((rank[test] + 5 * (found[test] // INSTANCES), len(chosen), item))
    return [item for *_, item in sorted(chosen)]


class Watch:
    """A plugin that tells the first test that failed, the seconds of all, and when it is enough."""

    def __init__(self, order, enough):
        self.order, self.enough, self.failed, self.seconds = order, enough, None, {}

    def over(self):
        return self.failed is not None or time.process_time() > self.enough

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        items[:] = arranged(items, self.order)

    def pytest_runtest_logreport(self, report):
        if report.failed and self.failed is None:
            self.failed = report.nodeid
        test = "::".join(function_of(report))
        self.seconds[test] = max(self.seconds.get(test, 0.0), report.duration)

    def pytest_runtest_protocol(self, item):
        item.session.shouldstop = self.over() and "enough"


class Mutants:
    """A plugin that tries mutants in children of a session that has collected all tests.

    A child has everything imported. It gets the mutant's code in place of that of the function; if
    the mutant is outside the bodies of functions, it imports the package again, from a copy.
    """

    def __init__(self, chosen, place, enough):
        self.chosen, self.place, self.enough, self.nearby = chosen, place, enough, Nearby(LEFT_OUT)
        self.verdicts = Counter()

    def pytest_runtestloop(self, session):
        self.session = session
        for path in self.nearby.modules:
            import_module(dotted(path))
        # Code objects are compared by value, so a function is known by its file and line.
        self.functions = defaultdict(list)
        for f in gc.get_objects():
            if isinstance(f, FunctionType):
                code = f.__code__
                self.functions[code.co_filename, code.co_qualname, code.co_firstlineno].append(f)
        gc.freeze()  # or each child copies all that its first collection touches
        for number, (path, i) in self.chosen.items():
            tree = ast.parse(path.read_text())
            node, text, change = mutations(tree)[i]
            order = self.nearby.order(path, node)
            change()
            compile(ast.fix_missing_locations(tree), str(path), "exec")
            begun = time.perf_counter()
            verdict, how = self.verdict(path, tree, node, order)
            self.verdicts[verdict] += 1
            where, took = f"{path.relative_to(ROOT)}:{node.lineno}", time.perf_counter() - begun
            line = f"{number:>3} {verdict:<8} {took:5.0f} s  {where}  {shown(text)}  [{how}]"
            print(line, flush=True)
        return True

    def verdict(self, path, tree, node, order):
        if not order:
            return "UNTESTED", ""
        functions = (f for f in ast.walk(tree) if isinstance(f, ast.FunctionDef))
        inside = any(f.body[0].lineno <= node.lineno <= f.end_lineno for f in functions)
        run = self.run_here if inside else self.run_afresh
        note = self.place / "note.json"
        note.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))
            signal.alarm(PATIENCE)
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            watch = Watch(order, self.enough)
            try:
                run(path, tree, watch)
            except BaseException as error:
                watch.failed = watch.failed or f"{type(error).__name__}: {error}"[:100]
            note.write_text(json.dumps([watch.failed, watch.seconds, time.process_time()]))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if not note.exists():
            return "TIMEOUT", f"status {status}"
        failed, seconds, spent = json.loads(note.read_text())
        for test, duration in seconds.items():
            self.nearby.seconds[tuple(test.split("::"))] = duration
        return (
            ("KILLED", failed) if failed else ("SURVIVED", f"{len(seconds)} tests, {spent:.0f} s")
        )

    def run_here(self, path, tree, watch):
        """The tests that are collected, after the code of a file's functions has been replaced."""

        def replace(code):
            for inner in code.co_consts:
                if isinstance(inner, CodeType):
                    key = str(path), inner.co_qualname, inner.co_firstlineno
                    for function in self.functions[key]:
                        function.__code__ = inner
                    replace(inner)

        replace(compile(tree, str(path), "exec"))
        self.session.config.pluginmanager.register(watch)
        items = arranged(self.session.items, watch.order)
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if watch.over():
                break

    def run_afresh(self, path, tree, watch):
        """A run of pytest of its own, on the copy."""
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", "")).startswith(str(ROOT)):
                del sys.modules[name]
        target = self.place / path.relative_to(ROOT)
        # What was compiled of this file is of another mutant.
        for old in (target.parent / "__pycache__").glob(f"{path.stem}.*"):
            old.unlink()
        os.chdir(self.place)
        os.environ["PYTHONPATH"] = str(self.place)
        sys.path[:] = [str(self.place), *(p for p in sys.path if not p.startswith(str(ROOT)))]
        try:
            target.write_text(ast.unparse(tree))
            files = sorted({file for file, _ in watch.order})
            code = pytest.main(["-x", "-p", "no:cacheprovider", *files], plugins=[watch])
            if code and watch.failed is None and not watch.seconds:
                watch.failed = "it cannot be imported"
        finally:
            shutil.copy(path, target)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=20, help="mutants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=12, help="of CPU for tests of a mutant")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of them, to try these again")
    parser.add_argument("--again", type=Path, help="lines of an earlier run: try its survivors")
    parser.add_argument("--folder", action="append", choices=FOLDERS, help="default: everything")
    options = parser.parse_args()
    for name in LIBRARIES.split():
        import_module(name)
    # No backend of JAX is started here: children may.
    warnings.filterwarnings("ignore", message=".*os.fork", category=RuntimeWarning)
    rng = np.random.default_rng(options.seed)
    places = []
    for folder in options.folder or [""]:
        for path in sorted((ROOT / "sktn" / folder).rglob("*.py")):
            n = len(mutations(ast.parse(path.read_text())))
            places += [(path, i) for i in range(n)]
    drawn = rng.permutation(len(places))[: options.n]
    chosen = {k: places[drawn[k]] for k in options.only or range(len(drawn))}
    if options.again:
        chosen = survivors(options.again.read_text().splitlines())
    with tempfile.TemporaryDirectory() as place:
        for name in ("sktn", "tests", "doc", "benchmarks"):
            left_out = shutil.ignore_patterns("_build", "auto_examples", "generated")
            shutil.copytree(ROOT / name, Path(place, name), ignore=left_out)
        shutil.copy(ROOT / "pyproject.toml", place)
        mutants = Mutants(chosen, Path(place), options.seconds)
        os.chdir(ROOT)
        left_out = [f"--ignore-glob=*{name}*" for name in LEFT_OUT]
        pytest.main(["-q", "-s", "-p", "no:cacheprovider", *left_out, "tests"], plugins=[mutants])
    print(", ".join(f"{n} {verdict.lower()}" for verdict, n in mutants.verdicts.most_common()))


if __name__ == "__main__":
    main()
