"""Compilation: does it grow with the number of features, and how often does a search compile?

    python benchmarks/compile_time.py

1. The first gradient step of a fresh process at 30 and at 784 features (same d, D, batch): time to
   trace, compile and run it once, and the wall time of a first fit of one epoch.
2. GridSearchCV over 3 x 3 numbers and 5 folds: how many programs each solver compiles.

On a machine that is busy with other things put `taskset -c 0` in front and give --cpu-time.
"""

import argparse
import collections
import json
import logging
import re
import subprocess
import sys
import time
import warnings

clock = time.process_time if "--cpu-time" in sys.argv else time.perf_counter


def table(n, rows):
    import numpy as np

    X = np.random.default_rng(0).uniform(size=(rows, n)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] > 1).astype(int)


def first_step(n):
    """Seconds of the first gradient step, of a second one, and of a first fit."""
    import jax
    from flops import step_inputs

    from sktn import MPSClassifier
    from sktn.chains.solvers import Adam
    from sktn.solvers.chain_gradient import chain_loss

    jax.block_until_ready(jax.numpy.ones(1))  # the backend's own start
    inputs = step_inputs(n, 3, 10, 32)
    step = jax.jit(jax.value_and_grad(chain_loss))
    times = []
    for _ in range(2):
        start = clock()
        jax.block_until_ready(step(*inputs))
        times.append(clock() - start)
    X, y = table(n, 32)
    solver = Adam(batch_size=32, max_iter=1)
    model = MPSClassifier(solver=solver, bond_dim=10, degree=2, alpha=0.1, random_state=0)
    start = clock()
    model.fit(X, y)
    return [*times, clock() - start]


class CompilationCounter(logging.Handler):
    """Counts compiled programs by name, from the messages of jax_log_compiles."""

    def __init__(self):
        super().__init__()
        self.counts = collections.Counter()

    def emit(self, record):
        found = re.match(r"Compiling (?:jit\()?(\w+)", record.getMessage())
        if found:
            self.counts[found[1]] += 1


def search(solver):
    """Compilations of a grid search, by program; those that happen once in all are left out."""
    import jax
    from sklearn.model_selection import GridSearchCV

    from sktn import MPSClassifier
    from sktn.chains.solvers import LBFGS, Adam

    solvers = {"adam": Adam(max_iter=10), "lbfgs": LBFGS(max_iter=10)}
    counter = CompilationCounter()
    logger = logging.getLogger("jax")
    logger.addHandler(counter)
    logger.propagate = False
    jax.config.update("jax_log_compiles", True)
    # 203 rows: the folds differ in length by one.
    X, y = table(10, 203)
    grid = {"alpha": [0.01, 0.1, 1.0], "interaction_penalty": [0.5, 1.0, 2.0]}
    model = MPSClassifier(solver=solvers.get(solver, solver), bond_dim=6, degree=3, random_state=0)
    start = clock()
    GridSearchCV(model, grid, cv=5, error_score="raise").fit(X, y)
    taken = clock() - start
    counter.counts.pop("_threefry_split", None)
    return taken, counter.counts.most_common()


RUNS = {"first_step": lambda n: first_step(int(n)), "search": search}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cpu-time", action="store_true", help="processor time, not wall time")
    parser.add_argument("--solvers", nargs="*", default=["adam", "lbfgs", "convex"])
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        warnings.simplefilter("ignore")
        print("RESULT", json.dumps(RUNS[args.run[0]](args.run[1])))
        return

    def fresh(*run):
        command = [sys.executable, __file__, "--run", *map(str, run)]
        command += ["--cpu-time"] * args.cpu_time
        done = subprocess.run(command, capture_output=True, text=True)
        for line in done.stdout.splitlines():
            if line.startswith("RESULT"):
                return json.loads(line.removeprefix("RESULT"))
        raise SystemExit(done.stderr)

    print(f"{'features':>9}{'first step s':>14}{'second ms':>11}{'first fit s':>13}")
    rows = {n: fresh("first_step", n) for n in (30, 784)}
    for n, (first, second, fit) in rows.items():
        print(f"{n:9}{first:14.2f}{second * 1e3:11.2f}{fit:13.2f}")
    ratios = [large / small for small, large in zip(rows[30], rows[784], strict=True)]
    print(f"{'ratio':>9}{ratios[0]:14.2f}{ratios[1]:11.2f}{ratios[2]:13.2f}")
    compiling = [first - second for first, second, _ in rows.values()]
    print(f"first step without its arithmetic: ratio {compiling[1] / compiling[0]:.2f}")
    print(
        "\ngrid search, 3 x 3 numbers x 5 folds + refit: programs compiled more than once, or large"
    )
    for solver in args.solvers:
        taken, counts = fresh("search", solver)
        large = {"_run_epochs", "_lbfgs", "_forward"}
        shown = ", ".join(f"{name} {k}" for name, k in counts if k > 1 or name in large)
        print(f"{solver:8}{taken:8.1f} s   {shown}")


if __name__ == "__main__":
    main()
