#!/usr/bin/env python
"""Exact Shapley values by transfer matrices beside the samplers of the shap package.

The same model, the same background rows, times taken in one run; needs `pip install shap`:

    python benchmarks/shapley.py --features 10   # the kernel explainer enumerates all coalitions
    python benchmarks/shapley.py --features 30   # and here it samples them
"""

import argparse
import time

import numpy as np
import shap
from sklearn.datasets import load_breast_cancer

from sktn import MPSClassifier
from sktn.inspection import shapley_values


def seconds(function, *arguments, **keywords):
    start = time.perf_counter()
    out = function(*arguments, **keywords)
    return out, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=30, help="columns of the breast cancer set")
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--background", type=int, default=10, help="background rows")
    parser.add_argument("--interaction-penalty", type=float, default=0.1)
    arguments = parser.parse_args()
    X, y = load_breast_cancer(return_X_y=True)  # float64, and so is the model
    X = X[:, : arguments.features]
    model = MPSClassifier(interaction_penalty=arguments.interaction_penalty, random_state=0)
    model.fit(X, y)
    rows, background = X[: arguments.rows], X[-arguments.background :]
    model.decision_function(X[:64])  # whatever starts at a first call has started
    shapley_values(model, rows[:1])

    exact, reference = seconds(shapley_values, model, rows, background=background)
    n_rows, n = rows.shape
    print(f"{n_rows} rows, {n} features, {len(background)} background rows\n")
    print(f"{'method':36s} {'seconds':>8s} {'ratio':>7s}  largest difference, of the largest value")
    print(f"{'sktn, exact':36s} {reference:8.3f} {1:7.1f}")
    size = np.abs(exact.values).max()
    kernel = shap.KernelExplainer(model.decision_function, background)
    permutation = shap.PermutationExplainer(model.decision_function, background)
    explainers = {
        "shap.KernelExplainer": lambda: kernel.shap_values(rows, silent=True),
        "shap.PermutationExplainer": lambda: permutation(rows, silent=True).values,
    }
    for name, explain in explainers.items():
        values, duration = seconds(explain)
        error = np.abs(values - exact.values).max() / size
        print(f"{name:36s} {duration:8.3f} {duration / reference:7.1f}  {error:.1e}")
    duration = seconds(shapley_values, model, rows)[1]
    print(f"{'sktn, product of the columns':36s} {duration:8.3f} {duration / reference:7.1f}")
    duration = seconds(shapley_values, model, X[:100])[1]
    print(f"\n100 rows, product of the columns: {duration:.3f} s")


if __name__ == "__main__":
    main()
