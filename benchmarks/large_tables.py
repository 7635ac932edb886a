"""Whole tables of thousands of rows beside boosting: log-loss or RMSE, seconds, peak of memory.

    python benchmarks/large_tables.py --data FOLDER --out benchmarks/results/large_tables.json
    python benchmarks/large_tables.py --data FOLDER --tables electricity --train 34000
    python benchmarks/large_tables.py --summary benchmarks/results/large_tables.json

One random split, stratified for classes: 80 % of the rows are trained on, or `--train` of them, and
at most 20,000 of the others are judged. Tables: files .npz in a folder with X (floats, NaN
missing), y (floats for a regression) and optionally `cat`, a mask of nominal columns, which every
model here takes as they are. Every fit runs in a process of its own, so that its peak of memory is
its own, on one BLAS thread. What is in the result file is not computed again.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from _results import FOLDER, Results
from _tables import read_table
from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error
from sklearn.model_selection import train_test_split

TABLES = (
    "adult",
    "bank-marketing",
    "california_housing",
    "diamonds",
    "electricity",
    "higgs_7500",
    "kr-vs-kp",
)
MODELS = ("MPS", "MPSCV", "hist. boosting", "LightGBM")
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
N_TEST = 20_000


def chain(search, numbers, nominal):
    from sktn import MPSClassifier, MPSClassifierCV, MPSRegressor, MPSRegressorCV

    model = MPSRegressor if numbers else MPSClassifier
    found = model(categorical_features=nominal if nominal.any() else None, random_state=0)
    if not search:
        return found
    return (MPSRegressorCV if numbers else MPSClassifierCV)(estimator=found, random_state=0)


def fitted(name, numbers, nominal, X, y):
    """A model of rows: what `fit` returns."""
    if name.startswith("MPS"):
        return chain(name == "MPSCV", numbers, nominal).fit(X, y)
    if name == "LightGBM":
        from lightgbm import LGBMClassifier, LGBMRegressor

        model = (LGBMRegressor if numbers else LGBMClassifier)(random_state=0, n_jobs=1, verbose=-1)
        return model.fit(X, y, categorical_feature=np.flatnonzero(nominal).tolist())
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    boosting = HistGradientBoostingRegressor if numbers else HistGradientBoostingClassifier
    return boosting(categorical_features=nominal, random_state=0).fit(X, y)


def one(path, name, n_train, seed):
    """Fit one model on one table, and say how good it is and what it cost."""
    warnings.simplefilter("ignore")
    X, y, nominal = read_table(path)
    numbers = y.dtype.kind == "f"
    train, test = train_test_split(
        np.arange(len(y)),
        train_size=n_train or 0.8,
        random_state=seed,
        stratify=None if numbers else y,
    )
    test = test[:N_TEST]
    start = time.process_time()
    model = fitted(name, numbers, nominal, X[train], y[train])
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"rows": len(train), "columns": X.shape[1]}
    if numbers:
        found["rmse"] = root_mean_squared_error(y[test], model.predict(X[test]))
    else:
        proba = np.clip(model.predict_proba(X[test]), 1e-7, 1)
        proba /= proba.sum(axis=1, keepdims=True)
        found["log_loss"] = log_loss(y[test], proba, labels=model.classes_)
        found["accuracy"] = accuracy_score(y[test], model.predict(X[test]))
    print(json.dumps({**found, "fit_seconds": round(seconds, 2), "peak_mb": peak // 1024}))


def summarise(rows):
    models = [name for name in MODELS if any(row["model"] == name for row in rows)]
    print(f"{'log-loss or RMSE / CPU s':26s}" + "".join(f"{name:>20s}" for name in models))
    for table, n_train in sorted({(row["table"], row["rows"]) for row in rows}):
        own = [row for row in rows if (row["table"], row["rows"]) == (table, n_train)]
        cells = []
        for name in models:
            found = [row for row in own if row["model"] == name]
            error = np.mean([row.get("rmse", row.get("log_loss")) for row in found] or [np.nan])
            seconds = np.mean([row["fit_seconds"] for row in found] or [np.nan])
            cells.append(f"{f'{error:.5g} / {seconds:.3g}':>20s}")
        print(f"{f'{table}, {n_train}':26s}" + "".join(cells))


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of .npz tables")
    parser.add_argument("--tables", nargs="+", default=TABLES)
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--train", type=int, default=0, help="rows; default: 80 %% of the table")
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--out", default=FOLDER / "large_tables.json", help="file of results")
    parser.add_argument("--again", action="store_true", help="measure what the file has already")
    parser.add_argument("--summary", help="print what a file of results says, compute nothing")
    parser.add_argument(
        "--one", nargs=4, metavar=("FILE", "MODEL", "ROWS", "SEED"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args(words)
    if arguments.one:
        path, name, n_train, seed = arguments.one
        return one(path, name, int(n_train), int(seed))
    results = Results(
        arguments.summary or arguments.out,
        key=("table", "wanted", "model", "split"),
        packages=("lightgbm",),
        again=arguments.again,
    )
    if arguments.summary:
        return summarise(results.rows)
    for path in sorted(Path(arguments.data).glob("**/*.npz")):
        table = path.stem.removeprefix("openml_")
        if table not in arguments.tables:
            continue
        results.used(table, *read_table(path)[:2])
        for split in range(arguments.splits):
            for model in arguments.models:
                key = {
                    "table": table,
                    "wanted": arguments.train,
                    "model": model,
                    "split": split,
                }
                if results.has(**key):
                    continue
                call = [__file__, "--one", str(path), model, str(arguments.train), str(split)]
                done = subprocess.run(
                    [sys.executable, *call],
                    capture_output=True,
                    text=True,
                    check=False,
                    env=os.environ | THREADS,
                )
                if done.returncode:
                    print(table, model, done.stderr.strip().splitlines()[-1])
                    continue
                found = json.loads(done.stdout.splitlines()[-1])
                results.add(**key, **found)
                print(table, model, *found.values(), sep="  ", flush=True)
    return summarise(results.rows)


if __name__ == "__main__":
    main()
