#!/usr/bin/env python
"""A grid search in threads and in processes, which start and compile for themselves:

python -W ignore benchmarks/parallel_search.py --jobs 2
"""

import argparse
import time

import joblib
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV

from sktn import MPSClassifier
from sktn.chains.solvers import Adam, Sweep


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2)
    jobs = parser.parse_args().jobs
    X, y = load_breast_cancer(return_X_y=True)
    for solver in (Sweep(max_iter=30), Adam(max_iter=30)):
        for backend in ("threading", "loky"):
            model = MPSClassifier(solver=solver, alpha=0.1, bond_dim=8, degree=3, random_state=0)
            grid = {"interaction_penalty": [0.1, 0.3, 1.0, 3.0]}
            start = time.perf_counter()
            with joblib.parallel_backend(backend):
                GridSearchCV(model, grid, cv=3, n_jobs=jobs).fit(X, y)
            print(f"{solver!s:20s} {backend:10s} {time.perf_counter() - start:6.1f} s")


if __name__ == "__main__":
    main()
