"""Sweeps beside Adam: area under the ROC curve of a detector that is trained.

    python benchmarks/detector_sweeps.py

One class of a table is normal; every second row of it trains, all others are the test.

Seconds are those of a second fit of the same shape, with those of the first, which compiles, in
brackets; means over the splits.
"""

import time
import warnings

import numpy as np
from sklearn import datasets
from sklearn.metrics import roc_auc_score

from sktn import SMPOAnomalyDetector
from sktn.anomaly import Adam, Sweep, TrainedSMPO

DETECTORS = {
    "sweep": Sweep(),
    "two-site sweep": Sweep(truncation_tol=0.1),
    "adam": Adam(),
}


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
    warnings.filterwarnings("ignore")
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
