"""RGTNCompleter on ratings that are made up: who, what, when, and how much.

    python benchmarks/coordinates.py --users 100000 --items 10000 --months 10 --ratings 10000000

Users and items have effects and a taste of a few dimensions, of which each month likes some more;
items are rated as often as a power law says. A rating has noise of deviation .5.
Prints the error of predictions against ratings without their noise that were held out, of effects
alone and of the network, beside the deviation of these ratings; seconds of CPU, largest memory.
"""

import argparse
import resource
import time

import numpy as np

from sktn import RGTNCompleter


def ratings(shape, n, rank, noise, seed):
    """Coordinates (n, 3), ratings (n,), and what they would be without noise (n,)."""
    rng = np.random.default_rng(seed)
    index = np.empty((n, 3), np.int32)
    for k, (size, power) in enumerate(zip(shape, (1.3, 2.0, 1.0), strict=True)):
        index[:, k] = size * rng.random(n) ** power
    taste, kind = (rng.normal(size=(size, rank)).astype(np.float32) for size in shape[:2])
    liked = rng.uniform(0.2, 1.8, (shape[2], rank)).astype(np.float32)
    value = np.einsum("br,br,br->b", taste[index[:, 0]], kind[index[:, 1]], liked[index[:, 2]])
    value /= value.std()
    for k, scale in enumerate((0.6, 0.6, 0.1)):
        value += scale * rng.normal(size=shape[k]).astype(np.float32)[index[:, k]]
    return index, value + noise * rng.normal(size=n).astype(np.float32), value


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--months", type=int, default=10)
    parser.add_argument("--ratings", type=int, default=200_000)
    parser.add_argument("--rank", type=int, default=3)
    parser.add_argument("--noise", type=float, default=0.5)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--time-limit", type=float, help="of the search, in seconds")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    shape = options.users, options.items, options.months
    for seed in range(options.seeds):
        X, y, truth = ratings(shape, options.ratings, options.rank, options.noise, seed)
        n = len(y) - len(y) // 20
        begun = time.process_time()
        settings = {"time_limit": options.time_limit, "verbose": options.verbose}
        model = RGTNCompleter(random_state=seed, **settings).fit(X[:n], y[:n])
        seconds = time.process_time() - begun
        error = np.sqrt(np.mean((model.predict(X[n:]) - truth[n:]) ** 2))
        # The first entry of the history is of effects alone, and noise is part of its error.
        squared = (model.history_[0]["relative_error"] * model.scale_) ** 2 - options.noise**2
        bonds = model.bond_dims_[np.triu_indices(3, 1)].tolist()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{n} of {np.prod([float(s) for s in shape]):.0e} entries, seed {seed}: deviation "
            f"{truth.std():.3f}, error of effects {np.sqrt(max(squared, 0.0)):.3f}, of the network "
            f"{error:.3f}; bonds {bonds}, {seconds:.0f} s of CPU, {memory:.2f} GiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
