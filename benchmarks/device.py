"""Every estimator on JAX's device beside NumPy, in one run of under ten minutes.

    python benchmarks/device.py                      sizes for an accelerator
    python benchmarks/device.py --tiny               seconds on a CPU: does it run
    python benchmarks/device.py --only epoch,video   some of the cases
    python benchmarks/device.py --light-field FILE   a tensor of an .npz file (key T) instead

Every case runs under ``sktn.config_context(backend="numpy")`` and ``(backend="jax")`` on the same
data, twice: the first time with all compilations, the second without. A figure beside the seconds
(accuracy, AUC, parameters per entry, error) says whether both computed the same.

epoch: one epoch of Adam with what goes before it, a classifier of images of 14 x 14 pixels, one
    site each, at bond dimensions 2, 50 and 200. Adam is compiled in either case: "numpy" is JAX on
    the CPU.
fit: the default classifier, sweeps included, at bond dimensions 2, 16 and 50.
cv: MPSClassifierCV at 5,000 and 50,000 rows.
anomaly: scores of many rows by a detector fitted on 5,000.
predict: scores of a chain of 30 sites at 100 to 1,000,000 rows.
light-field: a structure search at two errors.
video: the completion of a video of which seven tenths are missing.
"""

import argparse
import os
import platform
import time
import warnings

import jax
import numpy as np
from sklearn.datasets import make_classification
from sklearn.metrics import roc_auc_score

import sktn
from sktn.chains.solvers import Adam

BACKENDS = ("numpy", "jax")


def images(n_rows, side, rng):
    """Blurred squares in two sizes: pixels in [0, 1] that know of each other."""
    y = rng.integers(0, 2, n_rows)
    grid = np.arange(side)
    centre = rng.uniform(side / 4, 3 * side / 4, (n_rows, 2, 1))
    width = (side / 8) * (1 + y)[:, None, None]
    near = 1 / (1 + np.exp(2 * (np.abs(grid - centre) - width)))
    X = near[:, 0, :, None] * near[:, 1, None, :] + 0.1 * rng.random((n_rows, side, side))
    return np.clip(X, 0, 1).reshape(n_rows, -1).astype(np.float32), y


def table(n_rows, n_columns, seed=0):
    X, y = make_classification(
        n_rows, n_columns, n_informative=n_columns // 2, n_redundant=2, random_state=seed
    )
    return X.astype(np.float32), y


def light_field(views, height, width):
    """Views of two textured planes at different depths: (views, views, height, width, 3)"""
    u, v = np.meshgrid(np.arange(views), np.arange(views), indexing="ij")
    y, x = np.meshgrid(np.linspace(0, 6, height), np.linspace(0, 6, width), indexing="ij")
    out = 0
    for depth, phase in ((0.05, 0.0), (0.2, 1.0)):
        rows = y + depth * u[..., None, None]
        columns = x + depth * v[..., None, None]
        waves = [np.sin(k * rows + phase) * np.cos(k * columns) / k for k in (1, 3, 7)]
        colours = np.array([[1, 0.5, 0.2], [0.3, 1, 0.4], [0.2, 0.4, 1]])
        out = out + np.tensordot(np.stack(waves, axis=-1), colours, 1)
    return out


def video(frames, height, width, rng):
    """A disc that moves over a gradient, seven tenths of the entries missing: with and without."""
    t = np.linspace(0, 1, frames)[:, None, None]
    y, x = np.linspace(0, 1, height)[None, :, None], np.linspace(0, 1, width)[None, None]
    distance = np.hypot(y - 0.3 - 0.4 * t, x - 0.5 - 0.2 * np.sin(6 * t))
    whole = 0.3 * (x + y) + 1 / (1 + np.exp(30 * (distance - 0.2)))
    return np.where(rng.random(whole.shape) < 0.7, np.nan, whole), whole


def epochs(sizes):
    rng = np.random.default_rng(0)
    X, y = images(sizes["images"], sizes["side"], rng)
    for D in sizes["bond_dims"]:

        def run(D=D):
            model = sktn.MPSClassifier(
                bond_dim=D, degree=2, alpha=0.1, solver=Adam(init="constant"), random_state=0
            )
            return model.partial_fit(X, y, classes=[0, 1]).score(X[:500], y[:500])

        yield f"an epoch of Adam, D = {D}, {len(X):,} x {X.shape[1]}", run


def fits(sizes):
    X, y = table(sizes["rows"][0], 20)
    for D in sizes["fit_dims"]:

        def run(D=D):
            model = sktn.MPSClassifier(bond_dim=D, alpha=0.1, random_state=0).fit(X, y)
            return model.score(X, y)

        yield f"MPSClassifier, D = {D}, {len(X):,} x 20", run


def searches(sizes):
    for n_rows in sizes["rows"]:
        X, y = table(n_rows, 20)

        def run(X=X, y=y):
            return sktn.MPSClassifierCV(random_state=0).fit(X, y).score(X[:2000], y[:2000])

        yield f"MPSClassifierCV, {n_rows:,} x 20", run


def scores(sizes):
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(5, 20))
    X = rng.normal(size=(sizes["rows"][0] + sizes["scored"], 5)) @ mix
    X += 0.3 * rng.normal(size=X.shape)
    odd = rng.random(len(X)) < 0.05
    X[odd] += rng.normal(size=(odd.sum(), 20))
    n = sizes["rows"][0]
    model = sktn.SMPOAnomalyDetector(random_state=0).fit(X[:n])

    def run():
        return roc_auc_score(~odd[n:], model.score_samples(X[n:]))

    yield f"SMPOAnomalyDetector, scores of {len(X) - n:,} x 20", run


def predictions(sizes):
    X, y = table(2000, 30)
    model = sktn.MPSClassifier(bond_dim=16, alpha=0.1, solver="convex", random_state=0).fit(X, y)
    for n_rows in sizes["predicted"]:
        many = np.resize(X, (n_rows, 30))

        def run(many=many):
            return float(model.predict(many).mean())

        yield f"predict, D = 16, {n_rows:,} x 30", run


def structures(sizes):
    if sizes["light_field_file"]:
        with np.load(sizes["light_field_file"]) as data:
            T = data["T"]
    else:
        T = light_field(*sizes["light_field"])
    for error in sizes["errors"]:

        def run(error=error):
            model = sktn.RGTNDecomposer(error, time_limit=sizes["limit"], random_state=0).fit(T)
            return model.compression_ratio_

        shape = " x ".join(map(str, T.shape))
        yield f"RGTNDecomposer, {shape}, error {error}", run


def completions(sizes):
    gaps, whole = video(*sizes["video"], np.random.default_rng(0))

    def run():
        model = sktn.RGTNImputer(time_limit=sizes["limit"], random_state=0)
        filled = np.asarray(model.fit_transform(gaps)).reshape(whole.shape)
        return np.linalg.norm(filled - whole) / np.linalg.norm(whole)

    yield f"RGTNImputer, {' x '.join(map(str, gaps.shape))}", run


CASES = {
    "epoch": epochs,
    "fit": fits,
    "cv": searches,
    "anomaly": scores,
    "predict": predictions,
    "light-field": structures,
    "video": completions,
}

LARGE = {
    "images": 10_000,
    "side": 14,
    "bond_dims": (2, 50, 200),
    "fit_dims": (2, 16, 50),
    "rows": (5000, 50_000),
    "scored": 200_000,
    "predicted": (100, 10_000, 1_000_000),
    "light_field": (9, 60, 80),
    "errors": (0.1, 0.03),
    "video": (50, 72, 96),
    "limit": 30,
}
TINY = {
    "images": 64,
    "side": 4,
    "bond_dims": (2, 4),
    "fit_dims": (2,),
    "rows": (120,),
    "scored": 100,
    "predicted": (100,),
    "light_field": (2, 6, 8),
    "errors": (0.1,),
    "video": (5, 6, 8),
    # A search that runs out of time ends where the machine's speed says: no two ends agree.
    "limit": None,
}


def measure(run, backend):
    """Seconds of the first and of the second time, and the figure."""
    seconds = []
    with sktn.config_context(backend=backend), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            start = time.perf_counter()
            figure = run()
            seconds.append(time.perf_counter() - start)
    return *seconds, figure


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--light-field", default=None)
    parser.add_argument("--minutes", type=float, default=9.5, help="no case is begun after these")
    arguments = parser.parse_args(arguments)
    unknown = set(arguments.only.split(",")) - set(CASES)
    if unknown:
        parser.error(f"unknown cases {sorted(unknown)}: choose from {', '.join(CASES)}")
    sizes = (TINY if arguments.tiny else LARGE) | {"light_field_file": arguments.light_field}
    devices = jax.local_devices()
    print(
        f"{len(devices)} x {devices[0].device_kind}, {os.cpu_count()} CPUs, JAX {jax.__version__}"
    )
    print(f"Python {platform.python_version()}, sktn {sktn.__version__}, NumPy {np.__version__}")
    head = " ".join(f"{f'{name} first':>12} {'again':>8} {'figure':>7}" for name in BACKENDS)
    print(f"\n{'seconds':<52} {head}", flush=True)
    rows, began = [], time.perf_counter()
    for name in arguments.only.split(","):
        for label, run in CASES[name](sizes):
            if time.perf_counter() - began > 60 * arguments.minutes:
                print("out of time")
                return rows
            found = [measure(run, backend) for backend in BACKENDS]
            cells = " ".join(f"{a:12.2f} {b:8.2f} {figure:7.4f}" for a, b, figure in found)
            print(f"{label:<52} {cells}", flush=True)
            rows.append((label, found))
    return rows


if __name__ == "__main__":
    main()
