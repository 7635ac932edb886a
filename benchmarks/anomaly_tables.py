"""Anomaly detection on tables, beside the detectors of `anomaly_rivals.py`.

    python benchmarks/anomaly_tables.py
    python benchmarks/anomaly_tables.py --data FOLDER --seeds 3 --out anomaly.json
    python benchmarks/anomaly_tables.py --summary anomaly.json

Tables: breast cancer (benign is normal) and every FOLDER/**/*.npz with X and y (1 = anomaly).
"one-class": a random half of the normal rows trains, the others and all anomalies are the test.
"unsupervised": all rows train, without labels, and are scored. At most `--cap` rows of a kind.
Columns are standardised by the training rows. Prints the mean area under the ROC curve and the mean
rank of every detector. What is in the result file is not computed again.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from _results import Results
from anomaly_rivals import DETECTORS, with_pyod
from scipy.stats import rankdata
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import StandardScaler


def tables(folder):
    """(name, X, y) with y = 1 for anomalies"""
    X, y = load_breast_cancer(return_X_y=True)
    yield "breast_cancer", X, 1 - y
    for path in sorted(Path(folder).glob("**/*.npz")) if folder else []:
        data = np.load(path)
        # ADBench numbers its files.
        name = path.stem.lstrip("0123456789").removeprefix("_")
        yield name, data["X"].astype(float), data["y"].ravel().astype(int)


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
    start = time.process_time()
    detector = make(seed).fit(scaler.transform(X[train]))
    fitted = time.process_time()
    scores = detector.score_samples(scaler.transform(X[test]))
    return {
        "auroc": roc_auc_score(y[test], -scores),
        "auprc": average_precision_score(y[test], -scores),
        "fit_seconds": fitted - start,
        "score_seconds": time.process_time() - fitted,
    }


def report(rows, protocol):
    """(tables, {detector: mean area, mean rank, median seconds of a fit}) over the tables that all
    detectors have, best rank first"""
    cells = {}
    for row in rows:
        if row["protocol"] == protocol and "error" not in row:
            cell = cells.setdefault((row["table"], row["detector"]), [])
            cell.append((row["auroc"], row["fit_seconds"]))
    names = sorted({name for _, name in cells})
    found = sorted({table for table, _ in cells})
    # A detector that fails on most tables would leave no table for the others.
    names = [name for name in names if sum((t, name) in cells for t in found) > len(found) / 2]
    found = [table for table in found if all((table, name) in cells for name in names)]
    areas = np.array([[np.mean(cells[t, k], axis=0) for k in names] for t in found])
    ranks = rankdata(-areas[:, :, 0], axis=1).mean(axis=0)
    return found, {
        names[k]: (areas[:, k, 0].mean(), ranks[k], np.median(areas[:, k, 1]))
        for k in np.argsort(ranks)
    }


def summarise(rows):
    for protocol in sorted({row["protocol"] for row in rows}):
        found, detectors = report(rows, protocol)
        print(f"{protocol}, {len(found)} tables\n{'detector':20s} AUROC   rank  fit, median s")
        for name, (area, rank, seconds) in detectors.items():
            print(f"{name:20s} {area:.4f} {rank:6.2f} {seconds:8.2f}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="folder of .npz tables")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cap", type=int, default=10_000, help="rows at most, of either kind")
    parser.add_argument("--protocol", choices=("one-class", "unsupervised"), default="one-class")
    parser.add_argument("--tables", nargs="+", help="names; default: all")
    parser.add_argument("--detectors", nargs="+", help="names; default: all but the trained one")
    parser.add_argument("--out", help="file of results, read and extended")
    parser.add_argument("--again", action="store_true", help="measure what the file has already")
    parser.add_argument("--summary", help="print what a file of results says, compute nothing")
    arguments = parser.parse_args()
    results = Results(
        arguments.summary or arguments.out,
        key=("table", "seed", "protocol", "detector"),
        packages=("pyod",),
        again=arguments.again,
    )
    if arguments.summary:
        return summarise(results.rows)
    warnings.simplefilter("ignore")
    detectors = with_pyod(DETECTORS)
    names = arguments.detectors or [name for name in detectors if name != "SMPO trained"]
    for table, X, y in tables(arguments.data):
        if arguments.tables and table not in arguments.tables:
            continue
        results.used(table, X, y)
        for seed in range(arguments.seeds):
            train, test = split(y, seed, arguments.cap, arguments.protocol)
            if len(np.unique(y[test])) < 2:
                # Among few rows of many there may be no anomaly at all.
                continue
            for name in names:
                key = {"table": table, "seed": seed, "protocol": arguments.protocol}
                key["detector"] = name
                if results.has(**key):
                    continue
                try:
                    found = measure(detectors[name], seed, X, y, train, test)
                except ValueError as error:
                    # An elliptic envelope has no covariance where columns are dependent.
                    found = {"error": str(error).splitlines()[0][:100]}
                results.add(**key, rows=len(train), columns=X.shape[1], **found)
        print(table, flush=True)
    return summarise(results.rows)


if __name__ == "__main__":
    main()
