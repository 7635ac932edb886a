"""One-class detection on scikit-learn's digits: every second image of one class trains.

The rest of the class and all images of the others are the test set. Prints the area under the ROC
curve for every class, their mean and their minimum:

    python benchmarks/anomaly_digits.py
"""

import argparse

import numpy as np
from _results import Results
from sklearn.datasets import load_digits
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor

from sktn import SMPOAnomalyDetector
from sktn.anomaly import Sweep, TrainedSMPO


def detectors(max_iter):
    trained = TrainedSMPO(solver=Sweep(max_iter=max_iter))
    return {
        "SMPO, trained": SMPOAnomalyDetector(operator=trained, random_state=0),
        "SMPO, closed form": SMPOAnomalyDetector(random_state=0),
        "LOF": LocalOutlierFactor(novelty=True),
        "isolation forest": IsolationForest(random_state=0),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--max-iter", type=int, default=100)
    parser.add_argument("--classes", type=int, nargs="+", default=range(10))
    parser.add_argument("--detectors", nargs="+", default=list(detectors(1)), help="names")
    parser.add_argument("--out", help="file of results")
    arguments = parser.parse_args()
    results = Results(arguments.out, key=("detector", "digit"))
    X, y = load_digits(return_X_y=True)
    results.used("digits", X, y)
    X = X.astype(np.float32)
    print(f"{'detector':20s}", *(f"{c:>5d}" for c in arguments.classes), "   mean    min")
    for name, detector in detectors(arguments.max_iter).items():
        if name not in arguments.detectors:
            continue
        areas = []
        for digit in arguments.classes:
            train = np.flatnonzero(y == digit)[::2]
            test = np.setdiff1d(np.arange(len(y)), train)
            scores = detector.fit(X[train]).score_samples(X[test])
            areas.append(roc_auc_score(y[test] == digit, scores))
            results.add(detector=name, digit=int(digit), auroc=areas[-1])
        numbers = " ".join(f"{area:5.3f}" for area in areas)
        print(f"{name:20s} {numbers}  {np.mean(areas):.4f} {np.min(areas):.4f}", flush=True)


if __name__ == "__main__":
    main()
