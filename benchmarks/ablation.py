"""What each mechanism of RGTNDecomposer contributes: one off at a time."""

import argparse
import itertools
import time
import warnings
from pathlib import Path

import numpy as np
from _results import FOLDER, Results
from sklearn.exceptions import ConvergenceWarning
from structure_search import tensors

from sktn import RGSearch, RGTNDecomposer
from sktn.networks import graph

VARIANTS = {
    "everything": {},
    "no foldings": {"fold": None},
    "no HOSVD reduction": {"search": RGSearch(reduction=False)},
    "no tomography": {"search": RGSearch(tomography=False)},
    "no information flow": {"search": RGSearch(information=False)},
    "no exchange": {"search": RGSearch(n_cycles=0)},
    "no race": {"search": RGSearch(race=False)},
    "no random starts": {"search": RGSearch(random_starts=False)},
    "as published": {"search": "paper"},
}


def smooth(seed):
    """A random field with correlated modes, as images have."""
    X = np.random.default_rng(seed).normal(size=(32, 24, 12, 8))
    for axis in range(4):
        for _ in range(4):
            X = 0.5 * X + 0.25 * (np.roll(X, 1, axis) + np.roll(X, -1, axis))
    return X


def planted(seed):
    """A ring with a chord."""
    rng = np.random.default_rng(seed)
    R = np.ones((5, 5), dtype=int)
    for i, j, r in [(0, 1, 3), (1, 2, 2), (2, 3, 3), (3, 4, 2), (0, 4, 2), (1, 3, 2)]:
        R[i, j] = R[j, i] = r
    return graph.to_dense(graph.random_cores([18, 14, 10, 12, 9], R, rng))


def chosen(folder, only):
    """(name, tensor): generated ones, and those of the folder."""
    made = [("smooth", smooth(0)), ("ring with a chord", planted(0))]
    for name, X in itertools.chain(made, tensors(folder, (6,))):
        if any(word in name for word in only.split(",")):
            yield name, X


def show(rows):
    """Size relative to that of the whole search, geometric mean over seeds, and CPU seconds."""
    print(
        f"{'tensor':<30s}{'target':>7s}  {'variant':<22s}{'size %':>9s}{'whole':>8s}{'CPU s':>8s}"
    )
    whole = {}
    for row in sorted(rows, key=lambda row: (row["tensor"], list(VARIANTS).index(row["variant"]))):
        key = row["tensor"], row["target"], row["seed"]
        if row["variant"] == "everything":
            whole[key] = row["ratio"]
        share = row["ratio"] / whole.get(key, np.nan)
        missed = "" if row["met"] else " missed"
        print(
            f"{row['tensor']:<30.30s}{row['target']:>7g}  {row['variant']:<22s}"
            f"{100 * row['ratio']:>9.4f}{share:>8.3f}{row['cpu']:>8.1f}{missed}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder with lightfield, video and volume")
    parser.add_argument("--only", default="", help="tensors whose name contains one of these")
    parser.add_argument("--variants", default=";".join(VARIANTS), help="separated by semicolons")
    parser.add_argument("--targets", default="0.1")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=FOLDER / "ablation.json")
    args = parser.parse_args()
    results = Results(args.out, key=("tensor", "target", "variant", "seed"))
    for name, X in chosen(args.data, args.only):
        results.used(name, X)
        for target, seed, variant in itertools.product(
            map(float, args.targets.split(",")), range(args.seeds), args.variants.split(";")
        ):
            key = {"tensor": name, "target": target, "variant": variant, "seed": seed}
            if results.has(**key):
                continue
            cpu = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model = RGTNDecomposer(
                    target, random_state=seed, time_limit=args.time_limit, **VARIANTS[variant]
                ).fit(X)
            results.add(
                **key,
                ratio=model.compression_ratio_,
                met=bool(model.reconstruction_error_ <= target),
                cpu=time.process_time() - cpu,
            )
    show(results.rows)


if __name__ == "__main__":
    main()
