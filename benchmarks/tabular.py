"""Accuracy and log-loss on tables beside other models, in stratified folds.

    python benchmarks/tabular.py
    python benchmarks/tabular.py --data FOLDER --cap 5000 --folds 5 --out tabular.json
    python benchmarks/tabular.py --summary tabular.json

Tables: scikit-learn's bundled ones, and every FOLDER/*.npz with arrays X and y (NaN = missing) and
optionally `cat`, a mask of nominal columns. Every model has its own preprocessing, inside the
training folds: indicators for nominal columns, medians and standardised columns where it needs
them. Prints one row a table and the mean ranks. What is in the result file is not computed again.
"""

import time
import warnings

import numpy as np
from _results import Results
from _tables import each_fit, indicators, labelled, parser_of, scaled
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from sktn import MPSClassifier, MPSClassifierCV

BUNDLED = ("breast_cancer", "wine", "iris", "digits")


def lightgbm():
    from lightgbm import LGBMClassifier

    return LGBMClassifier(random_state=0, n_jobs=1, verbose=-1)


def xgboost():
    from xgboost import XGBClassifier

    return XGBClassifier(random_state=0, n_jobs=1)


def catboost():
    from catboost import CatBoostClassifier

    return CatBoostClassifier(random_state=0, thread_count=1, verbose=0, allow_writing_files=False)


def explainable_boosting():
    from interpret.glassbox import ExplainableBoostingClassifier

    return ExplainableBoostingClassifier(random_state=0, n_jobs=1)


def tuned_svc():
    grid = {"C": [0.1, 1, 10, 100], "gamma": ["scale", 0.01, 0.1]}
    return GridSearchCV(SVC(probability=True, random_state=0), grid, cv=3)


RIVALS = {
    "CatBoost": catboost,
    "XGBoost": xgboost,
    "LightGBM": lightgbm,
    "EBM": explainable_boosting,
    "hist. boosting": lambda: HistGradientBoostingClassifier(random_state=0),
    "random forest (300)": lambda: RandomForestClassifier(300, random_state=0),
    "SVC, tuned": lambda: scaled(tuned_svc()),
    "MLP": lambda: scaled(MLPClassifier((128, 128), max_iter=300, random_state=0)),
    "logistic regression": lambda: scaled(LogisticRegression(max_iter=2000)),
    "nearest neighbours": lambda: scaled(KNeighborsClassifier(5)),
}
MODELS = ("MPSClassifierCV", "MPSClassifier", *RIVALS)


def build(name, nominal):
    # Chains take nominal columns as they are.
    features = nominal if nominal.any() else None
    chain = MPSClassifier(categorical_features=features, random_state=0)
    if name == "MPSClassifier":
        return chain
    if name == "MPSClassifierCV":
        return MPSClassifierCV(estimator=chain, random_state=0)
    return indicators(RIVALS[name](), nominal)


def measure(name, nominal, X, y, train, test):
    start = time.process_time()
    model = build(name, nominal).fit(X[train], y[train])
    fitted = time.process_time()
    proba = np.clip(model.predict_proba(X[test]), 1e-7, 1)
    proba /= proba.sum(1, keepdims=True)
    return {
        "accuracy": np.mean(np.ravel(model.predict(X[test])) == y[test]),
        "log_loss": log_loss(y[test], proba, labels=np.unique(y)),
        "fit_seconds": fitted - start,
        "predict_seconds": time.process_time() - fitted,
    }


def mean_scores(rows, column, order=MODELS):
    """Means over folds -> tables, models (in this order), array (tables, models) of the tables that
    all these models have"""
    cells = {}
    for row in rows:
        cells.setdefault((row["table"], row["model"]), []).append(row[column])
    models = [name for name in order if any(model == name for _, model in cells)]
    names = sorted({table for table, _ in cells})
    names = [table for table in names if all((table, model) in cells for model in models)]
    return (
        names,
        models,
        np.array([[np.mean(cells[table, model]) for model in models] for table in names]),
    )


def mean_ranks(rows, order=MODELS):
    """{model: (mean rank of accuracy, of log-loss)}; rank 1 is best, ties share a mean"""
    _, models, accuracy = mean_scores(rows, "accuracy", order)
    loss = mean_scores(rows, "log_loss", order)[2]
    ranks = [rankdata(scores.round(6), axis=1).mean(axis=0) for scores in (-accuracy, loss)]
    return dict(zip(models, zip(*ranks, strict=True), strict=True))


def summarise(rows, order=MODELS):
    names, models, accuracy = mean_scores(rows, "accuracy", order)
    loss, seconds = (mean_scores(rows, column, order)[2] for column in ("log_loss", "fit_seconds"))
    print(f"{'accuracy / log-loss':24s}" + "".join(f"{name:>20s}" for name in models))
    for k, table in enumerate(names):
        cells = zip(accuracy[k], loss[k], strict=True)
        print(f"{table:24s}" + "".join(f"{f'{a:.4f} / {c:.4f}':>20s}" for a, c in cells))
    ranks = mean_ranks(rows, order).values()
    print(f"{'mean rank':24s}" + "".join(f"{f'{a:.2f} / {c:.2f}':>20s}" for a, c in ranks))
    print(f"{'seconds of a fit':24s}" + "".join(f"{s:20.2f}" for s in seconds.mean(axis=0)))


def main():
    arguments = parser_of(__doc__, MODELS, cap=5000, folds=5).parse_args()
    results = Results(
        arguments.summary or arguments.out,
        key=("table", "model", "fold"),
        packages=("lightgbm", "catboost", "xgboost", "interpret"),
        again=arguments.again,
    )
    if arguments.summary:
        return summarise(results.rows)
    warnings.simplefilter("ignore")
    tables = labelled(BUNDLED, arguments.data, arguments.cap, fewest=10, used=results.used)
    folds = StratifiedKFold(arguments.folds, shuffle=True, random_state=0).split
    for key, (nominal, X, y, *rows) in each_fit(tables, folds, arguments, results.has):
        found = measure(key["model"], nominal, X, y, *rows)
        results.add(**key, rows=len(y), columns=X.shape[1], **found)
    return summarise(results.rows)


if __name__ == "__main__":
    main()
