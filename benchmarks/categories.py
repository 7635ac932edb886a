"""Native category columns beside one-hot encoding of the same table with the same estimator.

    python benchmarks/categories.py FOLDER
    python benchmarks/categories.py FOLDER --cap 1500 --seeds 2 --models MPS --tables adult,sick

FOLDER/*.npz have arrays X (NaN = missing, codes in category columns), y, cat (bool a column). Two
stratified folds for every seed, at most `cap` rows. Prints the mean log-loss of both, the mean
difference and its standard error; last the mean over the tables.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from sktn import MPSClassifier, MPSClassifierCV

MODELS = {
    "MPS": lambda: MPSClassifier(random_state=0),
    "convex": lambda: MPSClassifier(solver="convex", random_state=0),
    "auto": lambda: MPSClassifier(solver="convex", missing="auto", random_state=0),
    "MPSCV": lambda: MPSClassifierCV(random_state=0),
    "HGB": lambda: HistGradientBoostingClassifier(
        categorical_features="from_dtype", random_state=0
    ),
}


def one_hot(model):
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_selector(dtype_include="category")
    return make_pipeline(
        make_column_transformer((encoder, columns), remainder="passthrough"), model
    )


def tables(folder, names, cap, seed):
    for path in sorted(Path(folder).glob("**/*.npz")):
        if names and path.stem not in names:
            continue
        data = np.load(path)
        if "cat" not in data.files or not data["cat"].any():
            continue
        rows = np.random.default_rng(seed).permutation(len(data["X"]))[:cap]
        X = pd.DataFrame(data["X"][rows]).add_prefix("x")
        for j in np.flatnonzero(data["cat"]):
            X[f"x{j}"] = pd.Categorical(X[f"x{j}"])
        yield path.stem, X, np.unique(data["y"][rows], return_inverse=True)[1]


def losses(make, X, y, seed):
    """Log-loss of every fold, of labels that were there to learn."""
    found = []
    for train, test in StratifiedKFold(2, shuffle=True, random_state=seed).split(X, y):
        model = make().fit(X.iloc[train], y[train])
        known = test[np.isin(y[test], model.classes_)]
        proba = model.predict_proba(X.iloc[known])
        found.append(log_loss(y[known], proba, labels=model.classes_))
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", help="folder of .npz tables")
    parser.add_argument("--cap", type=int, default=2000, help="most rows of a table")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--models", default="MPS", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--tables", default="", help="names of tables, default: all")
    args = parser.parse_args()
    names = args.tables.split(",") if args.tables else None
    for name in args.models.split(","):
        make, found, start = MODELS[name], {}, time.process_time()
        for seed in range(args.seeds):
            for table, X, y in tables(args.folder, names, args.cap, seed):
                native = losses(make, X, y, seed)
                encoded = losses(lambda make=make: one_hot(make()), X, y, seed)
                found.setdefault(table, []).extend(zip(native, encoded, strict=True))
        print(f"{name}: {time.process_time() - start:.0f} s of CPU")
        means = []
        for table, pairs in found.items():
            native, encoded = np.transpose(pairs)
            error = np.std(native - encoded) / np.sqrt(len(pairs))
            means.append(np.mean(native - encoded))
            print(
                f"  {table:24s} native {native.mean():.4f}  one-hot {encoded.mean():.4f}  "
                f"difference {means[-1]:+.4f} ({error:.4f})"
            )
        print(f"  mean {np.mean(means):+.4f}, largest {np.max(means):+.4f}", flush=True)


if __name__ == "__main__":
    main()
