"""Rows from 1,000 to 1,000,000: time, memory and log-loss beside other models, on planted tables.

    python benchmarks/rows.py                            # to 100,000 rows, a few minutes
    python benchmarks/rows.py --rows 1000000             # a memory map of a million rows
    python benchmarks/rows.py --rows 200000 --columns 50 # long
    python benchmarks/rows.py --rows 2000 --columns 5000 # wide
    python benchmarks/rows.py --solvers                  # sweep, adam, convex instead of rivals
    python benchmarks/rows.py --models MPSClassifierCV TTNClassifier MPSRegressor MPSRegressorCV

Every fit runs in a process of its own, so that its peak of memory, with imports and a prediction,
is its own, on one BLAS thread, from a float32 memory map. "excess" is the log-loss on 20,000
further rows, of wide tables fewer, beyond that of who knows the probabilities. Regressors, models
with "Regressor" in their name, learn the log-odds under normal noise of half of their variance, so
that an R2 of 2/3 is the largest. --picture FILE draws the results that there are.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _planted import columns, labels, rough, smooth
from _results import FOLDER, Results, read

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
RIVALS = ("MPSClassifier", "HistGradientBoosting", "LightGBM", "LogisticRegression", "MLP")
SOLVERS = ("MPS sweep", "MPS adam", "MPS convex")
TARGETS = {"smooth": smooth, "rough": rough}
LABELS = {"log_loss": "log-loss", "cpu_s": "seconds of a fit", "peak_mb": "peak memory, MB"}
# Rows that are judged, and numbers in them, at most.
N_TEST, TEST_NUMBERS = 20_000, 5_000_000
# In the picture, and in the table of rows.
N_COLUMNS = 30


def make(name):
    if name.startswith(("MPS", "TTN")):
        import sktn

        model, *solver = name.split()
        solver = {"solver": solver[0]} if solver else {}
        return getattr(sktn, model)(**solver, random_state=0)
    if name.startswith("HistGradientBoosting"):
        from sklearn import ensemble

        kind = "" if name.endswith("Regressor") else "Classifier"
        return getattr(ensemble, name + kind)(random_state=0)
    if name == "LightGBM":
        from lightgbm import LGBMClassifier

        return LGBMClassifier(random_state=0, n_jobs=1, verbose=-1)
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if name == "LogisticRegression":
        return make_pipeline(StandardScaler(), LogisticRegression())
    return make_pipeline(
        StandardScaler(), MLPClassifier((64, 64), early_stopping=True, max_iter=30)
    )


def one(folder, name):
    """Fit one model on a folder's table, and say what it cost."""
    numbers = "Regressor" in name
    X = np.load(folder / "X.npy", mmap_mode="r")
    y = np.load(folder / ("numbers.npy" if numbers else "y.npy"))
    n = len(X) - n_judged(X.shape[1])
    model = make(name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, wall = time.process_time(), time.perf_counter()
    model.fit(X[:n], y[:n])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if numbers:
        found = {"r2": model.score(X[n:], y[n:])}
    else:
        found = told(model.predict_proba(X[n:]), y[n:], np.load(folder / "truth.npy")[n:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cost = {"cpu_s": round(cpu, 2), "wall_s": round(wall, 2)}
    cost |= {"peak_mb": peak // 1024, "before_mb": before // 1024}
    print(json.dumps(cost | {key: round(float(value), 5) for key, value in found.items()}))


def told(proba, y, truth):
    """How well classes are told: proba (b, 2), y (b,), truth (b,) log-odds"""
    p = np.clip(proba[np.arange(len(y)), y], 1e-12, 1)
    loss, least = -np.log(p).mean(), np.mean(np.logaddexp(0, (1 - 2 * y) * truth))
    return {"log_loss": loss, "excess": loss - least, "accuracy": np.mean(p > 0.5)}


def n_judged(n_columns):
    return min(N_TEST, TEST_NUMBERS // n_columns)


def table(folder, target, n_rows, n_columns):
    X = columns(np.random.default_rng(1), n_rows + n_judged(n_columns), n_columns)
    truth = TARGETS[target](X)
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", labels(truth)[0])
    np.save(folder / "truth.npy", truth)
    noise = np.random.default_rng(2).normal(0, truth.std() / 2**0.5, len(truth))
    np.save(folder / "numbers.npy", truth + noise)


def picture(rows, path):
    import matplotlib.pyplot as plt

    rows = [row for row in rows if row["columns"] == N_COLUMNS and "log_loss" in row]
    fig, axes = plt.subplots(2, 3, figsize=(11, 6), layout="constrained", sharex=True)
    for line, target in zip(axes, TARGETS, strict=True):
        for name in dict.fromkeys(row["model"] for row in rows):
            own = {r["rows"]: r for r in rows if (r["target"], r["model"]) == (target, name)}
            style = "o--" if name in SOLVERS else "o-"
            for axis, what in zip(line, LABELS, strict=True):
                values = [own[k][what] for k in sorted(own)]
                label = name if (target, what) == ("smooth", "log_loss") else None
                axis.plot(sorted(own), values, style, label=label)
                axis.set(xscale="log", title=target, ylabel=LABELS[what])
                axis.set_yscale("linear" if what == "log_loss" else "log")
    fig.legend(loc="outside lower center", ncols=4)
    for axis in axes[1]:
        axis.set_xlabel("training rows")
    fig.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--columns", type=int, default=N_COLUMNS)
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--models", nargs="+", default=None)
    parser.add_argument("--solvers", action="store_true")
    parser.add_argument("--out", default=FOLDER / "rows.json", help="file of results")
    parser.add_argument("--picture", metavar="FILE")
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "MODEL"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        return one(Path(args.one[0]), args.one[1])
    if args.picture:
        return picture(read(args.out)[0], args.picture)
    results = Results(args.out, key=("target", "rows", "columns", "model"), packages=("lightgbm",))
    for target in args.targets:
        for n_rows in args.rows:
            with tempfile.TemporaryDirectory() as folder:
                table(Path(folder), target, n_rows, args.columns)
                for name in args.models or (SOLVERS if args.solvers else RIVALS):
                    call = [sys.executable, __file__, "--one", folder, name]
                    done = subprocess.run(
                        call, capture_output=True, text=True, check=False, env=os.environ | THREADS
                    )
                    if done.returncode:
                        print(target, n_rows, name, done.stderr.strip().splitlines()[-1])
                        continue
                    found = json.loads(done.stdout.splitlines()[-1])
                    size = {"rows": n_rows, "columns": args.columns}
                    results.add(target=target, **size, model=name, **found)
                    print(target, n_rows, args.columns, name, *found.values(), sep="  ", flush=True)
    return None


if __name__ == "__main__":
    main()
