"""Handwritten digits: a chain on the pixels of MNIST, beside scikit-learn's support vector machine.

    python benchmarks/mnist.py --data mnist.npz             28 x 28 pixels, 60,000 images
    python benchmarks/mnist.py --data mnist.npz --small     14 x 14 pixels, 6,000 images

The file holds X_train, y_train, X_test, y_test. Images are scaled to unit norm; patches of 2 x 2
pixels are read along a snake, single pixels where images are small. Pixels share a unit, which is
what ``scaling="common"`` is for. The strength alpha is chosen inside the training images.
"""

import argparse
import time
import warnings

import numpy as np
from _results import Results
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.svm import SVC

from sktn import MPSClassifier, PixelOrder, PixelPatches, PixelPooling
from sktn.chains.solvers import Adam, Sweep
from sktn.embeddings import Concatenated, Polynomial


def small_images(bond_dim):
    return make_pipeline(
        PixelPooling((28, 28)),
        PixelOrder((14, 14)),
        Normalizer(),
        MPSClassifier(
            bond_dim=bond_dim,
            degree=1,
            embedding="polynomial",
            scaling="common",
            feature_order="given",
            max_landmarks=3000,
            solver=Sweep(max_iter=3),
            random_state=0,
        ),
    )


def large_images(bond_dim, max_iter):
    return make_pipeline(
        PixelPatches((28, 28), patch_shape=2),
        Normalizer(),
        MPSClassifier(
            bond_dim=bond_dim,
            embedding=Concatenated(Polynomial(1), group=4),
            scaling="common",
            feature_order="given",
            solver=Adam(learning_rate=0.005, max_iter=max_iter),
            random_state=0,
        ),
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--bond-dim", type=int, default=24)
    parser.add_argument("--max-iter", type=int, default=12, help="epochs of the large images")
    parser.add_argument("--out", help="file of results")
    args = parser.parse_args()
    results = Results(args.out, key=("images", "model"))
    # Epochs are a budget here.
    warnings.simplefilter("ignore", ConvergenceWarning)

    data = np.load(args.data)
    X, X_test = (
        data[name].reshape(len(data[name]), -1).astype(np.float32) for name in ("X_train", "X_test")
    )
    y, y_test = data["y_train"], data["y_test"]
    results.used("mnist", X, y, X_test, y_test)
    if args.small:
        rows = np.random.default_rng(0).permutation(len(X))[:6000]
        X, y = X[rows], y[rows]
        models = {
            "MPSClassifier": small_images(args.bond_dim),
            "SVC": make_pipeline(PixelPooling((28, 28)), Normalizer(), SVC(C=10)),
        }
    else:
        models = {"MPSClassifier": large_images(args.bond_dim, args.max_iter)}
    for name, model in models.items():
        start = time.process_time()
        model.fit(X, y)
        seconds = time.process_time() - start
        accuracy = model.score(X_test, y_test)
        print(
            f"{name:15s} {len(X)} images, test accuracy {accuracy:.4f}, fitted in {seconds:.0f} s"
        )
        results.add(
            images=len(X), model=name, accuracy=accuracy, seconds=seconds, bond_dim=args.bond_dim
        )
        if name == "MPSClassifier":
            chain = model[-1]
            print(f"  bond dimension {chain.bond_dim}, epochs or sweeps {chain.n_iter_}")
            print(f"  alpha {chain.alpha_:g}")


if __name__ == "__main__":
    main()
