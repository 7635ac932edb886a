"""Tensors with entries missing at random: the error on what was hidden.

    python benchmarks/completion.py --data FILE.npz FILE.npz --shares 0.5 0.9 --seeds 4
    python benchmarks/completion.py --data video/news.npz --shares 0.9 --peak 255

Every FILE holds an array T. Beside `RGTNImputer`: the mean, and TensorLy's CP decomposition with a
mask (the "interchange" extra), its rank chosen by a twentieth of the observed entries. Prints the
root mean squared error in standard deviations of the hidden entries and the seconds; with --peak
also the peak signal-to-noise ratio, averaged over slices along the last mode.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from _results import Results

from sktn import RGTNImputer

RANKS = (1, 2, 3, 5, 8, 12, 20)


def by_mean(X, seed):
    return np.where(np.isnan(X), np.nanmean(X), X)


def by_network(X, seed):
    return RGTNImputer(random_state=seed).fit_transform(X)


def by_cp(X, seed):
    import tensorly as tl
    from tensorly.decomposition import parafac

    seen = ~np.isnan(X)
    center, scale = X[seen].mean(), X[seen].std()
    Z = np.where(seen, (X - center) / scale, 0.0)
    held = seen & (np.random.default_rng(seed).random(X.shape) < 0.05)

    def fit(rank, mask):
        start = "random"  # SVDs of the unfoldings would see zeros where entries are missing
        options = {"init": start, "random_state": seed, "n_iter_max": 100, "tol": 1e-6}
        return tl.cp_to_tensor(parafac(Z * mask, rank, mask=mask.astype(float), **options))

    errors = [np.mean((fit(rank, seen & ~held) - Z)[held] ** 2) for rank in RANKS]
    values = fit(RANKS[int(np.nanargmin(errors))], seen)
    return np.where(seen, X, values * scale + center)


METHODS = {"rgtn": by_network, "mean": by_mean, "cp": by_cp}


def signal_to_noise(filled, T, peak):
    squares = ((np.clip(filled, 0, peak) - T) ** 2).reshape(-1, T.shape[-1]).mean(axis=0)
    return float(np.mean(10 * np.log10(peak**2 / np.maximum(squares, 1e-12))))


def measure(T, share, method, seed, peak):
    gaps = np.random.default_rng(100 + seed).random(T.shape) < share
    start = time.process_time()
    filled = METHODS[method](np.where(gaps, np.nan, T), seed)
    seconds = time.process_time() - start
    hidden = gaps & ~np.isnan(T)
    error = np.sqrt(np.mean((filled - T)[hidden] ** 2)) / np.std(T[hidden])
    psnr = {"psnr": signal_to_noise(filled, T, peak)} if peak else {}
    return {"error": error, "seconds": seconds, **psnr}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--shares", nargs="+", type=float, default=[0.5, 0.9])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--methods", nargs="+", default=["rgtn", "mean"], choices=list(METHODS))
    parser.add_argument("--peak", type=float, default=None)
    parser.add_argument("--out", help="file of results, read and extended")
    options = parser.parse_args()
    key = ("tensor", "share", "method", "seed")
    results = Results(options.out, key, packages=("tensorly",))
    # Warnings of rivals, and of growths that fail, are part of the result, not of the output.
    warnings.simplefilter("ignore")
    for path in options.data:
        T = np.load(path)["T"].astype(float)
        results.used(Path(path).stem, T)
        for share in options.shares:
            for method in options.methods:
                found = [
                    measure(T, share, method, seed, options.peak) for seed in range(options.seeds)
                ]
                for seed, row in enumerate(found):
                    name = Path(path).stem
                    results.add(tensor=name, share=share, method=method, seed=seed, **row)
                errors = [row["error"] for row in found]
                seconds = np.mean([row["seconds"] for row in found])
                more = f"  {np.mean([row['psnr'] for row in found]):.2f} dB" if options.peak else ""
                print(
                    f"{Path(path).stem:36s} {share:.0%}  {method:5s} mean {np.mean(errors):.3f}  "
                    f"worst {np.max(errors):.3f}  {seconds:.1f} s{more}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
