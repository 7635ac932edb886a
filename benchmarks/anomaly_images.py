"""One digit of MNIST against all others, and the published operator's spacing and bond dimension.

    python benchmarks/anomaly_images.py --data mnist.npz
    python benchmarks/anomaly_images.py --data mnist.npz --part spacing --out anomaly_mnist.json

The file has arrays X_train, y_train, X_test and y_test of images, one byte or number a pixel.
"detectors": `--train` images of one digit train, `--test` images of all digits are scored; prints
the area under the ROC curve of every digit and detector. "spacing": the experiment of Wang and
others (arXiv:2006.02516): images pooled to 14 x 14, `TrainedSMPO` by output spacing and bond
dimension.
"""

import argparse

import numpy as np
from _results import Results
from anomaly_rivals import DETECTORS
from sklearn.metrics import roc_auc_score

from sktn import SMPOAnomalyDetector
from sktn.anomaly import TrainedSMPO

NAMES = ("SMPO", "SMPO projector", "SMPO trained", "kNN 5 mean", "LOF", "OCSVM", "IForest")
SPACINGS, BOND_DIMS = (None, 98, 49, 14, 7), (2, 5, 10)


def pooled(images):
    """Means of 2 x 2 pixels, flat and between 0 and 1: (b, height, width) -> (b, n) in float32"""
    b, height, width = images.shape
    blocks = images.astype(np.float32).reshape(b, height // 2, 2, width // 2, 2)
    return blocks.mean(axis=(2, 4)).reshape(b, -1) / max(1.0, float(images.max()))


def areas(make, data, digits, n_train, n_test):
    """The area under the ROC curve for every digit"""
    X, y, X_test, y_test = data
    found = []
    for digit in digits:
        detector = make().fit(X[np.flatnonzero(y == digit)[:n_train]])
        scores = detector.score_samples(X_test[:n_test])
        found.append(roc_auc_score(y_test[:n_test] == digit, scores))
    return found


def settings(part, names):
    if part == "detectors":
        return {name: (lambda name=name: DETECTORS[name](0)) for name in names}
    return {
        f"spacing {spacing}, bond dimension {bond_dim}": lambda s=spacing, D=bond_dim: (
            SMPOAnomalyDetector(operator=TrainedSMPO(spacing=s, bond_dim=D), random_state=0)
        )
        for spacing in SPACINGS
        for bond_dim in BOND_DIMS
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help=".npz file of images")
    parser.add_argument("--part", choices=("detectors", "spacing"), default="detectors")
    parser.add_argument("--detectors", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--digits", type=int, nargs="+", default=range(10))
    parser.add_argument("--train", type=int, default=500)
    parser.add_argument("--test", type=int, default=2000)
    parser.add_argument("--out", help="file of results, extended")
    arguments = parser.parse_args()
    results = Results(arguments.out, key=("part", "detector", "digit"))
    file = np.load(arguments.data)
    data = tuple(file[key] for key in ("X_train", "y_train", "X_test", "y_test"))
    results.used("images", *data)
    data = pooled(data[0]), data[1], pooled(data[2]), data[3]
    print(f"{'':32s}", *(f"{digit:>5d}" for digit in arguments.digits), "  mean")
    for name, make in settings(arguments.part, arguments.detectors).items():
        found = areas(make, data, arguments.digits, arguments.train, arguments.test)
        numbers = " ".join(f"{area:5.3f}" for area in found)
        print(f"{name:32s} {numbers} {np.mean(found):.4f}", flush=True)
        for digit, area in zip(arguments.digits, found, strict=True):
            results.add(part=arguments.part, detector=name, digit=digit, auroc=area)


if __name__ == "__main__":
    main()
