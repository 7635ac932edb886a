"""Models of main effects and pairs beside explainable boosting machines: accuracy, log-loss, time.

    python benchmarks/glass_box.py --data FOLDER --out benchmarks/results/glass_box.json
    python benchmarks/glass_box.py --models EBM "pairs, searched" --cap 300

The first folds of a stratified 3-fold cross-validation on at most `--cap` rows of every table of
`tabular.py`. Chains: without a limit; with interactions of two columns at most, refitted
(``Convex(max_order=2)``) and cut out of the fitted one (`limit_order`); main effects only.
"searched": MPSClassifierCV. Terms are those of most variance that have 99 % of it together; of the
boosting machine all that it has. With --out, what is in the result file is not computed again.
"""

import time
import warnings

import numpy as np
from _results import Results
from _tables import each_fit, labelled, parser_of
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from tabular import BUNDLED, summarise

from sktn import MPSClassifier, MPSClassifierCV
from sktn.chains.solvers import Convex
from sktn.inspection import limit_order, variance_shares


def chain(nominal, max_order=None):
    categorical = nominal if nominal.any() else None
    solver = Convex(max_order=max_order) if max_order else "auto"
    return MPSClassifier(categorical_features=categorical, solver=solver, random_state=0)


def searched(nominal, max_order=None):
    return MPSClassifierCV(estimator=chain(nominal, max_order), random_state=0)


def boosting(nominal):
    from interpret.glassbox import ExplainableBoostingClassifier

    kinds = ["nominal" if own else "continuous" for own in nominal]
    return ExplainableBoostingClassifier(random_state=0, n_jobs=1, feature_types=kinds)


class Cut:
    """The pairs of a fitted model of all orders."""

    def __init__(self, model):
        self.model = model

    def fit(self, X, y):
        return limit_order(self.model.fit(X, y), 2).model


MODELS = {
    "EBM": boosting,
    "pairs": lambda nominal: chain(nominal, 2),
    "pairs, searched": lambda nominal: searched(nominal, 2),
    "pairs, cut": lambda nominal: Cut(chain(nominal)),
    "main effects": lambda nominal: chain(nominal, 1),
    "all orders": chain,
    "all orders, searched": searched,
}


def n_terms(model, X):
    """Terms of 99 % of the variance of the scores; None where there is more than pairs."""
    if hasattr(model, "term_names_"):
        return len(model.term_names_)
    shares = variance_shares(model, X)
    parts = np.concatenate([shares.first_order, np.triu(shares.pairs, 1).ravel()])
    if shares.by_order[2:].sum() > 1e-6:
        return None
    return 1 + int(np.searchsorted(np.cumsum(np.sort(parts)[::-1]), 0.99 * parts.sum()))


def measure(name, nominal, X, y, train, test):
    start = time.process_time()
    model = MODELS[name](nominal).fit(X[train], y[train])
    seconds = time.process_time() - start
    proba = np.clip(model.predict_proba(X[test]), 1e-7, 1)
    proba /= proba.sum(1, keepdims=True)
    return {
        "accuracy": np.mean(np.ravel(model.predict(X[test])) == y[test]),
        "log_loss": log_loss(y[test], proba, labels=np.unique(y)),
        "fit_seconds": seconds,
        "terms": n_terms(model, X[train]),
    }


def main():
    arguments = parser_of(__doc__, MODELS, cap=500, folds=2).parse_args()
    results = Results(
        arguments.summary or arguments.out,
        key=("table", "model", "fold"),
        packages=("interpret-core",),
        again=arguments.again,
    )
    if arguments.summary:
        return summarise(results.rows, MODELS)
    warnings.simplefilter("ignore")

    def folds(X, y):
        splitter = StratifiedKFold(3, shuffle=True, random_state=0)
        return list(splitter.split(X, y))[: arguments.folds]

    tables = labelled(BUNDLED, arguments.data, arguments.cap, fewest=10, used=results.used)
    for key, (nominal, X, y, *rows) in each_fit(tables, folds, arguments, results.has):
        found = measure(key["model"], nominal, X, y, *rows)
        results.add(**key, rows=len(y), columns=X.shape[1], **found)
    return summarise(results.rows, MODELS)


if __name__ == "__main__":
    main()
