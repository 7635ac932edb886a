"""Result files: what was measured, and what it takes to measure it again.

    results = Results(arguments.out, key=("table", "model", "fold"))
    results.used("sonar", X, y)
    if not results.has(table="sonar", model="MPS", fold=0):
        results.add(table="sonar", model="MPS", fold=0, accuracy=0.87, seconds=1.2)

A file is JSON: "rows", one line each, and "runs", which say for rows of the same number when, from
what commit, where, by what command, with what packages and on what data they were measured. A row
of a new run takes the place of the old row with the same key. Every row is in the file as soon as
it is added, so that a run that ends early can be taken up again.
"""

import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "results"
PACKAGES = ("numpy", "scipy", "scikit-learn", "jax", "sktn")
# Digits of results beyond these are noise.
DIGITS = 6


def digest(*arrays):
    """A hash of numbers and strings, whatever file and type of float or integer they came in."""
    found = hashlib.sha256()
    for array in map(np.asarray, arrays):
        kind = {"f": np.float64, "i": np.int64, "u": np.int64, "b": np.int64}
        array = array.astype(kind.get(array.dtype.kind, "U"))
        found.update(f"{array.dtype.kind}{array.shape}".encode())
        # All NaN are one, and so are both zeros.
        if array.dtype.kind == "f":
            array = np.where(np.isnan(array), np.nan, array) + 0.0
        found.update(
            "\0".join(array.ravel()).encode() if array.dtype.kind == "U" else array.tobytes()
        )
    return found.hexdigest()[:16]


def git(*words):
    folder = Path(__file__).parent
    return subprocess.run(
        ["git", *words], capture_output=True, text=True, cwd=folder
    ).stdout.strip()


def command():
    """The command line, without the folders of this machine."""
    words = []
    for word in sys.argv[1:]:
        path = Path(word)
        inside = word and (path.is_dir() or path.suffix in {".npz", ".json"})
        words.append(word if not inside else "FOLDER" if path.is_dir() else path.name)
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])


def this_run(packages=()):
    """Date, the last commit that changed sktn (with a + where it has changes that are not
    committed), machine, command and versions."""
    changed = "+" if git("status", "--porcelain", "--", "../sktn") else ""
    versions = {}
    for name in (*PACKAGES, *packages):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "date": date.today().isoformat(),
        "commit": git("log", "-1", "--format=%h", "--", "../sktn") + changed,
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "command": command(),
        "python": platform.python_version(),
        "packages": versions,
        "data": {},
    }


class Results:
    """Rows of one benchmark in the file at `path` (None: kept in memory only).

    key: the columns that say what was measured. packages: rivals whose versions are written down.
    again: rows of earlier runs count as missing for `has`.
    """

    def __init__(self, path, key, packages=(), again=False):
        self.path, self.key, self.again = path and Path(path), tuple(key), again
        self.runs, self.rows = [], []
        if self.path and self.path.exists():
            stored = json.loads(self.path.read_text())
            self.runs, self.rows = stored["runs"], stored["rows"]
        self.runs.append(this_run(packages))
        self.run = len(self.runs) - 1

    def used(self, name, *arrays):
        """Note the hash of a table or tensor that is measured in this run."""
        self.runs[self.run]["data"][str(name)] = digest(*arrays)

    def _key(self, row):
        return tuple(row[column] for column in self.key)

    def has(self, **key):
        return any(
            self._key(row) == self._key(key) and not (self.again and row["run"] != self.run)
            for row in self.rows
        )

    def add(self, **row):
        row = {name: rounded(value) for name, value in row.items()}
        self.rows = [old for old in self.rows if self._key(old) != self._key(row)]
        self.rows.append({**row, "run": self.run})
        if self.path:
            self.write()

    def write(self):
        """Rows in the order of their keys, runs without rows left out."""
        kept = sorted({row["run"] for row in self.rows})
        runs = [self.runs[k] for k in kept]
        rows = [{**row, "run": kept.index(row["run"])} for row in self.rows]
        rows.sort(key=lambda row: tuple(map(str, self._key(row))))
        lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
        text = f'{{\n "runs": {json.dumps(runs, indent=2)},\n "rows": [\n{lines}\n ]\n}}\n'
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.path.with_suffix(".part")
        scratch.write_text(text)
        scratch.replace(self.path)


def rounded(value):
    """A plain number of a few digits; what is not a number as it is."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
    return value


def read(path):
    """(rows, runs) of a result file."""
    stored = json.loads(Path(path).read_text())
    return stored["rows"], stored["runs"]
