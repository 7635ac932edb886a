"""Do the tests bite? Random mutations of the package, each against the tests that run its line.

A mutant is one change of one place: another comparison or arithmetic operator, a negated condition,
another constant, a keyword argument left out, a function that returns at once. One run of the suite
notes which tests run which lines, and how long each takes; then every mutant is written into a copy
of the package, and the tests that run its line are tried on it, the quick ones first, until one
fails.

    python benchmarks/mutants.py --n 150 --seed 0 --folder tables --tests tests/tables

Prints a line a mutant, KILLED, SURVIVED, TIMEOUT (an endless loop: a test that took several times
as long as before) or UNTESTED (no test runs the line), and their numbers at the end. Survivors are
to be read: some change nothing that can be seen (a tolerance, a buffer's size, a message). Needs
`pytest-cov`.
"""

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = [p.name for p in sorted((ROOT / "sktn").iterdir()) if (p / "__init__.py").exists()]
# Tests that start processes of their own, or run whole scripts, see no mutant of the copy.
LEFT_OUT = ("documentation", "readme", "benchmarks", "common_jax")
# Seconds of tests per mutant: what thousands of quick checks of the whole add finds no more.
ENOUGH = 90.0
# A plugin that notes how long every test takes.
DURATIONS = """
import json, os
found = {}
def pytest_runtest_logreport(report):
    if report.outcome == "passed":
        found[report.nodeid] = found.get(report.nodeid, 0) + report.duration
def pytest_sessionfinish(session):
    with open(os.environ["DURATIONS"], "w") as file:
        json.dump(found, file)
"""

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


def covered(place, tests):
    """Which tests run which lines: one run of the suite or of a part of it, kept in a folder.

    -> coverage data, dict of test to seconds
    """
    from coverage import CoverageData

    data, seconds = Path(place, "lines"), Path(place, "durations.json")
    if not seconds.exists():
        Path(place, "durations.py").write_text(DURATIONS)
        ignored = [f"--ignore=tests/test_{name}.py" for name in LEFT_OUT]
        recorded = ["--cov=sktn", "--cov-context=test", "--cov-report=", "-p", "durations"]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(place)]),
            "COVERAGE_FILE": str(data),
            "DURATIONS": str(seconds),
        }
        command = [sys.executable, "-m", "pytest", *recorded, *ignored, *tests]
        subprocess.run(command, cwd=ROOT, env=environment, check=False)
    found = CoverageData(str(data))
    found.read()
    return found, json.loads(seconds.read_text())


def tests_of(path, line, found, seconds):
    """The tests that run a line, those that take least first. Lines that run on import belong to
    whatever test runs anything of the file.

    -> list of tests, their seconds in all
    """
    lines = found.contexts_by_lineno(str(path))
    names = {name.rpartition("|")[0] for name in lines.get(line, ())} - {""}
    if not names and line in lines:
        names = {name.rpartition("|")[0] for some in lines.values() for name in some} - {""}
    chosen, total = [], 0.0
    for name in sorted(names & seconds.keys(), key=seconds.get):
        if chosen and total + seconds[name] > ENOUGH:
            break
        chosen.append(name)
        total += seconds[name]
    return chosen, total


def verdict_on(path, source, tests, limit):
    """What tests say of a file's mutated source, and the one that failed."""
    with tempfile.TemporaryDirectory() as place:
        for name in ("sktn", "tests"):
            compiled = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, Path(place, name), ignore=compiled)
        shutil.copy(ROOT / "pyproject.toml", place)
        Path(place, path.relative_to(ROOT)).write_text(source)
        Path(place, "chosen").write_text("\n".join(tests))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "@chosen"]
        environment = {**os.environ, "PYTHONPATH": place, "PYTHONDONTWRITEBYTECODE": "1"}
        settings = {"cwd": place, "env": environment, "capture_output": True, "text": True}
        try:
            run = subprocess.run(command, timeout=limit, check=False, **settings)
        except subprocess.TimeoutExpired:
            return "TIMEOUT", ""
    lines = run.stdout.strip().splitlines() or run.stderr.strip().splitlines() or [""]
    first = next((line for line in lines if line.startswith(("FAILED", "ERROR"))), lines[-1])
    return "KILLED" if run.returncode else "SURVIVED", first[:100]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=20, help="mutants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", action="append", choices=FOLDERS, help="default: all of them")
    parser.add_argument("--tests", action="append", help="files or folders; default: all tests")
    parser.add_argument("--coverage", type=Path, help="folder that keeps the notes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found, seconds = covered(options.coverage or place, options.tests or ["tests"])
    rng = np.random.default_rng(options.seed)
    places = []
    for folder in options.folder or FOLDERS:
        for path in sorted((ROOT / "sktn" / folder).rglob("*.py")):
            n = len(mutations(ast.parse(path.read_text())))
            places += [(path, i) for i in range(n)]
    chosen = rng.choice(len(places), min(options.n, len(places)), replace=False)
    verdicts = Counter()
    for index in chosen:
        path, i = places[index]
        tree = ast.parse(path.read_text())
        line, text, change = mutations(tree)[i]
        change()
        begun = time.perf_counter()
        source = ast.unparse(ast.fix_missing_locations(tree))
        tests, total = tests_of(path, line, found, seconds)
        # Other work on the machine, and the start of a process, take their part.
        verdict, how = ("UNTESTED", "")
        if tests:
            verdict, how = verdict_on(path, source, tests, 60.0 + 5.0 * total)
        verdicts[verdict] += 1
        where = f"{path.relative_to(ROOT)}:{line}"
        text = " ".join(text.split())[:110]
        took = time.perf_counter() - begun
        print(f"{verdict:<8} {took:5.0f} s  {where}  {text}  [{how}]", flush=True)
    print(", ".join(f"{n} {verdict.lower()}" for verdict, n in verdicts.most_common()))


if __name__ == "__main__":
    main()
