"""Recovery of planted structures: trials that end as small as the network that made the tensor.

Random connected graphs with bonds 2-3, sizes of the modes between 8 and 20 (smaller at high order,
so that the tensor fits), with noise of a given share of the norm. A trial counts if the network
found meets the target and has no more parameters than the planted one.
"""

import argparse
import time

import numpy as np

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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", default="4,5,6,8")
    parser.add_argument("--seeds", default="100,100,20,10", help="one number for every order")
    parser.add_argument("--noise", default="0,0.01")
    parser.add_argument("--time-limit", type=float, default=60.0)
    args = parser.parse_args()
    columns = "order", "noise", "trials", "exact", "smaller", "larger", "CPU s"
    print("".join(f"{name:>8s}" for name in columns))
    for order, n_seeds in zip(args.orders.split(","), args.seeds.split(","), strict=True):
        for noise in map(float, args.noise.split(",")):
            counts, cpu, missed = {"exact": 0, "smaller": 0, "larger": 0}, 0.0, []
            for seed in range(int(n_seeds)):
                X, R = planted(int(order), noise, seed)
                # A little more than the noise, which no network of this size can follow.
                target = 1.02 * noise if noise else 1e-4
                begun = time.process_time()
                model = RGTNDecomposer(target, time_limit=args.time_limit, random_state=seed).fit(X)
                cpu += time.process_time() - begun
                size = graph.n_parameters(X.shape, R)
                kind = "smaller" if model.n_parameters_ < size else "exact"
                kind = "larger" if model.n_parameters_ > size else kind
                counts[kind] += 1
                if kind == "larger":
                    missed.append((seed, size, model.n_parameters_))
            print(
                f"{order:>8s}{noise:>8g}{n_seeds:>8s}{counts['exact']:>8d}{counts['smaller']:>8d}"
                f"{counts['larger']:>8d}{cpu / int(n_seeds):>8.2f}  {missed or ''}",
                flush=True,
            )


if __name__ == "__main__":
    main()
