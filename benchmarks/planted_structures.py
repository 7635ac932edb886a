"""Recovery of planted structures: trials that end as small as the network that made the tensor.

Random connected graphs with bonds 2-3, sizes of the modes between 8 and 20 (smaller at high order,
so that the tensor fits), with noise of a given share of the norm. A trial counts if the network
found meets the target and has no more parameters than the planted one.
"""

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
from _results import FOLDER, Results

from sktn import RGTNDecomposer
from sktn.networks import graph

# Longest modes by order: some 10^6 entries at most.
LONGEST = {4: 20, 5: 16, 6: 10, 8: 6}
# Chance of every edge beyond a spanning tree.
EXTRA = 0.3


def planted(order, noise, seed):
    """A tensor of norm one, and the bonds it was made with."""
    rng = np.random.default_rng(seed)
    longest = LONGEST[order]
    sizes = rng.integers(min(8, longest), longest + 1, order)
    R = np.ones((order, order), dtype=int)
    nodes = rng.permutation(order)
    for n in range(1, order):
        i, j = nodes[n], nodes[rng.integers(n)]
        R[i, j] = R[j, i] = rng.integers(2, 4)
    # From order six on a dense graph fills its tensor: there are two more edges, as published.
    loose = [(i, j) for i in range(order) for j in range(i) if R[i, j] == 1]
    chosen = [edge for edge in loose if rng.random() < EXTRA]
    if order > 5:
        chosen = [loose[n] for n in rng.choice(len(loose), 2, replace=False)]
    for i, j in chosen:
        R[i, j] = R[j, i] = rng.integers(2, 4)
    X = graph.to_dense(graph.random_cores(sizes, R, rng))
    X /= np.linalg.norm(X)
    if noise:
        E = rng.standard_normal(X.shape)
        X = X + noise * E / np.linalg.norm(E)
    return X / np.linalg.norm(X), R


def measure(order, noise, seed, limit):
    """One trial: sizes of both networks, error, CPU seconds."""
    X, R = planted(order, noise, seed)
    # A little more than the noise, which no network of this size can follow.
    target = 1.02 * noise if noise else 1e-4
    begun = time.process_time()
    model = RGTNDecomposer(target, time_limit=limit, random_state=seed).fit(X)
    return {
        "planted": int(graph.n_parameters(X.shape, R)),
        "found": int(model.n_parameters_),
        "met": bool(model.reconstruction_error_ <= target),
        "cpu": time.process_time() - begun,
    }


def groups(rows):
    """(order, noise), rows, and how these ended: 0 as large as the planted network, -1 smaller, 1
    larger or beside the target."""
    for order, noise in sorted({(row["order"], row["noise"]) for row in rows}):
        own = [row for row in rows if (row["order"], row["noise"]) == (order, noise)]
        signs = [np.sign(row["found"] - row["planted"]) if row["met"] else 1 for row in own]
        yield (order, noise), own, signs


def show(rows):
    """Trials that ended as large as the planted network, smaller and larger, by order and noise."""
    columns = "order", "noise", "trials", "exact", "smaller", "larger", "CPU s"
    print("".join(f"{name:>8s}" for name in columns))
    for (order, noise), own, signs in groups(rows):
        missed = [
            (row["seed"], row["planted"], row["found"])
            for row, sign in zip(own, signs, strict=True)
            if sign > 0
        ]
        print(
            f"{order:>8d}{noise:>8g}{len(own):>8d}{signs.count(0):>8d}{signs.count(-1):>8d}"
            f"{len(missed):>8d}{np.mean([row['cpu'] for row in own]):>8.2f}  {missed or ''}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", default="4,5,6,8")
    parser.add_argument("--seeds", default="100,100,20,10", help="one number for every order")
    parser.add_argument("--noise", default="0,0.01")
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=FOLDER / "planted_structures.json")
    parser.add_argument("--again", action="store_true", help="measure what is in the file anew")
    args = parser.parse_args()
    results = Results(args.out, key=("order", "noise", "seed"), again=args.again)
    counts = map(int, args.seeds.split(","))
    for order, n_seeds in zip(map(int, args.orders.split(",")), counts, strict=True):
        for noise, seed in itertools.product(map(float, args.noise.split(",")), range(n_seeds)):
            key = {"order": order, "noise": noise, "seed": seed}
            if not results.has(**key):
                results.add(**key, **measure(order, noise, seed, args.time_limit))
    show(results.rows)


if __name__ == "__main__":
    main()
