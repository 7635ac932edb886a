"""Head-to-head of structure searches: parameters per entry at equal error, and seconds.

`--data FOLDER` adds the light fields, videos and volumes in it (lightfield/*.npz, video/*.npz,
volume/*.npz, key T); orders 6 and 8 are generated. Videos are reduced to a quarter of their width
and height. A search that misses the target has no size that counts.
"""

import argparse
import itertools
import time
import warnings
from pathlib import Path

import numpy as np
from _results import FOLDER, Results
from sklearn.exceptions import ConvergenceWarning

import sktn
from sktn.networks import graph

METHODS = {
    "RGTN": sktn.RGTNDecomposer,
    "RGTN, no folding": sktn.RGTNDecomposer,
    "SVDinsTN": sktn.SVDinsTNDecomposer,
    "TNGreedy": sktn.GreedyTNDecomposer,
    "TNGA": sktn.GeneticTNDecomposer,
    "TNLS": sktn.LocalSearchTNDecomposer,
    "TnALE": sktn.EnumerationTNDecomposer,
    "TT-SVD": sktn.TTDecomposer,
    "TR-ALS": sktn.TRDecomposer,
    "FCTN-ALS": sktn.FCTNDecomposer,
}
KEY = ("tensor", "target", "method", "seed")


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


def tensors(folder, orders):
    """(name, tensor) of the folder, then generated ones."""
    for kind in ("lightfield", "video", "volume"):
        for path in sorted(Path(folder, kind).glob("*.npz")) if folder else []:
            with np.load(path) as data:
                X = np.nan_to_num(data["T"].astype(float))
            yield path.stem, X[::4, ::4] if kind == "video" else X
    for order in orders:
        yield f"order {order}", planted(order, 0)[0]


def run(name, X, target, limit, seed):
    """Fit one method: parameters, error, seconds by the clock and of the CPU."""
    options = {"fold": None} if name == "RGTN, no folding" else {}
    if name != "TT-SVD":
        options |= {"time_limit": limit, "random_state": seed}
    wall, cpu = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = METHODS[name](target, **options).fit(X)
    return {
        "parameters": model.n_parameters_,
        "ratio": model.compression_ratio_,
        "error": model.reconstruction_error_,
        "met": bool(model.reconstruction_error_ <= target),
        "seconds": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
    }


def show(rows):
    """Per cent of the entries, mean over the seeds and worst, of runs that met the target."""
    print(
        f"{'tensor':<30s}{'target':>7s}  {'method':<18s}{'mean %':>9s}{'worst %':>9s}{'CPU s':>8s}"
    )
    for (name, target), some in _grouped(rows, ("tensor", "target")):
        best = min((r["ratio"] for r in some if r["met"]), default=np.nan)
        for (method,), own in _grouped(some, ("method",)):
            ratios = [100 * row["ratio"] for row in own if row["met"]]
            cpu = np.mean([row["cpu"] for row in own])
            missed = f" missed by {len(own) - len(ratios)} of {len(own)}"
            if ratios:
                missed = missed if len(ratios) < len(own) else ""
                mark = " *" if min(ratios) <= 100 * best else ""
                numbers = f"{np.mean(ratios):>9.4f}{max(ratios):>9.4f}"
            else:
                mark, numbers = "", f"{'-':>9s}{'-':>9s}"
            print(f"{name:<30.30s}{target:>7g}  {method:<18s}{numbers}{cpu:>8.1f}{mark}{missed}")


def _grouped(rows, columns):
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[c] for c in columns), []).append(row)
    return groups.items()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder with lightfield, video and volume")
    parser.add_argument("--only", default="", help="tensors whose name contains one of these")
    parser.add_argument("--targets", default="0.1,0.05,0.01")
    parser.add_argument("--methods", default=";".join(METHODS), help="separated by semicolons")
    parser.add_argument("--orders", default="6,8", help="generated tensors; empty for none")
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=FOLDER / "structure_search.json")
    parser.add_argument("--again", action="store_true", help="measure what is in the file anew")
    args = parser.parse_args()
    results = Results(args.out, key=KEY, again=args.again)
    orders = [int(order) for order in args.orders.split(",") if order]
    for name, X in tensors(args.data, orders):
        if not any(word in name for word in args.only.split(",")):
            continue
        results.used(name, X)
        for target, seed, method in itertools.product(
            map(float, args.targets.split(",")), range(args.seeds), args.methods.split(";")
        ):
            key = {"tensor": name, "target": target, "method": method, "seed": seed}
            if not results.has(**key) and not (method == "TT-SVD" and seed):
                found = run(method, X, target, args.time_limit, seed)
                results.add(**key, limit=args.time_limit, **found)
    show(results.rows)


if __name__ == "__main__":
    main()
