"""Do the tests bite? Random mutations of the package, each against the tests that are near it.

A mutant is one change of one place: another comparison or arithmetic operator, a negated condition,
another constant, a keyword argument left out, a function that returns at once. It is written into a
copy of the package, and the tests are tried on it that are likely to see it, until one fails: first
those of its own file (of its name, or that import it or name its classes), then those of modules
that use it, then the rest of its folder, until a minute is over.

    python benchmarks/mutants.py --n 150 --seed 0
    python benchmarks/mutants.py --n 20 --folder tables

Prints a line a mutant, KILLED, SURVIVED, TIMEOUT (an endless loop) or UNTESTED (no test is near),
and their numbers at the end. Survivors are to be read: some change nothing that can be seen (a
tolerance, a buffer's size, a message).
"""

import argparse
import ast
import os
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from importlib import import_module
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = [p.name for p in sorted((ROOT / "sktn").iterdir()) if (p / "__init__.py").exists()]
# Tests that start processes of their own, or run whole scripts, see no mutant of the copy.
LEFT_OUT = ("documentation", "readme", "benchmarks", "common_jax", "hostile")
# These see defaults and bounds of parameters of all modules.
WHOLE = ("test_parameters", "test_docstrings")
# What takes seconds to import, and has nothing of the package in it.
LIBRARIES = "jax.numpy sklearn.ensemble scipy.stats pandas polars matplotlib.pyplot optax"
# CPU seconds of tests a mutant, which the last of them may exceed, but not endlessly.
ENOUGH, LIMIT = 60, 240
OUT_OF_TIME = "these tests have taken long enough"

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
    """The changes of a module: (line, sentence, function that applies it to the tree)."""
    found = []

    def add(node, text, change):
        found.append((node.lineno, text, change))

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
            value = ast.Name(node.args.args[0].arg) if node.args.args else ast.Constant(None)
            text = f"{node.name} returns {ast.unparse(value)} at once"
            add(node, text, lambda n=node, v=value: n.body.insert(0, ast.Return(v)))
    return found


def imported(path):
    """Names of the modules of the package that a file imports, or takes something from."""
    found = set()
    package = path.relative_to(ROOT).parent.parts if path.is_relative_to(ROOT / "sktn") else ()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            up = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*up, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def dotted(path):
    """-> name of a module of the package, the folders that it is in"""
    *folders, name = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(folders if name == "__init__" else [*folders, name]), folders


class Nearby:
    """Which tests are near a module: read from names and imports, nothing is run."""

    def __init__(self):
        tests = sorted((ROOT / "tests").rglob("test_*.py"))
        tests = [path for path in tests if not re.search("|".join(LEFT_OUT), path.stem)]
        self.tests = {path: imported(path) for path in tests}
        self.modules = {path: imported(path) for path in sorted((ROOT / "sktn").rglob("*.py"))}

    def own(self, path):
        """Tests of its name or of its folder's, and those that import it or name its classes."""
        module, folders = dotted(path)
        names = (f"test_{path.stem}.py", f"test_{folders[-1]}.py")
        places = [ROOT / "tests" / Path(*folders[1:]), ROOT / "tests"]
        called = [p for p in self.tests if p.name in names and p.parent in places]
        body = ast.parse(path.read_text()).body
        classes = {node.name for node in body if isinstance(node, ast.ClassDef)}
        importing = [p for p, names in self.tests.items() if module in names]
        naming = [p for p in self.tests if classes & set(re.findall(r"\w+", p.read_text()))]
        return list(dict.fromkeys(called + importing + naming))

    def files(self, path):
        """Files of tests in the order in which they are tried."""
        module, folders = dotted(path)
        users = [p for p, names in self.modules.items() if module in names and p.stem != "__init__"]
        place, package = ROOT / "tests" / Path(*folders[1:2]), ".".join(folders[:2])
        rounds = (
            self.own(path),
            [p for user in users for p in self.own(user)],
            [
                p
                for p, names in self.tests.items()
                if p.parent == place or package in names or p.stem in WHOLE
            ],
        )
        return [str(p.relative_to(ROOT)) for p in dict.fromkeys(chain(*rounds))]


class Enough:
    """A plugin that ends a run whose tests have taken long enough."""

    over = False

    def pytest_runtest_logfinish(self):
        self.over = time.process_time() > ENOUGH

    def pytest_runtest_protocol(self, item):
        item.session.shouldstop = self.over and OUT_OF_TIME


def run_tests(place, files):
    """One run of pytest in a child of this process, which has all large libraries in it already.

    -> status, what it printed
    """
    with tempfile.TemporaryFile("w+") as output:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                os.chdir(place)
                os.environ["PYTHONPATH"] = str(place)
                sys.path.insert(0, str(place))
                options = ["-x", "-q", "-p", "no:cacheprovider", *files]
                code = int(pytest.main(options, plugins=[Enough()]))
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        return status, output.read().strip().splitlines() or [""]


def verdict_on(place, path, source, files):
    """What tests say of a file's mutated source, and the one that failed."""
    target = place / path.relative_to(ROOT)
    # What was compiled of this file is of another mutant.
    for old in (target.parent / "__pycache__").glob(f"{path.stem}.*"):
        old.unlink()
    try:
        target.write_text(source)
        status, lines = run_tests(place, files)
    finally:
        shutil.copy(path, target)
    if status > 2:
        raise RuntimeError("pytest itself failed:\n" + "\n".join(lines))
    if status < 0:
        return "TIMEOUT", f"signal {-status}"
    if status == 0 or OUT_OF_TIME in "".join(lines[-3:]):
        return "SURVIVED", lines[-1][:100]
    failed = (line for line in lines if line.startswith(("FAILED", "ERROR")))
    return "KILLED", next(failed, lines[-1])[:100]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=20, help="mutants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip", type=int, default=0, help="go on after so many")
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
    chosen = rng.permutation(len(places))[: options.n][options.skip :]
    verdicts, nearby = Counter(), Nearby()
    with tempfile.TemporaryDirectory() as place:
        for name in ("sktn", "tests", "doc", "benchmarks"):
            left_out = shutil.ignore_patterns("_build", "auto_examples", "generated")
            shutil.copytree(ROOT / name, Path(place, name), ignore=left_out)
        shutil.copy(ROOT / "pyproject.toml", place)
        for index in chosen:
            path, i = places[index]
            tree = ast.parse(path.read_text())
            line, text, change = mutations(tree)[i]
            change()
            begun = time.perf_counter()
            source = ast.unparse(ast.fix_missing_locations(tree))
            files = nearby.files(path)
            verdict, how = "UNTESTED", ""
            if files:
                verdict, how = verdict_on(Path(place), path, source, files)
            verdicts[verdict] += 1
            where = f"{path.relative_to(ROOT)}:{line}"
            text = " ".join(text.split())[:110]
            took = time.perf_counter() - begun
            print(f"{verdict:<8} {took:5.0f} s  {where}  {text}  [{how}]", flush=True)
    print(", ".join(f"{n} {verdict.lower()}" for verdict, n in verdicts.most_common()))


if __name__ == "__main__":
    main()
