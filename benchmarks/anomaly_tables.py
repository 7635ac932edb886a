"""One-class detection on tables: a random half of the normal rows trains, all others are the test.

    python benchmarks/anomaly_tables.py
    python benchmarks/anomaly_tables.py --data FOLDER --seeds 3

Tables: breast cancer (benign is normal) and every FOLDER/*.npz with arrays X and y (1 = anomaly).
Columns are standardised by the training rows. Prints the area under the ROC curve of every table,
its mean and the mean rank.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
from scipy.stats import rankdata
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from sktn import SMPOAnomalyDetector

DETECTORS = {
    "SMPO": lambda seed: SMPOAnomalyDetector(random_state=seed),
    "KDE": lambda seed: KernelDensity(bandwidth="scott"),
    "LOF": lambda seed: LocalOutlierFactor(n_neighbors=20, novelty=True),
    "OCSVM": lambda seed: OneClassSVM(),
    "IForest": lambda seed: IsolationForest(random_state=seed),
}


def tables(folder):
    X, y = load_breast_cancer(return_X_y=True)
    yield "breast_cancer", X, 1 - y
    for path in sorted(Path(folder).glob("**/*.npz")) if folder else []:
        data = np.load(path)
        yield path.stem, data["X"].astype(float), data["y"].ravel()


def split(y, seed, cap):
    """Half of the normal rows, at most `cap`, and all others, of either kind at most `cap`."""
    rng = np.random.default_rng(seed)
    normal, strange = (rng.permutation(np.flatnonzero(y == label)) for label in (0, 1))
    half = len(normal) // 2
    return normal[:half][:cap], np.concatenate([normal[half:][:cap], strange[:cap]])


def area(detector, X, y, train, test):
    model = make_pipeline(StandardScaler(), detector).fit(X[train])
    return roc_auc_score(y[test] == 0, model.score_samples(X[test]))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="folder of .npz tables")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cap", type=int, default=10_000, help="rows at most, of either kind")
    parser.add_argument("--detectors", default=",".join(DETECTORS))
    arguments = parser.parse_args()
    names = arguments.detectors.split(",")
    warnings.simplefilter("ignore")
    print(f"{'area under the ROC curve':26s}" + "".join(f"{name:>9s}" for name in names))
    rows = []
    for table, X, y in tables(arguments.data):
        row = np.zeros(len(names))
        for seed in range(arguments.seeds):
            train, test = split(y, seed, arguments.cap)
            row += [area(DETECTORS[name](seed), X, y, train, test) for name in names]
        rows.append(row / arguments.seeds)
        print(f"{table:26s}" + "".join(f"{value:9.4f}" for value in rows[-1]), flush=True)
    ranks = rankdata(-np.array(rows), axis=1).mean(axis=0)
    print(f"{'mean':26s}" + "".join(f"{value:9.4f}" for value in np.mean(rows, axis=0)))
    print(f"{'mean rank':26s}" + "".join(f"{value:9.2f}" for value in ranks))


if __name__ == "__main__":
    main()
