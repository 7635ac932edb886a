"""Overfitting against the bond dimension, with and without the ridge, D to 400.

    python benchmarks/overfitting.py

All cores are trained at once by Adam from the constant function, as tn4ml does, on half of the
breast cancer table and of 569 rows of digits "3" or "8"; the other half judges. "ridge": the
strength that the default chooses inside the training rows; "none": 0. --picture FILE draws the
results that there are.
"""

import argparse
import time
import warnings

import numpy as np
from _results import FOLDER, Results, read
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from sktn import MPSClassifier
from sktn.chains.solvers import Adam


def tables():
    yield "breast_cancer", *load_breast_cancer(return_X_y=True)
    X, y = load_digits(return_X_y=True)
    rows = np.isin(y, (3, 8))
    yield "digits 3 v 8", X[rows], y[rows] == 8


def picture(rows, path):
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row["table"] for row in rows))
    fig, axes = plt.subplots(1, len(names), figsize=(9, 3.5), layout="constrained")
    for axis, name in zip(axes, names, strict=True):
        for ridge in ("ridge", "none"):
            for what, style in (("log_loss", "o-"), ("train_log_loss", "o:")):
                own = [r for r in rows if (r["table"], r["ridge"]) == (name, ridge)]
                bonds = sorted({r["bond_dim"] for r in own})
                mean = [np.mean([r[what] for r in own if r["bond_dim"] == D]) for D in bonds]
                label = f"{ridge}, {'held out' if what == 'log_loss' else 'training'}"
                axis.plot(bonds, np.maximum(mean, 1e-4), style, label=label)
        axis.set(xscale="log", yscale="log", xlabel="bond dimension", ylabel="log-loss", title=name)
    axes[0].legend(fontsize="small")
    fig.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bond-dims", type=int, nargs="+", default=[2, 10, 50, 200])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--out", default=FOLDER / "overfitting.json", help="file of results")
    parser.add_argument("--picture", metavar="FILE")
    args = parser.parse_args()
    if args.picture:
        return picture(read(args.out)[0], args.picture)
    # Epochs are a budget here.
    warnings.simplefilter("ignore", ConvergenceWarning)
    results = Results(args.out, key=("table", "bond_dim", "ridge", "seed"))
    for name, X, y in tables():
        results.used(name, X, y)
        for seed in range(args.seeds):
            X_train, X_test, y_train, y_test = train_test_split(
                X, y, test_size=0.5, stratify=y, random_state=seed
            )
            for D in args.bond_dims:
                for ridge, alpha in (("ridge", "auto"), ("none", 0.0)):
                    solver = Adam(init="constant", max_iter=args.epochs, n_iter_no_change=None)
                    model = MPSClassifier(
                        bond_dim=D, degree=2, alpha=alpha, solver=solver, random_state=seed
                    )
                    began = time.process_time()
                    model.fit(X_train, y_train)
                    found = {
                        "cpu_s": time.process_time() - began,
                        "accuracy": model.score(X_test, y_test),
                        "log_loss": log_loss(y_test, model.predict_proba(X_test)),
                        "train_log_loss": log_loss(y_train, model.predict_proba(X_train)),
                    }
                    results.add(table=name, bond_dim=D, ridge=ridge, seed=seed, **found)
                    print(name, D, ridge, seed, *(f"{v:.4g}" for v in found.values()), flush=True)
    return None


if __name__ == "__main__":
    main()
