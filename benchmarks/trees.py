"""Trees and chains at equal bond dimension: log-loss on tables, errors on images.

    python benchmarks/trees.py --data FOLDER --out benchmarks/results/trees.json
    python benchmarks/trees.py --images mnist.npz --bond-dims 4 8 16 --out FILE
    python benchmarks/trees.py --summary benchmarks/results/trees.json

Tables: 3-fold cross-validation (stratified, shuffled) on at most `--cap` rows of every table of
`tabular.py`. Degree, strength and landmarks are the same for all, so that only the network differs.
The summary counts the tables on which the tree's mean log-loss over the folds is not above the
chain's: not at all, or by less than a hundredth of it, or than standard errors of the differences.

Images: 6,000 images of MNIST, averaged to 14 x 14 pixels, one a site, tested on its 10,000 test
images. The chains read the rows of pixels, or a path on which neighbours stay neighbours
(`PixelOrder`); the tree halves the image (`grid_topology`). The strength is chosen once, in the
convex limit. With --out, what is in the result file is not computed again.
"""

import time
import warnings

import numpy as np
from _results import Results
from _tables import each_fit, labelled, parser_of
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from sktn import MPSClassifier, PixelOrder, PixelPooling, TTNClassifier, grid_topology
from sktn.chains.solvers import Sweep

BUNDLED = ("breast_cancer", "digits", "iris", "wine")
MODELS = {
    "chain as given": lambda **options: MPSClassifier(feature_order="given", **options),
    "chain ordered": MPSClassifier,
    "tree": TTNClassifier,
    "tree of halves": lambda **options: TTNClassifier(topology="halves", **options),
}
SIDE, N_IMAGES, SWEEPS = 14, 6000, 3


def image_model(name, alpha, bond_dim, landmarks):
    options = {
        "bond_dim": bond_dim,
        "degree": 1,
        "scaling": "common",
        "alpha": alpha,
        "max_landmarks": landmarks,
        "random_state": 0,
    }
    steps = [PixelPooling((28, 28)), Normalizer()]
    if name.startswith("tree"):
        tree = grid_topology((SIDE, SIDE))
        return make_pipeline(*steps, TTNClassifier(topology=tree, max_iter=SWEEPS, **options))
    if name == "chain ordered":
        steps.insert(1, PixelOrder((SIDE, SIDE)))
    options |= {"feature_order": "given"}
    return make_pipeline(*steps, MPSClassifier(solver=Sweep(max_iter=SWEEPS), **options))


def images(path, bond_dims, models, landmarks, results):
    with np.load(path) as data:
        X, y, X_test, y_test = (data[name] for name in ("X_train", "y_train", "X_test", "y_test"))
    results.used("mnist", X, y, X_test, y_test)
    rows = np.random.default_rng(0).permutation(len(X))[:N_IMAGES]
    X, y = X[rows].reshape(N_IMAGES, -1).astype(np.float32), y[rows]
    X_test, alpha = X_test.reshape(len(X_test), -1).astype(np.float32), None
    for bond_dim in bond_dims:
        for name in models:
            key = {"table": f"mnist {SIDE} x {SIDE}", "model": name, "fold": 0, "D": bond_dim}
            if results.has(**key) or name == "tree of halves":
                continue
            if alpha is None:
                limit = image_model("chain", "auto", 1, 500).set_params(
                    mpsclassifier__solver="convex"
                )
                alpha = limit.fit(X, y)[-1].alpha_
                print(f"alpha {alpha:.3g}", flush=True)
            start = time.process_time()
            model = image_model(name, alpha, bond_dim, landmarks).fit(X, y)
            seconds = time.process_time() - start
            proba = model.predict_proba(X_test)
            error = float(np.mean(proba.argmax(axis=1) != y_test))
            loss = log_loss(y_test, proba)
            results.add(**key, log_loss=loss, error=error, seconds=seconds, alpha=alpha)
            print(f"{name:16s} D={bond_dim:<3d} error {error:.4f} loss {loss:.4f} {seconds:.0f} s")


def fit_table(name, bond_dim, nominal, train, test):
    options = {"categorical_features": nominal} if nominal.any() else {}
    options |= {"bond_dim": bond_dim, "degree": 8, "random_state": 0}
    start = time.process_time()
    model = MODELS[name](**options).fit(*train)
    seconds = time.process_time() - start
    proba = model.predict_proba(test[0])
    loss = log_loss(test[1], proba, labels=model.classes_)
    error = np.mean(model.classes_[proba.argmax(axis=1)] != test[1])
    return {"log_loss": loss, "error": error, "seconds": seconds, "alpha": model.alpha_}


def summarise(rows):
    bond_dims = sorted({row["D"] for row in rows})
    tables = sorted({row["table"] for row in rows if not row["table"].startswith("mnist")})
    for D in bond_dims:

        def values(table, model, D=D, column="log_loss"):
            own = [r for r in rows if (r["table"], r["model"], r["D"]) == (table, model, D)]
            return np.array([r[column] for r in sorted(own, key=lambda r: r["fold"])])

        for tree in ("tree", "tree of halves"):
            for chain in ("chain ordered", "chain as given"):
                pairs = [(values(table, tree), values(table, chain)) for table in tables]
                differences = [a - b for a, b in pairs if len(a) == len(b) > 1]
                if not differences:
                    continue
                mean = np.array([d.mean() for d in differences])
                error = np.array([d.std(ddof=1) / np.sqrt(len(d)) for d in differences])
                level = np.array([b.mean() for a, b in pairs if len(a) == len(b) > 1])
                print(
                    f"D={D:<3d} {tree:15s} v {chain:15s} {len(mean)} tables: no worse on "
                    f"{np.sum(mean <= 1e-6)}, by a hundredth of the loss on "
                    f"{np.sum(mean <= 0.01 * level)}, by a standard error on "
                    f"{np.sum(mean <= error)}, by two on {np.sum(mean <= 2 * error)}; "
                    f"mean difference {mean.mean():+.4f}, median {np.median(mean):+.5f}"
                )
        for model in MODELS:
            found = [values(table, model) for table in tables]
            seconds = [values(table, model, column="seconds") for table in tables]
            if found and all(map(len, found)):
                loss, time_used = (np.mean([v.mean() for v in x]) for x in (found, seconds))
                print(f"D={D:<3d} {model:15s} log-loss {loss:.4f}, {time_used:.2f} CPU s a fit")
    for row in rows:
        if row["table"].startswith("mnist"):
            print(
                f"{row['table']} {row['model']:15s} D={row['D']:<3d} error {row['error']:.4f}, "
                f"log-loss {row['log_loss']:.4f}, {row['seconds']:.0f} CPU s"
            )


def main():
    parser = parser_of(__doc__, list(MODELS), cap=800, folds=3)
    parser.add_argument("--bond-dims", nargs="+", type=int, default=[4, 8])
    parser.add_argument("--images", help="file of MNIST: X_train, y_train, X_test, y_test")
    parser.add_argument("--landmarks", type=int, default=1000, help="of the images")
    arguments = parser.parse_args()
    results = Results(
        arguments.summary or arguments.out,
        key=("table", "model", "fold", "D"),
        again=arguments.again,
    )
    if arguments.summary:
        return summarise(results.rows)
    warnings.simplefilter("ignore")
    if arguments.images:
        images(
            arguments.images,
            arguments.bond_dims,
            arguments.models,
            arguments.landmarks,
            results,
        )
        return summarise(results.rows)

    def folds(X, y):
        split = StratifiedKFold(3, shuffle=True, random_state=0).split(X, y)
        return list(split)[: arguments.folds]

    for D in arguments.bond_dims:
        found = labelled(BUNDLED, arguments.data, arguments.cap, fewest=10, used=results.used)
        fits = each_fit(found, folds, arguments, lambda D=D, **key: results.has(**key, D=D))
        for key, (nominal, X, y, train, test) in fits:
            measured = fit_table(key["model"], D, nominal, (X[train], y[train]), (X[test], y[test]))
            results.add(**key, D=D, **measured)
    return summarise(results.rows)


if __name__ == "__main__":
    main()
