"""Prediction intervals of regressors: coverage, width and score beside split-conformal boosting.

    python benchmarks/intervals.py --data FOLDER --out benchmarks/results/intervals.json
    python benchmarks/intervals.py --models MPSRegressor LightGBM --cap 400

3-fold cross-validation (shuffled) on at most `--cap` rows of every table of
`tabular_regression.py`. LightGBM is fitted to three quarters of the training rows, and the absolute
errors of the others make its intervals (Lei et al., JASA 2018). Widths are in standard deviations
of the target; the interval score (Gneiting and Raftery, JASA 2007) adds to the width
2 / (1 - coverage) times what a target is beyond the ends. With --out, what is in the result file is
not computed again.
"""

import time
import warnings

import numpy as np
from _results import Results
from _tables import each_fit, parser_of
from sklearn.model_selection import KFold, train_test_split
from tabular_regression import tables

from sktn import MPSRegressor, MPSRegressorCV

COVERAGES = (0.8, 0.9, 0.95)


def chain(train, test, nominal, seed):
    categorical = nominal if nominal.any() else None
    model = MPSRegressor(categorical_features=categorical, random_state=seed).fit(*train)
    return [model.predict_interval(test, coverage) for coverage in COVERAGES]


def searched(train, test, nominal, seed):
    member = MPSRegressor(solver="sweep", max_landmarks=2000)
    member.set_params(categorical_features=nominal if nominal.any() else None)
    model = MPSRegressorCV(estimator=member, random_state=seed).fit(*train)
    return [model.predict_interval(test, coverage) for coverage in COVERAGES]


def boosting(train, test, nominal, seed):
    from lightgbm import LGBMRegressor

    X, held_out, y, truth = train_test_split(*train, test_size=0.25, random_state=seed)
    model = LGBMRegressor(random_state=seed, n_jobs=1, verbose=-1)
    model.fit(X, y, categorical_feature=np.flatnonzero(nominal).tolist())
    errors = np.sort(np.abs(truth - model.predict(held_out)))
    middle, found = model.predict(test)[:, None], []
    for coverage in COVERAGES:
        place = min(len(errors), int(np.ceil(coverage * (len(errors) + 1))))
        found.append(middle + errors[place - 1] * np.array([-1, 1]))
    return found


MODELS = {"MPSRegressor": chain, "MPSRegressorCV": searched, "LightGBM": boosting}


def judge(interval, truth, coverage, unit):
    low, high = interval.T
    beyond = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    return {
        "covered": np.mean(beyond == 0),
        "width": np.mean(high - low) / unit,
        "score": np.mean(high - low + 2 / (1 - coverage) * beyond) / unit,
    }


def mean_over_tables(rows, model, coverage):
    """Share covered, width, score and seconds of a model: a table counts once, whatever its number
    of folds."""
    own = [r for r in rows if r["model"] == model and r["coverage"] == coverage]
    names = ("covered", "width", "score", "seconds")
    means = [
        [np.mean([r[name] for r in own if r["table"] == table]) for name in names]
        for table in sorted({r["table"] for r in own})
    ]
    return np.mean(means, axis=0)


def summarise(rows):
    print(f"\n{'':16s}{'nominal':>8s}{'covered':>9s}{'width':>8s}{'score':>8s}{'CPU s a fit':>12s}")
    for model in dict.fromkeys(row["model"] for row in rows):
        for coverage in COVERAGES:
            covered, width, score, seconds = mean_over_tables(rows, model, coverage)
            n_tables = len({r["table"] for r in rows if r["model"] == model})
            print(
                f"{model:16s}{coverage:8.2f}{covered:9.3f}{width:8.3f}{score:8.3f}{seconds:12.2f}"
                f"   {n_tables} tables"
            )


def main():
    parser = parser_of(__doc__, MODELS, cap=800, folds=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    seed = arguments.seed
    key = ("table", "model", "fold", "coverage", "seed")
    results = Results(
        arguments.summary or arguments.out,
        key=key,
        packages=("lightgbm",),
        again=arguments.again,
    )
    if arguments.summary:
        return summarise(results.rows)
    warnings.simplefilter("ignore")

    def folds(X, y):
        return list(KFold(3, shuffle=True, random_state=seed).split(X))[: arguments.folds]

    def has(**key):
        return results.has(**key, seed=seed, coverage=COVERAGES[-1])

    found = tables(arguments.data, arguments.cap, results.used)
    for own, (nominal, X, y, train, test) in each_fit(found, folds, arguments, has):
        start = time.process_time()
        intervals = MODELS[own["model"]]((X[train], y[train]), X[test], nominal, seed)
        seconds = time.process_time() - start
        for coverage, interval in zip(COVERAGES, intervals, strict=True):
            judged = judge(interval, y[test], coverage, y.std())
            results.add(**own, seed=seed, coverage=coverage, seconds=seconds, **judged)
    return summarise(results.rows)


if __name__ == "__main__":
    main()
