"""What each mechanism of RGTNDecomposer contributes: one off at a time."""

import argparse
import time

import numpy as np

from sktn import RGSearch, RGTNDecomposer
from sktn.networks import graph

VARIANTS = {
    "all mechanisms": {},
    "one scale": {"n_scales": 1},
    "no HOSVD reduction": {"reduction": False},
    "no tomography": {"tomography": False},
    "no gates": {"gates": False},
    "no information flow": {"information": False},
    "tension, not residual": {"expansion": "tension"},
    "no exchange": {"n_cycles": 0},
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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", help="a tensor of your own: .npz with key T")
    parser.add_argument("--targets", default="0.1")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    if args.file:
        tensors = {"file": lambda seed: np.load(args.file)["T"].astype(float)}
    else:
        tensors = {"planted": planted, "smooth": smooth}
    print(
        f"{'tensor':<10s}{'target':>8s}  {'variant':<24s}{'CR %':>10s}{'seconds':>10s}{'CPU s':>8s}"
    )
    for name, make in tensors.items():
        for target in map(float, args.targets.split(",")):
            for variant, parameters in VARIANTS.items():
                ratios, walls, cpus = [], [], []
                for seed in range(args.seeds):
                    X = make(seed)
                    wall, cpu = time.perf_counter(), time.process_time()
                    model = RGTNDecomposer(
                        target, random_state=seed, search=RGSearch(**parameters)
                    ).fit(X)
                    walls.append(time.perf_counter() - wall)
                    cpus.append(time.process_time() - cpu)
                    assert model.reconstruction_error_ <= target
                    ratios.append(100 * model.compression_ratio_)
                print(
                    f"{name:<10s}{target:>8g}  {variant:<24s}{np.mean(ratios):>10.4f}"
                    f"{np.mean(walls):>10.2f}{np.mean(cpus):>8.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
