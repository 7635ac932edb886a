"""What matters of the parameters of a chain: one at a time is moved away from its default.

Bond dimension, embedding, degree and scaling of MPSClassifier on tables with labels (held-out
log-loss); spacing of the outputs of a trained SMPO on tables with anomalies, trained on normal rows
(AUROC on others).
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from _results import Results
from _tables import labelled
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split

from sktn import MPSClassifier, SMPOAnomalyDetector
from sktn.anomaly import TrainedSMPO

TABLES = "breast_cancer wine diabetes vehicle phoneme segment ionosphere credit-g sonar digits"
ANOMALIES = (
    "2_annthyroid 22_magic.gamma 26_optdigits 29_Pima 30_satellite 32_shuttle 37_Stamps "
    "39_vertebral 41_Waveform 7_Cardiotocography"
)
GRID = {
    "bond_dim": (2, 4, 8, 16, 32),
    "degree": (1, 2, 4, 8, 16),
    "embedding": ("legendre", "fourier", "chebyshev", "polynomial", "trigonometric", "rbf"),
    "scaling": ("quantile", "standard", "minmax", "mixed"),
}
# The default that every parameter is compared with.
DEFAULT = {"bond_dim": 16, "degree": 8, "embedding": "legendre", "scaling": "quantile"}
SPACINGS = (1, 2, 4, 8, None)


def timed(model, *data):
    start = time.process_time()
    with warnings.catch_warnings():
        # Bases that suit a table badly are part of the study.
        warnings.simplefilter("ignore")
        model.fit(*data)
    return model, time.process_time() - start


def classifiers(results, folder, rows, seeds):
    names = TABLES.split()
    for name, X, y, nominal in labelled(("breast_cancer", "wine", "digits"), folder, 2 * rows):
        if name not in names:
            continue
        results.used(name, X, y)
        for seed in range(seeds):
            train, test, labels, truth = train_test_split(
                X, y, train_size=min(rows, len(y) // 2), stratify=y, random_state=seed
            )
            for parameter, values in GRID.items():
                for value in values:
                    key = {"table": name, "parameter": parameter, "value": value, "seed": seed}
                    if results.has(**key):
                        continue
                    model, seconds = timed(
                        MPSClassifier(
                            **{**DEFAULT, parameter: value},
                            categorical_features=nominal if nominal.any() else None,
                            random_state=seed,
                        ),
                        train,
                        labels,
                    )
                    loss = log_loss(truth, model.predict_proba(test), labels=model.classes_)
                    results.add(**key, measure="log-loss", score=loss, seconds=seconds)
        print(name, flush=True)


def detectors(results, folder, rows, seeds):
    for name in ANOMALIES.split():
        with np.load(Path(folder) / f"{name}.npz") as data:
            X, y = data["X"].astype(float), data["y"].ravel()
        results.used(name, X, y)
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            normal, other = rng.permutation(np.flatnonzero(y == 0)), np.flatnonzero(y == 1)
            train = normal[: min(rows, len(normal) // 2)]
            test = np.append(normal[len(train) : len(train) + rows], other[:rows])
            for spacing in SPACINGS:
                key = {"table": name, "parameter": "spacing", "value": spacing, "seed": seed}
                if results.has(**key):
                    continue
                operator = TrainedSMPO(spacing=spacing)
                model, seconds = timed(
                    SMPOAnomalyDetector(operator=operator, random_state=seed), X[train]
                )
                score = roc_auc_score(y[test], -model.score_samples(X[test]))
                results.add(**key, measure="AUROC", score=score, seconds=seconds)
        print(name, flush=True)


def differences(rows):
    """parameter -> values, mean differences from the default, their standard errors over tables,
    seconds relative to the default's, and on how many tables a value is worse"""
    found = {}
    defaults = {**DEFAULT, "spacing": None}
    for parameter in dict.fromkeys(row["parameter"] for row in rows):
        own = [row for row in rows if row["parameter"] == parameter]
        tables = sorted({row["table"] for row in own})
        values = list(SPACINGS if parameter == "spacing" else GRID[parameter])

        def mean(table, value, column, own=own):
            return np.mean([r[column] for r in own if r["table"] == table and r["value"] == value])

        score, seconds = (
            np.array([[mean(t, v, column) for v in values] for t in tables])
            for column in ("score", "seconds")
        )
        base = values.index(defaults[parameter])
        change = score - score[:, [base]]
        sign = -1 if own[0]["measure"] == "AUROC" else 1
        found[parameter] = {
            "values": values,
            "measure": own[0]["measure"],
            "mean": change.mean(axis=0),
            "error": change.std(axis=0, ddof=1) / np.sqrt(len(tables)),
            "worse": (sign * change > 0.005).sum(axis=0),
            "time": np.median(seconds / seconds[:, [base]], axis=0),
        }
    return found


def picture(found, path):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(9, 6), layout="constrained")
    for axis in axes.flat[len(found) :]:
        axis.remove()
    for axis, (parameter, part) in zip(axes.flat, found.items(), strict=False):
        place = np.arange(len(part["values"]))
        axis.axhline(0, color="0.7", linewidth=1)
        axis.errorbar(place, part["mean"], part["error"], fmt="o", capsize=3)
        labels = ["one" if value is None else str(value) for value in part["values"]]
        axis.set_xticks(place, labels, rotation=45)
        axis.set(title=parameter, ylabel=f"{part['measure']}, less the default's")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder of tables with labels, .npz")
    parser.add_argument("--anomalies", help="folder of tables with anomalies, .npz")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", help="result file")
    parser.add_argument("--picture", help="where to draw what is in the result file")
    args = parser.parse_args()
    results = Results(args.out, key=("table", "parameter", "value", "seed"))
    if args.data:
        classifiers(results, args.data, args.rows, args.seeds)
    if args.anomalies:
        detectors(results, args.anomalies, args.rows, args.seeds)
    found = differences(results.rows)
    for parameter, part in found.items():
        print(f"\n{parameter:<16s}{part['measure']:>12s}{'error':>8s}{'worse on':>10s}{'time':>7s}")
        for k, value in enumerate(part["values"]):
            print(
                f"{value!s:<16s}{part['mean'][k]:+12.4f}{part['error'][k]:8.4f}"
                f"{part['worse'][k]:10d}{part['time'][k]:7.2f}"
            )
    if args.picture:
        picture(found, args.picture)


if __name__ == "__main__":
    main()
