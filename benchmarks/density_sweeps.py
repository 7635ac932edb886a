"""Sweeps beside Adam: held-out log-likelihood of a density, area under the ROC curve of a detector.

    python benchmarks/density_sweeps.py [--part density|detector] [--splits 3] [--rows 5000]

density: scikit-learn's tables, a quarter held out, and a simulated one of `--rows` rows and 20
    columns. Adam without and with the ridge that sweeps have.
detector: one class of a table is normal; every second row of it trains, all others are the test.

Seconds are those of a second fit of the same shape, with those of the first, which compiles, in
brackets; means over the splits.
"""

import argparse
import time
import warnings

import numpy as np
from anomaly_speed import table
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from sktn import MPSDensityEstimator, SMPOAnomalyDetector
from sktn.anomaly import Adam, Sweep, TrainedSMPO

DENSITIES = {
    "sweep": {"solver": "sweep"},
    "two-site sweep": {"solver": "sweep", "truncation_tol": 0.1},
    "adam": {"solver": "adam"},
    "adam, alpha=0": {"solver": "adam", "alpha": 0.0},
    "auto": {},
}
DETECTORS = {
    "sweep": Sweep(),
    "two-site sweep": Sweep(truncation_tol=0.1),
    "adam": Adam(),
}


def densities(n_rows):
    """Tables whose density is wanted."""
    for name in ("iris", "wine", "breast_cancer"):
        yield name, getattr(datasets, f"load_{name}")().data
    yield (
        "digits, 16 components",
        PCA(16, random_state=0).fit_transform(datasets.load_digits().data),
    )
    yield "simulated", table(4 * n_rows // 3, 20, np.random.default_rng(0)).astype(np.float32)


def classes():
    """Tables and which rows of them are normal."""
    for name in ("digits", "breast_cancer", "wine"):
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        for label in np.unique(y):
            yield f"{name} {label}", X.astype(np.float32), y == label


def timed_fits(make, X):
    """The model and the seconds of a first and of a second fit."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        model = make().fit(X)
        seconds.append(time.perf_counter() - start)
    return model, seconds


def density_row(X, n_splits, params):
    found = []
    for split in range(n_splits):
        train, test = train_test_split(X, test_size=0.25, random_state=split)
        model, seconds = timed_fits(lambda: MPSDensityEstimator(random_state=0, **params), train)
        found.append((model.score(test), *seconds, model.n_iter_))
    return np.mean(found, axis=0)


def detector_row(X, normal, solver):
    ours = np.flatnonzero(normal)
    test = np.setdiff1d(np.arange(len(X)), ours[::2])
    operator = TrainedSMPO(solver=solver)
    model, seconds = timed_fits(
        lambda: SMPOAnomalyDetector(operator=operator, random_state=0), X[ours[::2]]
    )
    area = roc_auc_score(normal[test], model.score_samples(X[test]))
    return area, *seconds, model.n_iter_, model.loss_curve_[-1]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("density", "detector", "both"), default="both")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--rows", type=int, default=5000)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    if args.part != "detector":
        for name, X in densities(args.rows):
            for label, params in DENSITIES.items():
                score, cold, warm, n_iter = density_row(X, args.splits, params)
                print(
                    f"{name:24s} {label:16s} {score:8.3f} {warm:7.2f} s ({cold:6.2f} s), "
                    f"{n_iter:.0f} iterations",
                    flush=True,
                )
    if args.part != "density":
        rows = {label: [] for label in DETECTORS}
        for name, X, normal in classes():
            for label, solver in DETECTORS.items():
                rows[label].append(detector_row(X, normal, solver))
                area, cold, warm, n_iter, loss = rows[label][-1]
                print(
                    f"{name:24s} {label:16s} {area:8.4f} {warm:7.2f} s ({cold:6.2f} s), "
                    f"{n_iter:.0f} iterations, loss {loss:.3f}",
                    flush=True,
                )
        for label, values in rows.items():
            area, cold, warm, _, loss = np.mean(values, axis=0)
            print(f"mean {label:16s} {area:.4f} {warm:.2f} s ({cold:.2f} s), loss {loss:.3f}")


if __name__ == "__main__":
    main()
