"""CIFAR-10, a subset: patches and pooling for chains of several bond dimensions, and rivals.

    python benchmarks/cifar10.py --data cifar10_subset.npz

The file holds X_train, y_train, X_test, y_test, images of (32, 32, 3). Every model sees the same
number of training images. "pooled": 8 x 8 x 3 means of windows of 4 x 4, one pixel a site;
"patches": 16 x 16 x 3, patches of 2 x 2 pixels a site. --picture FILE draws the results that
there are.
"""

import argparse
import time
import warnings

import numpy as np
from _results import FOLDER, Results, read
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sktn import MPSClassifier, PixelOrder, PixelPatches, PixelPooling
from sktn.chains.solvers import Adam
from sktn.embeddings import Concatenated, Polynomial


def chain(bond_dim, kind, epochs):
    window, steps = (4, [PixelOrder((8, 8, 3))]) if kind == "pooled" else (2, [])
    group = 3
    if kind == "patches":
        steps, group = [PixelPatches((16, 16, 3), patch_shape=2)], 12
    embedding = Concatenated(Polynomial(2 if kind == "pooled" else 1), group=group)
    model = MPSClassifier(
        bond_dim=bond_dim,
        embedding=embedding,
        scaling="common",
        feature_order="given",
        solver=Adam(max_iter=epochs, learning_rate=0.005),
        random_state=0,
    )
    return make_pipeline(PixelPooling((32, 32, 3), window=window), *steps, model)


def models(args):
    for kind in ("pooled", "patches"):
        for bond_dim in args.bond_dims:
            yield f"MPS, {kind}", bond_dim, chain(bond_dim, kind, args.epochs)
    for bond_dim in args.bond_dims:
        components = make_pipeline(
            PCA(40, random_state=0), MPSClassifier(bond_dim=bond_dim, degree=4, random_state=0)
        )
        yield "MPS, 40 components", bond_dim, components
    logistic = LogisticRegression(C=0.01, max_iter=300)
    yield "logistic regression", 0, make_pipeline(StandardScaler(), PCA(100), logistic)
    yield "kernel SVM", 0, make_pipeline(PCA(100, whiten=False), StandardScaler(), SVC())


def picture(rows, path):
    import matplotlib.pyplot as plt

    fig, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for name in dict.fromkeys(row["model"] for row in rows):
        own = sorted((r["bond_dim"], r["accuracy"]) for r in rows if r["model"] == name)
        if own[0][0]:
            axis.plot(*zip(*own, strict=True), "o-", label=name)
        else:
            axis.axhline(own[0][1], label=name, color="0.3", ls="--" if "SVM" in name else ":")
    axis.set(xscale="log", xlabel="bond dimension", ylabel="test accuracy")
    bonds = sorted({row["bond_dim"] for row in rows} - {0})
    axis.set_xticks(bonds, bonds, minor=False)
    axis.set_xticks([], minor=True)
    axis.legend(fontsize="small")
    fig.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--images", type=int, default=3000, help="of training")
    parser.add_argument("--bond-dims", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", default=FOLDER / "cifar10.json", help="file of results")
    parser.add_argument("--picture", metavar="FILE")
    args = parser.parse_args()
    if args.picture:
        return picture(read(args.out)[0], args.picture)
    if args.data is None:
        parser.error("--data is needed: a file of images")
    # Epochs are a budget here.
    warnings.simplefilter("ignore", ConvergenceWarning)
    with np.load(args.data) as data:
        X, X_test = (
            data[name].reshape(len(data[name]), -1).astype(np.float32) / 255
            for name in ("X_train", "X_test")
        )
        y, y_test = data["y_train"], data["y_test"]
    X, y = X[: args.images], y[: args.images]
    results = Results(args.out, key=("model", "bond_dim", "images"))
    results.used("cifar10", X, y)
    for name, bond_dim, model in models(args):
        began = time.process_time()
        model.fit(X, y)
        found = {"cpu_s": time.process_time() - began, "accuracy": model.score(X_test, y_test)}
        if hasattr(model, "predict_proba"):
            found["log_loss"] = log_loss(y_test, model.predict_proba(X_test))
        results.add(model=name, bond_dim=bond_dim, images=args.images, **found)
        print(name, bond_dim, *(f"{v:.4g}" for v in found.values()), flush=True)
    return None


if __name__ == "__main__":
    main()
