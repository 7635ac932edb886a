"""Training speed of MPSClassifier beside tn4ml and TensorKrowch, on the same chains.

Each library trains a matrix product state classifier on random rows in a process of its own, with
the interpreter that has it installed:

    python benchmarks/peers_speed.py --tn4ml-python A/bin/python --tensorkrowch-python B/bin/python

"first fit" is the time from data in memory to a trained epoch and the prediction of one batch, with
all compilation, without imports. "rows/s" is the throughput of the epochs after that. On a machine
that is busy with other things put `taskset -c 0` in front and give --cpu-time: on one core that is
what a clock would show without the others.

tn4ml runs as its examples do, normalised and canonicalised after every step, and once more without
either ("tn4ml plain"). sktn computes its ridge in function space besides the loss; the peers have
no such term.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np

clock = time.process_time if "--cpu-time" in sys.argv else time.perf_counter

# n features, d functions each, bond dimension D, rows in a batch, classes
CASES = [(30, 3, 20, 32, 2), (64, 2, 20, 64, 10), (784, 2, 10, 64, 10)]


def table(n, batch, n_batches, classes):
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(batch * n_batches, n)).astype(np.float32)
    return X, np.arange(len(X)) % classes


def run_sktn(n, d, D, batch, classes, n_batches, epochs):
    from sktn import MPSClassifier
    from sktn.chains.solvers import Adam

    warnings.simplefilter("ignore")  # so few epochs do not converge
    X, y = table(n, batch, n_batches, classes)
    settings = {
        "bond_dim": D,
        "embedding": "legendre",
        "degree": d - 1,
        "scaling": "minmax",
        "alpha": 0.1,
        "feature_order": "given",
        "random_state": 0,
    }

    def fit(max_iter):
        start = clock()
        solver = Adam(
            batch_size=batch, n_iter_no_change=None, learning_rate=1e-3, max_iter=max_iter
        )
        model = MPSClassifier(solver=solver, **settings).fit(X, y)
        taken = clock() - start
        assert model.n_iter_ == max_iter, "training stopped early"
        return model, taken

    start = clock()
    fit(1)[0].predict_proba(X[:batch])
    first = clock() - start
    # The difference of two fits is epochs alone; enough of them to be measured.
    short, more = fit(10)[1], 10 * epochs
    while (long := fit(10 + more)[1]) < short + 2:
        more *= 4
    rates = [more * len(X) / (fit(10 + more)[1] - fit(10)[1]) for _ in range(2)]
    return first, statistics.median([*rates, more * len(X) / (long - short)])


def run_tn4ml(n, d, D, batch, classes, n_batches, epochs, plain=False):
    import jax
    import optax
    import tn4ml.models.model
    from tn4ml.embeddings import PolynomialEmbedding, TrigonometricEmbedding
    from tn4ml.initializers import randn
    from tn4ml.metrics import CrossEntropySoftmax
    from tn4ml.models.mps import MPS_initialize
    from tn4ml.util import TrainingType

    warnings.simplefilter("ignore")
    tn4ml.models.model.time = clock  # for the epoch times in its history
    X, y = table(n, batch, n_batches, classes)
    onehot = np.eye(classes)[y]
    if d == 2:
        embedding = TrigonometricEmbedding(k=1)
    else:
        embedding = PolynomialEmbedding(degree=d - 1, n=1, include_bias=True)
    start = clock()
    model = MPS_initialize(
        L=n,
        initializer=randn(1e-2),
        key=jax.random.key(0),
        shape_method="even",
        bond_dim=D,
        phys_dim=d,
        class_index=n // 2,
        class_dim=classes,
        add_identity=True,
        compress=False,
        canonical_center=n // 2,
    )
    model.configure(
        strategy="global",
        optimizer=optax.adam,
        loss=CrossEntropySoftmax,
        device=("cpu", 0),
        train_type=TrainingType.SUPERVISED,
        learning_rate=1e-3,
    )
    built = clock() - start
    history = model.train(
        X,
        targets=onehot,
        batch_size=batch,
        epochs=1 + epochs,
        embedding=embedding,
        normalize=not plain,
        canonize=(not plain, n // 2),
        dtype=np.float32,
    )
    start = clock()
    np.asarray(model.forward(X[:batch], embedding=embedding, batch_size=batch))
    predicted = clock() - start
    times = history["epoch_time"]
    return built + times[0] + predicted, len(X) / statistics.median(times[1:])


def run_tensorkrowch(n, d, D, batch, classes, n_batches, epochs):
    import tensorkrowch as tk
    import torch

    X, y = table(n, batch, n_batches, classes)
    X, y = torch.tensor(X), torch.tensor(y)
    start = clock()
    # One more site for the class index.
    layer = tk.models.MPSLayer(
        n_features=n + 1, in_dim=d, out_dim=classes, bond_dim=D, init_method="randn_eye", std=1e-9
    )

    def embed(x):
        return tk.embeddings.poly(x, degree=d - 1)

    layer.trace(embed(torch.zeros(1, n)))
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)
    loss = torch.nn.CrossEntropyLoss()

    def epoch():
        order = torch.randperm(len(X))
        for rows in order.split(batch):
            optimizer.zero_grad()
            loss(layer(embed(X[rows])), y[rows]).backward()
            optimizer.step()

    epoch()
    with torch.no_grad():
        layer(embed(X[:batch]))
    first = clock() - start
    times = []
    for _ in range(epochs):
        start = clock()
        epoch()
        times.append(clock() - start)
    return first, len(X) / statistics.median(times)


RUNS = {
    "sktn": run_sktn,
    "tensorkrowch": run_tensorkrowch,
    "tn4ml": run_tn4ml,
    "tn4ml plain": lambda *case: run_tn4ml(*case, plain=True),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tn4ml-python", help="interpreter with tn4ml")
    parser.add_argument("--tensorkrowch-python", help="interpreter with tensorkrowch")
    parser.add_argument("--case", type=int, nargs="*", help=f"indices into {CASES}")
    parser.add_argument("--batches", type=int, default=10, help="batches in an epoch")
    parser.add_argument("--epochs", type=int, default=3, help="timed epochs of the peers")
    parser.add_argument("--cpu-time", action="store_true", help="processor time, not wall time")
    parser.add_argument("--run", choices=RUNS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        result = RUNS[args.run](*CASES[args.case[0]], args.batches, args.epochs)
        print("RESULT", json.dumps(result))
        return
    pythons = {
        "sktn": sys.executable,
        "tensorkrowch": args.tensorkrowch_python,
        "tn4ml": args.tn4ml_python,
        "tn4ml plain": args.tn4ml_python,
    }
    head = f"{'n, d, D, batch, classes':26}{'':14}{'first fit s':>12}{'ratio':>8}"
    print(head + f"{'rows/s':>12}{'ratio':>8}")
    for index in args.case if args.case is not None else range(len(CASES)):
        own = None
        for name, python in pythons.items():
            if python is None:
                continue
            command = [python, __file__, "--run", name, "--case", str(index)]
            command += ["--batches", str(args.batches), "--epochs", str(args.epochs)]
            command += ["--cpu-time"] * args.cpu_time
            done = subprocess.run(command, capture_output=True, text=True)
            line = next((x for x in done.stdout.splitlines() if x.startswith("RESULT")), None)
            if line is None:
                print(f"{CASES[index]!s:26}{name:14}failed: {done.stderr.strip()[-300:]}")
                continue
            first, rate = json.loads(line.removeprefix("RESULT"))
            own = own or (first, rate)
            print(
                f"{CASES[index]!s:26}{name:14}{first:12.2f}{first / own[0]:8.1f}"
                f"{rate:12.0f}{own[1] / rate:8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
