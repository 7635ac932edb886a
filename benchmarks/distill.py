"""Chains that imitate other predictors: fidelity and time, then exact Shapley values.

    python benchmarks/distill.py --data FOLDER --out benchmarks/results/distill.json
    python benchmarks/distill.py --tables wine --models SVC MLP --agreement
    python benchmarks/distill.py --summary benchmarks/results/distill.json

Predictors are trained on the training rows of the first folds of a stratified 3-fold
cross-validation on at most `--cap` rows of a table, and the chain sees the same rows; fidelity is
taken on the test rows and on rows whose columns are drawn from them independently. Seconds are
processor time. With --agreement, values of tree models are compared with the exact tree explainer
of shap (interventional, the same background rows). With --out, what is in the result file is not
computed again.
"""

import time
import warnings

import numpy as np
from _results import Results
from _tables import each_fit, labelled, parser_of
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import r2_score
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sktn.inspection import distill, shapley_values
from sktn.inspection.scores import scores_of

BUNDLED = ("breast_cancer", "wine")
TABLES = (*BUNDLED, "credit-g", "diabetes", "phoneme", "vehicle")
MODELS = {
    "hist. boosting": lambda: HistGradientBoostingClassifier(random_state=0),
    "random forest": lambda: RandomForestClassifier(random_state=0),
    "SVC": lambda: make_pipeline(SimpleImputer(), StandardScaler(), SVC(random_state=0)),
    "MLP": lambda: make_pipeline(
        SimpleImputer(), StandardScaler(), MLPClassifier(max_iter=300, random_state=0)
    ),
}
N_EXPLAINED, N_BACKGROUND, N_PERMUTED = 100, 50, 2000
FAITHFUL = 0.95


def tree_agreement(predictor, model, background, rows):
    """Correlation with the exact values of the predictor itself, or None where there are none."""
    try:
        import shap
    except ImportError:
        return None
    binary = len(predictor.classes_) == 2
    boosting = isinstance(predictor, HistGradientBoostingClassifier) and binary
    if not boosting and not isinstance(predictor, RandomForestClassifier):
        return None
    explainer = shap.TreeExplainer(
        predictor, background, feature_perturbation="interventional", model_output="raw"
    )
    expected = np.asarray(explainer.shap_values(rows, check_additivity=False))
    if expected.ndim == 3 and expected.shape[2] == 2:
        expected = expected[..., 1]
    own = shapley_values(model, rows, background=background).values
    return float(np.corrcoef(own.ravel(), expected.ravel())[0, 1])


def measure(name, train, y, test, arguments):
    """Fidelities and seconds of one pair of predictor and chain."""
    predictor = MODELS[name]().fit(train, y)
    start = time.process_time()
    result = distill(predictor, train, max_fits=arguments.max_fits, random_state=arguments.seed)
    seconds = time.process_time() - start
    scores = scores_of(predictor, train, result.output)
    draw = np.random.default_rng(1)
    permuted = np.stack([draw.choice(c, N_PERMUTED) for c in test.T], axis=1)
    r2 = [
        r2_score(
            scores(part),
            result.model.predict(part).reshape(len(part), -1),
            multioutput="variance_weighted",
        )
        for part in (test, permuted)
    ]
    start = time.process_time()
    shapley_values(result.model, test[:N_EXPLAINED])
    explaining = time.process_time() - start
    agreement = None
    if arguments.agreement:
        explained = test[:N_EXPLAINED]
        agreement = tree_agreement(predictor, result.model, train[:N_BACKGROUND], explained)
    return {
        "observed": r2[0],
        "permuted": r2[1],
        "fits": len(result.history),
        "seconds": seconds,
        "explaining": explaining,
        "trees": agreement,
    }


def summarise(rows):
    print(
        f"{'table':16s} {'model':13s} {'R2 held out':>11s} {'permuted':>8s} {'fits':>4s} "
        f"{'seconds':>7s} {'100 rows':>8s} {'r trees':>7s}"
    )
    for row in rows:
        trees = "" if row["trees"] is None else f"{row['trees']:7.3f}"
        print(
            f"{row['table']:16s} {row['model']:13s} {row['observed']:11.3f} "
            f"{row['permuted']:8.3f} {row['fits']:4d} {row['seconds']:7.1f} "
            f"{row['explaining']:8.2f} {trees}"
        )
    good = sum(min(row["observed"], row["permuted"]) >= FAITHFUL for row in rows)
    median = np.median([row["seconds"] for row in rows])
    print(f"{good} of {len(rows)} pairs with R2 >= {FAITHFUL} on both; median {median:.1f} s")


def main():
    parser = parser_of(__doc__, list(MODELS), cap=3000, folds=1)
    parser.set_defaults(tables=list(TABLES))
    parser.add_argument("--max-fits", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--agreement", action="store_true", help="compare with shap's trees")
    arguments = parser.parse_args()
    results = Results(
        arguments.summary or arguments.out,
        key=("table", "model", "fold", "seed"),
        packages=("shap",),
        again=arguments.again,
    )
    if arguments.summary:
        return summarise(results.rows)
    warnings.simplefilter("ignore")  # the network's iterations, low fidelities

    def folds(X, y):
        splitter = StratifiedKFold(3, shuffle=True, random_state=0)
        return list(splitter.split(X, y))[: arguments.folds]

    def has(**key):
        return results.has(**key, seed=arguments.seed)

    found = labelled(BUNDLED, arguments.data, arguments.cap, used=results.used)
    for key, (_, X, y, train, test) in each_fit(found, folds, arguments, has):
        measured = measure(key["model"], X[train], y[train], X[test], arguments)
        results.add(**key, seed=arguments.seed, columns=X.shape[1], **measured)
    return summarise(results.rows)


if __name__ == "__main__":
    main()
