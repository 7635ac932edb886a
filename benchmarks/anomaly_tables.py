"""Anomaly detection on tables, beside seventeen other detectors.

    python benchmarks/anomaly_tables.py
    python benchmarks/anomaly_tables.py --data FOLDER --seeds 3 --out benchmarks/results/anomaly.csv
    python benchmarks/anomaly_tables.py --summary benchmarks/results/anomaly.csv

Tables: breast cancer (benign is normal) and every FOLDER/**/*.npz with X and y (1 = anomaly).
"one-class": a random half of the normal rows trains, the others and all anomalies are the test.
"unsupervised": all rows train, without labels, and are scored. At most `--cap` rows of a kind.
Columns are standardised by the training rows. Prints the mean area under the ROC curve and the mean
rank of every detector. Results are lines of the file as soon as they are known, with date, commit
and machine, and what is in the file is not computed again.
"""

import argparse
import csv
import os
import platform
import subprocess
import time
import warnings
from datetime import date
from pathlib import Path

import numpy as np
from anomaly_rivals import DETECTORS, with_pyod
from scipy.stats import rankdata
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

FIELDS = (
    *("table", "rows", "columns", "anomalies", "seed", "protocol", "detector"),
    *("auroc", "auprc", "fit_seconds", "score_seconds", "error", "date", "commit", "machine"),
)


def origin():
    """Where and from what the figures are: date, commit and machine."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    ).stdout.strip()
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs"
    return {"date": date.today().isoformat(), "commit": commit, "machine": machine}


def tables(folder):
    """(name, X, y) with y = 1 for anomalies"""
    X, y = load_breast_cancer(return_X_y=True)
    yield "breast_cancer", X, 1 - y
    for path in sorted(Path(folder).glob("**/*.npz")) if folder else []:
        data = np.load(path)
        yield path.stem, data["X"].astype(float), data["y"].ravel().astype(int)


def split(y, seed, cap, protocol):
    """Rows that train and rows that are scored"""
    rng = np.random.default_rng(seed)
    normal, strange = (rng.permutation(np.flatnonzero(y == label)) for label in (0, 1))
    if protocol == "unsupervised":
        rows = rng.permutation(len(y))[:cap]
        return rows, rows
    half = len(normal) // 2
    return normal[:half][:cap], np.concatenate([normal[half:][:cap], strange[:cap]])


def measure(make, seed, X, y, train, test):
    scaler = StandardScaler().fit(X[train])
    start = time.perf_counter()
    detector = make(seed).fit(scaler.transform(X[train]))
    fitted = time.perf_counter()
    scores = detector.score_samples(scaler.transform(X[test]))
    return {
        "auroc": roc_auc_score(y[test], -scores),
        "auprc": average_precision_score(y[test], -scores),
        "fit_seconds": fitted - start,
        "score_seconds": time.perf_counter() - fitted,
        "error": "",
    }


def read(path):
    if not path or not Path(path).exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def summarise(rows):
    """Mean areas and mean ranks over the tables that all detectors have."""
    for protocol in sorted({row["protocol"] for row in rows}):
        cells = {}
        for row in rows:
            if row["protocol"] == protocol and not row["error"]:
                key = row["table"], row["detector"]
                cells.setdefault(key, []).append((float(row["auroc"]), float(row["fit_seconds"])))
        names = sorted({name for _, name in cells})
        found = sorted({table for table, _ in cells})
        # A detector that fails on most tables would leave no table for the others.
        names = [name for name in names if sum((t, name) in cells for t in found) > len(found) / 2]
        found = [table for table in found if all((table, name) in cells for name in names)]
        areas = np.array([[np.mean(cells[t, k], axis=0) for k in names] for t in found])
        ranks = rankdata(-areas[:, :, 0], axis=1).mean(axis=0)
        print(f"{protocol}, {len(found)} tables\n{'detector':20s} AUROC   rank  fit, median s")
        for k in np.argsort(ranks):
            area, seconds = areas[:, k, 0].mean(), np.median(areas[:, k, 1])
            print(f"{names[k]:20s} {area:.4f} {ranks[k]:6.2f} {seconds:8.2f}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="folder of .npz tables")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cap", type=int, default=10_000, help="rows at most, of either kind")
    parser.add_argument("--protocol", choices=("one-class", "unsupervised"), default="one-class")
    parser.add_argument("--detectors", help="names with commas between; default: all but trained")
    parser.add_argument("--out", help="file of results, read and extended")
    parser.add_argument("--summary", help="print what a file of results says, compute nothing")
    arguments = parser.parse_args()
    if arguments.summary:
        return summarise(read(arguments.summary))
    warnings.simplefilter("ignore")
    detectors = with_pyod(DETECTORS)
    default = [name for name in detectors if name != "SMPO trained"]
    names = arguments.detectors.split(",") if arguments.detectors else default
    rows = read(arguments.out)
    done = {tuple(row[k] for k in ("table", "seed", "protocol", "detector")) for row in rows}
    for table, X, y in tables(arguments.data):
        for seed in range(arguments.seeds):
            train, test = split(y, seed, arguments.cap, arguments.protocol)
            for name in names:
                if (table, str(seed), arguments.protocol, name) in done:
                    continue
                try:
                    found = measure(detectors[name], seed, X, y, train, test)
                except ValueError as error:
                    # An elliptic envelope has no covariance where columns are dependent.
                    found = {"error": str(error).splitlines()[0][:100]}
                row = {"table": table, "rows": len(y), "columns": X.shape[1]}
                row |= {"anomalies": int(y.sum()), "seed": seed, "protocol": arguments.protocol}
                row |= {"detector": name, **found, **origin()}
                rows.append(row)
                if arguments.out:
                    append(arguments.out, row)
        print(table, flush=True)
    return summarise(rows)


def append(path, row):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if new:
            writer.writeheader()
        writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})


if __name__ == "__main__":
    main()
