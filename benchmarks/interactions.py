"""Exact interactions of a chain beside the shapiq package: agreement on few features, and speed.

    python benchmarks/interactions.py                 # needs pip install shapiq
    python benchmarks/interactions.py --features 8 --rows 2

The same game (a row against one background row) goes to both: shapiq evaluates the chain on all 2^n
coalitions, the transfer matrices need none. Then all pairs of 100 rows, 30 features and two scores.
"""

import argparse
import time

import numpy as np
from shapiq import ExactComputer
from sklearn.datasets import load_breast_cancer

from sktn import MPSClassifier, MPSRegressor
from sktn.inspection import interactions

NAMES = {"shapley": "SII", "shapley-taylor": "STII", "faithful": "FSII", "banzhaf": "BII"}


def timed(function, *arguments, **keywords):
    start = time.process_time()
    out = function(*arguments, **keywords)
    return out, time.process_time() - start


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--features", type=int, default=10, help="columns of the breast cancer set")
    parser.add_argument("--rows", type=int, default=5)
    parser.add_argument("--order", type=int, default=2)
    arguments = parser.parse_args()
    X, y = load_breast_cancer(return_X_y=True)
    n = arguments.features
    model = MPSClassifier(alpha=0.1, random_state=0).fit(X[:, :n], y)
    rows, background = X[: arguments.rows, :n], X[-1:, :n]
    model.decision_function(rows)
    print(f"{arguments.rows} rows, {n} features, order {arguments.order}; seconds of processor")
    print(f"{'index':16s} {'sktn':>8s} {'shapiq':>8s} {'ratio':>7s}  largest difference, relative")
    for index, name in NAMES.items():
        own, seconds = timed(
            interactions, model, rows, order=arguments.order, index=index, background=background
        )

        def theirs(index_name=name):
            out = []
            for row in rows:

                def value(coalitions, row=row):
                    return model.decision_function(np.where(coalitions, row, background[0]))

                game = ExactComputer(game=value, n_players=n)
                out.append(game(index=index_name, order=arguments.order))
            return out

        reference, their_seconds = timed(theirs)
        expected = np.array([[values[subset] for subset in own.subsets] for values in reference])
        error = np.abs(own.values - expected).max() / np.abs(expected).max()
        print(
            f"{index:16s} {seconds:8.3f} {their_seconds:8.3f} {their_seconds / seconds:7.1f}  "
            f"{error:.1e}"
        )
    two = MPSRegressor(alpha=0.1, random_state=0).fit(X, np.column_stack([y, X[:, 3]]))
    found, seconds = timed(interactions, two, X[:100])
    print(f"\nall pairs, values {found.values.shape}: {seconds:.2f} s of processor")


if __name__ == "__main__":
    main()
