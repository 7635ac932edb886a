"""Seconds to score many rows: SMPOAnomalyDetector beside an exact kernel density estimate.

Both are fitted on the same training rows, and all times are taken in one run:

    python benchmarks/anomaly_speed.py --train 10000 --rows 100000 --columns 30
"""

import argparse
import time

import numpy as np
from sklearn.neighbors import KernelDensity

from sktn import SMPOAnomalyDetector
from sktn.anomaly import Projector


def table(n_rows, n_columns, rng):
    """Correlated columns with two clusters."""
    factors = rng.normal(size=(n_rows, 5)) + 2 * rng.integers(0, 2, size=(n_rows, 1))
    return factors @ rng.normal(size=(5, n_columns)) + 0.5 * rng.normal(size=(n_rows, n_columns))


def seconds(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--bond-dim", type=int, default=None)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    X = table(arguments.train + arguments.rows, arguments.columns, rng)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    train, rows = X[: arguments.train], X[arguments.train :]
    detectors = {
        "KernelDensity(bandwidth=1)": KernelDensity(bandwidth=1.0, rtol=0, atol=0),
        "SMPOAnomalyDetector()": SMPOAnomalyDetector(
            operator=Projector(bond_dim=arguments.bond_dim), random_state=0
        ),
    }
    print(f"{'detector':30s} {'fit':>8s} {'score':>8s}  seconds")
    times = {}
    for name, detector in detectors.items():
        fit = seconds(detector.fit, train)
        times[name] = seconds(detector.score_samples, rows)
        print(f"{name:30s} {fit:8.2f} {times[name]:8.2f}")
    slow, fast = times.values()
    print(f"scoring is {slow / fast:.1f} times faster")


if __name__ == "__main__":
    main()
