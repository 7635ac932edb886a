"""Regression on tables: R^2, RMSE and seconds beside other models.

    python benchmarks/tabular_regression.py --out reg.csv [--data FOLDER] [--models MPS,HGB]
    python benchmarks/tabular_regression.py --summary reg.csv [more.csv ...]

5-fold cross-validation (shuffled, seed 0) on at most `--cap` rows (seed 0). Tables: scikit-learn's
diabetes and, from the folder, files .npz with X (floats, NaN missing), y and optionally `cat`, a
mask of nominal columns. Nominal columns are one-hot encoded, missing values replaced by the median
for models that do not take them; both inside the training folds. Rows already in the file are
skipped, so that a run can be taken up again.
"""

import argparse
import csv
import glob
import os
import time
import warnings

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVR

FIELDS = ["dataset", "n", "d", "model", "fold", "r2", "rmse", "fit_s", "predict_s"]


def scaled(model):
    """Standardised columns and target, missing values imputed."""
    pipeline = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), model)
    return TransformedTargetRegressor(pipeline, transformer=StandardScaler())


def search(model, grid):
    return GridSearchCV(model, grid, cv=3, scoring="neg_mean_squared_error")


def lightgbm():
    from lightgbm import LGBMRegressor

    return LGBMRegressor(random_state=0, n_jobs=1, verbose=-1)


def mps(**params):
    from sktn import MPSRegressor

    return MPSRegressor(random_state=0, **params)


def mps_cv():
    from sktn import MPSRegressorCV

    return MPSRegressorCV(random_state=0)


SVR_GRID = {"C": [1, 10, 100], "gamma": ["scale", 0.1, 0.02], "epsilon": [0.05]}
NYSTROEM_GRID = {"nystroem__gamma": [0.01, 0.03, 0.1, 0.3]}
MODELS = {
    "Ridge": lambda: scaled(RidgeCV(np.logspace(-3, 4, 15))),
    "kNN": lambda: scaled(
        search(KNeighborsRegressor(weights="distance"), {"n_neighbors": [3, 5, 10, 20]})
    ),
    "SVR_grid": lambda: scaled(search(SVR(), SVR_GRID)),
    "RF300": lambda: RandomForestRegressor(300, n_jobs=1, random_state=0),
    "HGB": lambda: HistGradientBoostingRegressor(random_state=0),
    "LGBM": lightgbm,
    "MLP": lambda: scaled(
        MLPRegressor(
            hidden_layer_sizes=(100, 100), early_stopping=True, max_iter=300, random_state=0
        )
    ),
    "Nys1000+Ridge": lambda: scaled(
        search(
            make_pipeline(
                Nystroem(n_components=1000, random_state=0), RidgeCV(np.logspace(-4, 1, 6))
            ),
            NYSTROEM_GRID,
        )
    ),
    "MPS": mps,
    "MPSCV": mps_cv,
}
# These take missing values and nominal columns as they are.
OWN_COLUMNS = {"MPS", "MPSCV"}
OWN_MISSING = {"HGB", "LGBM", "RF300", *OWN_COLUMNS}


def tables(folder):
    yield "diabetes", *load_diabetes(return_X_y=True), np.zeros(10, bool)
    for path in sorted(glob.glob(os.path.join(folder, "*.npz")) if folder else []):
        with np.load(path) as file:
            X, y = file["X"].astype(float), file["y"].astype(float)
            cat = file["cat"].astype(bool) if "cat" in file else np.zeros(X.shape[1], bool)
        yield os.path.basename(path)[:-4], X, y, cat


def build(name, cat):
    model = MODELS[name]()
    if name in OWN_COLUMNS:
        return model.set_params(categorical_features=cat if cat.any() else None)
    if not cat.any():
        return model
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False, max_categories=20)
    columns = make_column_transformer(
        (encoder, np.flatnonzero(cat)), remainder="passthrough", sparse_threshold=0
    )
    return make_pipeline(columns, model)


def run(args):
    done = set()
    if os.path.exists(args.out):
        with open(args.out) as file:
            done = {(r["dataset"], r["model"], r["fold"]) for r in csv.DictReader(file)}
    else:
        with open(args.out, "w") as file:
            csv.writer(file).writerow(FIELDS)
    for dataset, X, y, cat in tables(args.data):
        if args.datasets and dataset not in args.datasets.split(","):
            continue
        if len(y) > args.cap:
            rows, _ = train_test_split(np.arange(len(y)), train_size=args.cap, random_state=0)
            X, y = X[rows], y[rows]
        for name in args.models.split(","):
            folds = KFold(5, shuffle=True, random_state=0).split(X)
            for fold, (train, test) in enumerate(folds):
                if fold >= args.folds or (dataset, name, str(fold)) in done:
                    continue
                start = time.perf_counter()
                model = build(name, cat).fit(X[train], y[train])
                fitted = time.perf_counter()
                predicted = model.predict(X[test])
                row = [
                    dataset,
                    *X.shape,
                    name,
                    fold,
                    r2_score(y[test], predicted),
                    root_mean_squared_error(y[test], predicted),
                    fitted - start,
                    time.perf_counter() - fitted,
                ]
                with open(args.out, "a") as file:
                    csv.writer(file).writerow(row)
                print(*row, flush=True)


def summarise(paths):
    import pandas as pd

    rows = pd.concat([pd.read_csv(path) for path in paths])
    table = rows.groupby(["dataset", "model"]).r2.mean().unstack()
    print(table.round(4).to_string(), "\n")
    complete = table.dropna()
    report = pd.DataFrame(
        {
            "mean rank": complete.rank(axis=1, ascending=False).mean(),
            "mean R2": complete.mean(),
            "fit s": rows.groupby("model").fit_s.mean(),
        }
    )
    print(f"{len(complete)} tables that all models have")
    print(report.sort_values("mean rank").round(3).to_string())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default="tabular_regression.csv")
    parser.add_argument("--data", help="folder of .npz tables")
    parser.add_argument("--datasets", help="names, comma-separated")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--cap", type=int, default=5000)
    parser.add_argument("--folds", type=int, default=5, help="how many of the 5 to run")
    parser.add_argument("--summary", nargs="+", metavar="CSV")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    summarise(args.summary) if args.summary else run(args)


if __name__ == "__main__":
    main()
