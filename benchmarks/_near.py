"""Which tests are near a place in the package: read from the names in the code."""

import ast
import heapq
from collections import defaultdict
from math import log2
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# These see defaults and bounds of parameters of all modules.
WHOLE = ("test_parameters", "test_docstrings")
# A name that stands for more things than this says nothing.
AMBIGUOUS = 30
# Functions of tests at most.
NEAREST = 60


def imported(tree):
    """Modules of the package that a file imports, or takes something from."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def mentioned(node):
    """Names in a piece of code, those of attributes and arguments (fixtures) included."""
    words = set()
    for n in ast.walk(node):
        words.add(getattr(n, "id", None) or getattr(n, "attr", None) or getattr(n, "arg", None))
    return words - {None}


def definitions(tree):
    """What a file defines: (name, node); methods under the name of their class."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in getattr(node, "targets", None) or [node.target]:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name):
                        yield name.id, node
        for inner in node.body if isinstance(node, ast.ClassDef) else []:
            if isinstance(inner, ast.FunctionDef):
                yield f"{node.name}.{inner.name}", inner


class Nearby:
    """Tests name what they call, and that names what it calls: how far tests are from everything.

    left_out: parts of names of files of tests. Of equals, the shorter are nearer, once `seconds` is
    told.
    """

    def __init__(self, left_out=()):
        self.left_out = left_out
        paths = [*(ROOT / "sktn").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
        trees = {path: ast.parse(path.read_text()) for path in sorted(paths)}
        self.nodes, everywhere, modules = {}, defaultdict(list), {}
        for path, tree in trees.items():
            modules[dotted(path)] = path
            for name, node in definitions(tree):
                self.nodes[path, name] = node
                if path.is_relative_to(ROOT / "sktn"):
                    everywhere[name.split(".")[-1]].append((path, name))
        self.modules = [path for path in trees if path.is_relative_to(ROOT / "sktn")]
        # What mentions a node, and how far it is: users[node] = [(distance, user), ..]
        self.users, self.seconds = defaultdict(list), defaultdict(lambda: 0.1)
        near_of = {
            path: [path, *(modules[m] for m in imported(tree) if m in modules)]
            for path, tree in trees.items()
        }
        for (path, name), node in self.nodes.items():
            for word in mentioned(node):
                found = [(p, word) for p in near_of[path] if (p, word) in self.nodes]
                found = found or everywhere[word]
                for other in found if len(found) <= AMBIGUOUS else []:
                    self.users[other].append((1.0 + log2(len(found)), (path, name)))
            for inner in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(inner, ast.FunctionDef):
                    self.users[path, f"{name}.{inner.name}"].append((1.0, (path, name)))

    def order(self, path, place):
        """Functions of tests as (file, name), the nearest to a place in a file first."""
        around = [
            (node.end_lineno - node.lineno, key)
            for key, node in self.nodes.items()
            if key[0] == path and node.lineno <= place.lineno <= node.end_lineno
        ]
        start = min(around, key=lambda a: a[0])[1] if around else None
        heap, far = [(0.0, start)] if start else [], {}
        while heap:
            distance, key = heapq.heappop(heap)
            if key not in far:
                far[key] = distance
                for more, user in self.users[key]:
                    heapq.heappush(heap, (distance + more, user))
        if start and (isinstance(self.nodes[start], ast.ClassDef) or "__init__" in start[1]):
            far |= {key: 2.0 for key in self.nodes if key[0].stem in WHOLE}
        tests = {}
        for (file, name), distance in far.items():
            if name.startswith("test_") and file.is_relative_to(ROOT / "tests"):
                test = str(file.relative_to(ROOT)), name
                if not any(part in file.stem for part in self.left_out):
                    tests[test] = distance + 0.5 * log2(1.0 + 10.0 * self.seconds[test])
        return sorted(tests, key=tests.get)[:NEAREST]


def dotted(path):
    """-> name of a module"""
    *folders, name = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(folders if name == "__init__" else [*folders, name])
