"""Head-to-head of structure searches: parameters per entry at equal error, and seconds.

Light fields are read from a folder of .npz files (key ``T``); orders 6 and 8 are generated.
A result above the target is marked with an asterisk.
"""

import argparse
import glob
import itertools
import os
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

import sktn
from sktn.networks import graph

METHODS = {
    "RGTN": sktn.RGTNDecomposer,
    "SVDinsTN": sktn.SVDinsTNDecomposer,
    "TNGreedy": sktn.GreedyTNDecomposer,
    "TNGA": sktn.GeneticTNDecomposer,
    "TNLS": sktn.LocalSearchTNDecomposer,
    "TnALE": sktn.EnumerationTNDecomposer,
    "TT-SVD": sktn.TTDecomposer,
    "TR-ALS": sktn.TRDecomposer,
    "FCTN-ALS": sktn.FCTNDecomposer,
}


def planted(order, seed):
    """Sparse random graph, mode sizes 7-8, bonds 2-3; returns the tensor and its parameters."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(7, 9, order)
    R = np.ones((order, order), dtype=int)
    nodes = rng.permutation(order)
    pairs = list(itertools.pairwise(nodes))  # a path keeps the graph connected
    others = [p for p in itertools.combinations(range(order), 2) if p not in pairs]
    pairs += [others[n] for n in rng.choice(len(others), 2, replace=False)]
    for i, j in pairs:
        R[i, j] = R[j, i] = rng.integers(2, 4)
    X = graph.to_dense(graph.random_cores(sizes, R, rng))
    return X / np.linalg.norm(X), graph.n_parameters(sizes, R)


def run(name, X, target, limit, seed):
    """Fit one method: compression ratio in percent, seconds, relative error."""
    cls, start = METHODS[name], time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if name == "TT-SVD":
            model = cls(target).fit(X)
        else:
            model = cls(target, time_limit=limit, random_state=seed).fit(X)
    seconds = time.perf_counter() - start
    return 100 * model.compression_ratio_, seconds, model.reconstruction_error_


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder of light fields (.npz)")
    parser.add_argument("--targets", default="0.1,0.05,0.01")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--orders", default="6,8", help="generated tensors; empty for none")
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    tensors = {}
    if args.data:
        for path in sorted(glob.glob(os.path.join(args.data, "*.npz"))):
            tensors[os.path.basename(path)[:-4]] = np.load(path)["T"].astype(float)
    for order in filter(None, args.orders.split(",")):
        X, size = planted(int(order), args.seed)
        print(f"order {order}: planted network has {100 * size / X.size:.4f} % of the entries")
        tensors[f"order {order}"] = X
    print(f"{'tensor':<28s}{'target':>8s}{'method':>12s}{'CR %':>12s}{'RE':>10s}{'seconds':>10s}")
    for name, X in tensors.items():
        for target in map(float, args.targets.split(",")):
            for method in args.methods.split(","):
                ratio, seconds, error = run(method, X, target, args.time_limit, args.seed)
                star = "" if error <= target else "*"
                print(
                    f"{name:<28.28s}{target:>8g}{method:>12s}{ratio:>12.4f}{error:>10.5f}{star:<1s}"
                    f"{seconds:>9.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
