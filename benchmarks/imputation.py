"""Gaps of tables: what is filled in against what was there.

    python benchmarks/imputation.py
    python benchmarks/imputation.py --data FOLDER --rows 1000 --masks 5 --methods mps mean knn
    python benchmarks/imputation.py --summary imputation.json

Tables: the numeric ones of scikit-learn, and every FOLDER/**/*.npz with arrays X (nominal columns
as codes), cat (which columns are nominal) and y, which becomes the last column. 10, 20 and 40 % of
the entries are hidden at random ("mcar"), and in a "block" pattern: three times a quarter of the
rows loses a third of the columns. Root mean squared error of numeric columns in standard
deviations, accuracy of nominal ones. What is in the result file is not computed again. Means are
over the masks that all the methods have.
"""

import argparse
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from _results import Results
from scipy.stats import rankdata
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.experimental import enable_iterative_imputer
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.linear_model import BayesianRidge

from sktn import MPSImputer

# IterativeImputer cannot be imported before this module.
assert enable_iterative_imputer


def tables(folder, most_rows, used):
    """(name, X, nominal) of every table, rows drawn without replacement; used: told the arrays of
    every whole table"""
    rng = np.random.default_rng(0)
    bundled = (load_breast_cancer, load_diabetes, load_iris, load_wine)
    found = (
        [] if folder else [(load.__name__[5:], *load(return_X_y=True), None) for load in bundled]
    )
    for path in sorted(Path(folder).glob("**/*.npz")) if folder else []:
        data = np.load(path)
        found.append(
            (
                path.stem.removeprefix("openml_"),
                data["X"].astype(float),
                data["y"],
                data["cat"].astype(bool),
            )
        )
    for name, X, y, nominal in found:
        used(name, X, y)
        nominal = np.zeros(X.shape[1], bool) if nominal is None else nominal
        rows = rng.permutation(len(X))[:most_rows]
        numeric = y.dtype.kind == "f"
        last = y if numeric else np.unique(y, return_inverse=True)[1]
        yield name, np.c_[X, last][rows].astype(float), np.r_[nominal, not numeric]


def hidden(X, pattern, seed):
    """Which entries are hidden: one of the patterns of this file -> (b, n) bool"""
    rng = np.random.default_rng(1000 + seed)
    if pattern != "block":
        return (rng.random(X.shape) < float(pattern)) & ~np.isnan(X)
    gaps = np.zeros(X.shape, bool)
    for _ in range(3):
        rows = np.flatnonzero(rng.random(len(X)) < 0.25)
        columns = rng.choice(X.shape[1], max(1, X.shape[1] // 3), replace=False)
        gaps[np.ix_(rows, columns)] = True
    gaps[np.arange(len(X)), rng.integers(X.shape[1], size=len(X))] = False
    return gaps & ~np.isnan(X)


def by_mean(X, nominal, seed):
    filled = X.copy()
    for j in range(X.shape[1]):
        values = X[~np.isnan(X[:, j]), j]
        fill = np.bincount(values.astype(int)).argmax() if nominal[j] else values.mean()
        filled[np.isnan(X[:, j]), j] = fill
    return filled


def standardised(imputer):
    """Numeric imputers see standardised columns, and indicators of the levels of nominal ones."""

    def fill(X, nominal, seed):
        blocks, levels = [], []
        for j in range(X.shape[1]):
            there = np.unique(X[~np.isnan(X[:, j]), j]) if nominal[j] else None
            levels.append(there)
            block = X[:, [j]] if there is None else (X[:, [j]] == there).astype(float)
            blocks.append(np.where(np.isnan(X[:, [j]]), np.nan, block))
        Z = np.hstack(blocks)
        center, scale = np.nanmean(Z, axis=0), np.nanstd(Z, axis=0)
        scale[scale == 0] = 1.0
        Z = imputer(seed).fit_transform((Z - center) / scale) * scale + center
        filled, start = X.copy(), 0
        for j, there in enumerate(levels):
            width = 1 if there is None else len(there)
            part = Z[:, start : start + width]
            values = part[:, 0] if there is None else there[part.argmax(axis=1)]
            filled[np.isnan(X[:, j]), j] = values[np.isnan(X[:, j])]
            start += width
        return filled

    return fill


def by_bayesian_ridge(X, nominal, seed):
    """Levels as numbers: their indicators would be predicted from each other."""
    center, scale = np.nanmean(X, axis=0), np.nanstd(X, axis=0)
    scale[scale == 0] = 1.0
    imputer = IterativeImputer(BayesianRidge(), random_state=seed)
    filled = imputer.fit_transform((X - center) / scale) * scale + center
    low, high = np.nanmin(X, axis=0), np.nanmax(X, axis=0)
    filled[:, nominal] = np.clip(np.round(filled), low, high)[:, nominal]
    return filled


def by_forests(X, nominal, seed, rounds=4, trees=50):
    """missForest: forests of regression or classification trees, chained."""
    filled, seen = by_mean(X, nominal, seed), ~np.isnan(X)
    for _ in range(rounds):
        for j in np.argsort((~seen).sum(axis=0)):
            on = seen[:, j]
            if on.all():
                continue
            forest = (RandomForestClassifier if nominal[j] else RandomForestRegressor)(
                trees,
                random_state=seed,
                max_features="sqrt" if nominal[j] else 1 / 3,
                min_samples_leaf=1 if nominal[j] else 3,
            )
            others = np.delete(filled, j, axis=1)
            filled[~on, j] = forest.fit(others[on], X[on, j]).predict(others[~on])
    return filled


def by_chains(X, nominal, seed):
    features = np.flatnonzero(nominal) if nominal.any() else None
    return MPSImputer(categorical_features=features, random_state=seed).fit_transform(X)


def by_mice(X, nominal, seed, draws=5):
    """miceforest, if installed: gradient boosted trees, chained, with predictive mean matching. The
    mean of its draws, of nominal columns the most frequent one."""
    import miceforest
    import pandas as pd

    frame = pd.DataFrame({f"column{j}": column for j, column in enumerate(X.T)})
    for j in np.flatnonzero(nominal):
        frame[f"column{j}"] = pd.Categorical(frame[f"column{j}"])
    # Levels by their probabilities: matching fails where one of these is 0.
    strategy = {
        name: "fast" if special else "normal" for name, special in zip(frame, nominal, strict=True)
    }
    kernel = miceforest.ImputationKernel(
        frame, num_datasets=draws, mean_match_strategy=strategy, random_state=seed
    )
    kernel.mice(4, verbose=False, num_threads=1)
    found = np.array([kernel.complete_data(k).to_numpy(dtype=float) for k in range(draws)])
    filled = found.mean(axis=0)
    for j in np.flatnonzero(nominal):
        levels = np.unique(found[:, :, j])
        counts = (found[:, :, j, None] == levels).sum(axis=0)
        filled[:, j] = levels[counts.argmax(axis=1)]
    return filled


METHODS = {
    "mps": by_chains,
    "mean": by_mean,
    "knn": standardised(lambda seed: KNNImputer()),
    "bayesian-ridge": by_bayesian_ridge,
    "forest": by_forests,
    "miceforest": by_mice,
}


def scores(filled, X, gaps, nominal):
    errors, right = [], []
    for j in np.flatnonzero(gaps.any(axis=0)):
        difference = (filled - X)[gaps[:, j], j]
        if nominal[j]:
            right.append(np.mean(difference == 0))
        else:
            errors.append(np.mean((difference / (np.nanstd(X[:, j]) or 1.0)) ** 2))
    return (
        float(np.sqrt(np.mean(errors))) if errors else np.nan,
        float(np.mean(right)) if right else np.nan,
    )


def shared(rows):
    """The rows of tables and masks that all methods have"""
    methods = {row["method"] for row in rows}
    places = [(row["table"], row["pattern"], row["mask"]) for row in rows]
    found = Counter(places)
    return [row for row, place in zip(rows, places, strict=True) if found[place] == len(methods)]


def by_table(rows, field, pattern=None):
    """{(table, pattern): {method: values of the masks}} of the tables that all methods have"""
    methods = {row["method"] for row in rows}
    cells = {}
    for row in rows:
        if row[field] is not None and pattern in (None, row["pattern"]):
            cell = cells.setdefault((row["table"], row["pattern"]), {})
            cell.setdefault(row["method"], []).append(row[field])
    return {key: cell for key, cell in sorted(cells.items()) if len(cell) == len(methods)}


def mean_and_rank(rows, field, pattern=None):
    """{method: (mean over the tables, mean rank)}"""
    cells = by_table(rows, field, pattern).values()
    methods = [name for name in METHODS if any(row["method"] == name for row in rows)]
    means = np.array([[np.mean(cell[m]) for m in methods] for cell in cells])
    ranks = rankdata(means if field == "rmse" else -means, axis=1)
    return dict(zip(methods, zip(means.mean(0), ranks.mean(0), strict=True), strict=True))


def worst_mask(rows, pattern=None):
    """{method: largest error relative to that of the mean, over tables and masks}"""
    cells = by_table(rows, "rmse", pattern).values()
    methods = [name for name in METHODS if any(row["method"] == name for row in rows)]
    return {m: max(np.max(np.divide(c[m], c["mean"])) for c in cells) for m in methods}


def summary(rows):
    """Mean of every table and pattern, mean ranks, and the worst mask beside the mean."""
    methods = [name for name in METHODS if any(row["method"] == name for row in rows)]
    for field in ("rmse", "accuracy"):
        print(f"\n{field:34s}" + "".join(f"{m:>16s}" for m in methods))
        for (table, pattern), cell in by_table(rows, field).items():
            values = "".join(f"{np.mean(cell[m]):16.3f}" for m in methods)
            print(f"{table:26s}{pattern:>8s}{values}")
        ranks = mean_and_rank(rows, field)
        print(f"{'mean rank':34s}" + "".join(f"{ranks[m][1]:16.2f}" for m in methods))
    if "mean" in methods:
        worst = worst_mask(rows)
        print(f"{'worst mask, relative to the mean':34s}", end="")
        print("".join(f"{worst[m]:16.2f}" for m in methods))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=None)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--masks", type=int, default=3)
    parser.add_argument("--patterns", nargs="+", default=["0.1", "0.2", "0.4", "block"])
    methods = [name for name in METHODS if name != "miceforest"]
    parser.add_argument("--methods", nargs="+", default=methods, choices=list(METHODS))
    parser.add_argument("--tables", nargs="+", default=None, help="names; default: all")
    parser.add_argument("--out", help="file of results, read and extended")
    parser.add_argument("--again", action="store_true", help="measure what the file has already")
    parser.add_argument("--summary", help="print what a file of results says, compute nothing")
    options = parser.parse_args()
    results = Results(
        options.summary or options.out,
        key=("table", "pattern", "mask", "method"),
        packages=("miceforest", "lightgbm"),
        again=options.again,
    )
    if options.summary:
        return summary(shared([r for r in results.rows if r["method"] in options.methods]))
    # What rivals warn of (rounds, constant columns) is not what is measured.
    warnings.simplefilter("ignore")
    jobs = [(pattern, mask) for mask in range(options.masks) for pattern in options.patterns]
    for pattern, mask in jobs:
        for name, X, nominal in tables(options.data, options.rows, results.used):
            if options.tables and name not in options.tables:
                continue
            gaps = hidden(X, pattern, mask)
            for method in options.methods:
                key = {"table": name, "pattern": pattern, "mask": mask, "method": method}
                if results.has(**key):
                    continue
                start = time.process_time()
                filled = METHODS[method](np.where(gaps, np.nan, X), nominal, mask)
                taken = time.process_time() - start
                rmse, accuracy = scores(filled, X, gaps, nominal)
                results.add(**key, rows=len(X), rmse=rmse, accuracy=accuracy, seconds=taken)
            print(pattern, mask, name, flush=True)
    return summary(shared([r for r in results.rows if r["method"] in options.methods]))


if __name__ == "__main__":
    main()
