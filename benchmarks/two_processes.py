"""Several processes, each with several devices, fit one model: the same scores as one process.

    python benchmarks/two_processes.py

Both processes run on this machine and talk over loopback by `jax.distributed`; on a cluster each
would run on a host of its own, with that host's accelerators. All run the same script on the same
table: rows are divided among the devices of all processes, and only sums travel.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning


def fit(args):
    """What every process does."""
    if args.of > 1:
        import jax

        address = f"127.0.0.1:{args.port}"
        jax.distributed.initialize(address, num_processes=args.of, process_id=args.process)
    import sktn
    from sktn.chains.solvers import Adam
    from sktn.chains.streamed import STREAMED_ROWS

    # Epochs are a budget here.
    warnings.simplefilter("ignore", ConvergenceWarning)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(args.rows, 6)).astype(np.float32)
    y = (X[:, 0] * X[:, 1] + X[:, 2] + 0.3 * rng.normal(size=args.rows) > 0).astype(int)
    solver = Adam(max_iter=2, batch_size=512)
    small = {"bond_dim": 4, "degree": 3, "max_landmarks": 200}
    model = sktn.MPSClassifier(alpha=0.1, solver=solver, random_state=0, **small)
    with sktn.config_context(backend="jax"):
        proba = model.fit(X, y).predict_proba(X[:2000])
        if args.process == 0:
            streamed = "streamed" if args.rows > STREAMED_ROWS else "in memory"
            n = sktn.backend.get_executor().n_devices
            accuracy = np.mean(proba.argmax(1) == y[:2000])
            print(
                f"{args.of} processes, {n} devices, {streamed}: accuracy {accuracy:.4f}", flush=True
            )
            np.save(args.out, proba)


def started(args, of, out):
    """Processes of one fit."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    count = f"--xla_force_host_platform_device_count={args.devices // of}"
    environment = os.environ | {"XLA_FLAGS": count, "JAX_PLATFORMS": "cpu"}
    call = [sys.executable, __file__, "--of", of, "--port", port, "--out", out, "--rows", args.rows]
    return [
        subprocess.Popen([str(word) for word in (*call, "--process", k)], env=environment)
        for k in range(of)
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--devices", type=int, default=8, help="of all processes together")
    for name in ("of", "port", "process"):
        parser.add_argument(f"--{name}", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.of is not None:
        return fit(args)
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for of in (1, 2):
            out = Path(folder) / f"{of}.npy"
            codes = [process.wait() for process in started(args, of, out)]
            if any(codes):
                sys.exit(f"{of} processes ended with {codes}")
            found.append(np.load(out))
    print(f"largest difference of a probability: {np.abs(found[0] - found[1]).max():.1e}")
    return None


if __name__ == "__main__":
    main()
