"""Do the tests bite? Random mutations of the package, each against the tests of its folder.

A mutant is one change of one place: another comparison or arithmetic operator, a negated condition,
another constant, a keyword argument left out, a function that returns at once. It is written into
a copy of the package, and the tests of the same folder run on it until one fails.

    python benchmarks/mutants.py --n 150 --seed 0 --folder tables --folder solvers

Prints a line a mutant, KILLED, SURVIVED or TIMEOUT (no failure in the time given: an endless loop,
or tests that are slower), and their numbers at the end. Survivors are to be read: some
change nothing that can be seen (a tolerance, a buffer's size, a message).
"""

import argparse
import ast
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
FOLDERS = [p.name for p in sorted((ROOT / "sktn").iterdir()) if (ROOT / "tests" / p.name).is_dir()]
# What has its glue tested by the estimators that call it.
ALSO = {"tables": ["chains"], "solvers": ["chains"]}

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


def verdict_on(path, source, timeout):
    """What the tests of a file's folder say of its mutated source, and the test that failed."""
    folder = path.relative_to(ROOT / "sktn").parts[0]
    tests = [f"tests/{name}" for name in (folder, *ALSO.get(folder, ()))]
    with tempfile.TemporaryDirectory() as place:
        for name in ("sktn", "tests"):
            compiled = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, Path(place, name), ignore=compiled)
        shutil.copy(ROOT / "pyproject.toml", place)
        Path(place, path.relative_to(ROOT)).write_text(source)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", *tests]
        environment = {**os.environ, "PYTHONPATH": place, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            run = subprocess.run(
                [*command, "-p", "no:cacheprovider"],
                cwd=place,
                env=environment,
                timeout=timeout,
                capture_output=True,
                text=True,
                check=False,
            )
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
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds a mutant")
    options = parser.parse_args()
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
        verdict, how = verdict_on(path, source, options.timeout)
        verdicts[verdict] += 1
        where = f"{path.relative_to(ROOT)}:{line}"
        text = " ".join(text.split())[:110]
        seconds = time.perf_counter() - begun
        print(f"{verdict:<8} {seconds:5.0f} s  {where}  {text}  [{how}]", flush=True)
    print(", ".join(f"{n} {verdict.lower()}" for verdict, n in verdicts.most_common()))


if __name__ == "__main__":
    main()
