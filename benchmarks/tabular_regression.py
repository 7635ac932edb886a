"""Regression on tables: R^2, RMSE and seconds beside other models.

    python benchmarks/tabular_regression.py --data FOLDER --cap 1000 --folds 3 --out regression.json
    python benchmarks/tabular_regression.py --summary regression.json

Cross-validation in five folds (shuffled, seed 0), of which the first `--folds` are run, on at most
`--cap` rows (seed 0). Tables: scikit-learn's diabetes and, from the folder, files .npz with X
(floats, NaN missing), y and optionally `cat`, a mask of nominal columns. Nominal columns are
one-hot encoded, missing values replaced by the median for models that do not take them; both inside
the training folds. What is in the result file is not computed again.
"""

import time
import warnings
from pathlib import Path

import numpy as np
from _results import Results
from _tables import each_fit, indicators, parser_of, read_table, scaled
from scipy.stats import rankdata
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from sktn import MPSRegressor, MPSRegressorCV


def standardised(model):
    """Standardised columns and target, missing values imputed."""
    return TransformedTargetRegressor(scaled(model), transformer=StandardScaler())


def search(model, grid):
    return GridSearchCV(model, grid, cv=3, scoring="neg_mean_squared_error")


def lightgbm():
    from lightgbm import LGBMRegressor

    return LGBMRegressor(random_state=0, n_jobs=1, verbose=-1)


SVR_GRID = {"C": [1, 10, 100], "gamma": ["scale", 0.1, 0.02], "epsilon": [0.05]}
NYSTROEM_GRID = {"nystroem__gamma": [0.01, 0.03, 0.1, 0.3]}
RIVALS = {
    "Nystroem + ridge": lambda: standardised(
        search(
            make_pipeline(
                Nystroem(n_components=1000, random_state=0), RidgeCV(np.logspace(-4, 1, 6))
            ),
            NYSTROEM_GRID,
        )
    ),
    "SVR, tuned": lambda: standardised(search(SVR(), SVR_GRID)),
    "random forest (300)": lambda: RandomForestRegressor(300, random_state=0),
    "hist. boosting": lambda: HistGradientBoostingRegressor(random_state=0),
    "LightGBM": lightgbm,
    "MLP": lambda: standardised(MLPRegressor((100, 100), max_iter=300, random_state=0)),
    "nearest neighbours": lambda: standardised(
        search(KNeighborsRegressor(weights="distance"), {"n_neighbors": [3, 5, 10, 20]})
    ),
    "ridge": lambda: standardised(RidgeCV(np.logspace(-3, 4, 15))),
}
MODELS = ("MPSRegressorCV", "MPSRegressor", *RIVALS)


def build(name, nominal):
    # Chains take nominal columns as they are.
    features = nominal if nominal.any() else None
    chain = MPSRegressor(categorical_features=features, random_state=0)
    if name == "MPSRegressor":
        return chain
    if name == "MPSRegressorCV":
        return MPSRegressorCV(estimator=chain, random_state=0)
    return indicators(RIVALS[name](), nominal)


def tables(folder, cap, used):
    """(name, X, y, nominal), at most `cap` rows; used: told the arrays of every whole table"""
    X, y = load_diabetes(return_X_y=True)
    found = [("diabetes", X, y, np.zeros(10, bool))]
    for path in sorted(Path(folder).glob("*.npz")) if folder else []:
        if path.stem != "diabetes_sklearn":
            found.append((path.stem, *read_table(path)))
    for name, X, y, nominal in found:
        used(name, X, y)
        rows = np.arange(len(y))
        if len(y) > cap:
            rows, _ = train_test_split(rows, train_size=cap, random_state=0)
        yield name, X[rows], y[rows].astype(float), nominal


def measure(name, nominal, X, y, train, test):
    start = time.process_time()
    model = build(name, nominal).fit(X[train], y[train])
    fitted = time.process_time()
    predicted = model.predict(X[test])
    return {
        "r2": r2_score(y[test], predicted),
        "rmse": root_mean_squared_error(y[test], predicted),
        "fit_seconds": fitted - start,
        "predict_seconds": time.process_time() - fitted,
    }


def report(rows):
    """(tables that all models have, {model: mean rank of R2, mean R2, mean seconds of a fit})"""
    cells = {}
    for row in rows:
        cell = cells.setdefault((row["table"], row["model"]), [])
        cell.append((row["r2"], row["fit_seconds"]))
    models = [name for name in MODELS if any(model == name for _, model in cells)]
    names = sorted({table for table, _ in cells})
    names = [table for table in names if all((table, model) in cells for model in models)]
    means = np.array([[np.mean(cells[t, m], axis=0) for m in models] for t in names])
    ranks = rankdata(-means[..., 0].round(6), axis=1).mean(axis=0)
    found = np.c_[ranks, means.mean(axis=0)]
    return names, dict(zip(models, found, strict=True))


def summarise(rows):
    names, found = report(rows)
    print(f"{len(names)} tables: {', '.join(names)}\n{'':24s} mean rank  mean R2  fit, s")
    for model, (rank, r2, seconds) in sorted(found.items(), key=lambda item: item[1][0]):
        print(f"{model:24s} {rank:9.2f} {r2:8.3f} {seconds:7.2f}")


def main():
    arguments = parser_of(__doc__, MODELS, cap=5000, folds=5).parse_args()
    results = Results(
        arguments.summary or arguments.out,
        key=("table", "model", "fold"),
        packages=("lightgbm",),
        again=arguments.again,
    )
    if arguments.summary:
        return summarise(results.rows)
    warnings.simplefilter("ignore")

    def folds(X, y):
        return list(KFold(5, shuffle=True, random_state=0).split(X))[: arguments.folds]

    found = tables(arguments.data, arguments.cap, results.used)
    for key, (nominal, X, y, *rows) in each_fit(found, folds, arguments, results.has):
        scores = measure(key["model"], nominal, X, y, *rows)
        results.add(**key, rows=len(y), columns=X.shape[1], **scores)
    return summarise(results.rows)


if __name__ == "__main__":
    main()
