"""Floating-point rate of a training step, as a share of the matrix-product peak of the machine.

    python benchmarks/flops.py

The peak is that of a float32 product of two square matrices in JAX. The step is loss, ridge and
their gradient on one mini-batch. Its useful operations are counted by hand: 6 b n d D^2 for the
chain (forward, and twice that backward) and 12 n d D^3 for the ridge. The parts are timed alone;
"rest" is what the step takes beyond them. On a machine that is busy with other things put
`taskset -c 0` in front and give --cpu-time.
"""

import argparse
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from sktn import initializers, losses
from sktn.embeddings import Legendre
from sktn.networks import folding, mps
from sktn.solvers import chain_gradient
from sktn.solvers.problem import ChainProblem
from sktn.tables.basis import embed, fit_basis
from sktn.tables.column_fit import fit_columns
from sktn.tables.penalty import penalty_weights

clock = time.process_time if "--cpu-time" in sys.argv else time.perf_counter


def seconds(function, *args):
    """Best time of a compiled function."""
    compiled = jax.jit(function).lower(*args).compile()
    jax.block_until_ready(compiled(*args))
    best, repeats = np.inf, 1
    stop = time.perf_counter() + 1.0
    while time.perf_counter() < stop:
        start = clock()
        for _ in range(repeats):
            jax.block_until_ready(compiled(*args))
        taken = (clock() - start) / repeats
        best = min(best, taken)
        # Long enough for the clock's resolution.
        repeats = max(1, int(0.02 / max(taken, 1e-6)))
    return best


def peak():
    """Operations per second of the best square matrix product."""
    sizes = (512, 1024, 2048)
    matrices = [jnp.ones((size, size), jnp.float32) for size in sizes]
    return max(2 * len(A) ** 3 / seconds(jnp.matmul, A, A) for A in matrices)


def step_inputs(n, d, D, batch):
    """What `chain_loss` takes, as it is when training starts."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(batch, n)).astype(np.float32)
    columns = fit_columns(X)
    coords = columns.transform(X)
    basis = fit_basis(columns, coords, Legendre(d - 1))
    loss, target = losses.classification(np.arange(batch) % 2, 2, np.float32)
    problem = ChainProblem(
        basis, coords, loss, target, np.ones(batch), penalty_weights(basis, 1.0, 1.0), 0.1
    )
    order, site = np.arange(n), n // 2
    params = chain_gradient.started(initializers.near_constant, rng, problem, [order], site, D)
    context = chain_gradient.context_of(problem, [order], site)
    tree = (params, chain_gradient.rows_of(problem), problem.weight, context)
    return jax.tree.map(
        lambda x: jnp.asarray(x, jnp.float32 if x.dtype.kind == "f" else None), tree
    )


def data_loss(params, data, weight, context):
    phi = embed(context["basis"], data["coords"]) / context["roots"]
    inputs = folding.fold_inputs(phi, context["index"][0])
    out, log_scale = mps.contract_arms(params["arms"][0], params["readout"][0], inputs)
    scores = out * jnp.exp(log_scale)[:, None]
    return losses.weighted_mean(context["loss"].values(scores, data["target"]), weight)


def ridge(params, context):
    arms = params["arms"][0]
    weights = jnp.ones((*arms.shape[:2], arms.shape[3]), arms.dtype)
    return mps.mean_and_penalty(arms, params["readout"][0], weights)[1]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--dim", type=int, default=4, help="physical dimension d")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--bond-dims", type=int, nargs="*", default=[16, 32, 64, 128])
    parser.add_argument("--cpu-time", action="store_true", help="processor time, not wall time")
    args = parser.parse_args()
    n, d, b = args.features, args.dim, args.batch
    best = peak()
    print(f"matrix-product peak, float32: {best / 1e9:.0f} GFLOP/s ({jax.default_backend()})")
    print(f"n = {n}, d = {d}, batch = {b}")
    print(
        f"{'D':>5}{'step ms':>10}{'GFLOP/s':>10}{'of peak':>9}"
        f"{'embed':>9}{'chain':>9}{'of peak':>9}{'ridge':>9}{'of peak':>9}{'rest':>9}"
    )
    for D in args.bond_dims:
        params, data, weight, context = step_inputs(n, d, D, b)
        step = seconds(jax.value_and_grad(chain_gradient.chain_loss), params, data, weight, context)
        inputs = seconds(
            lambda data, context: embed(context["basis"], data["coords"]), data, context
        )
        chain = seconds(jax.value_and_grad(data_loss), params, data, weight, context) - inputs
        penalty = seconds(jax.value_and_grad(ridge), params, context)
        chain_operations, ridge_operations = 6 * b * n * d * D**2, 12 * n * d * D**3
        rate = (chain_operations + ridge_operations) / step
        rest = step - inputs - chain - penalty
        print(
            f"{D:5}{step * 1e3:10.2f}{rate / 1e9:10.1f}{rate / best:9.0%}"
            f"{inputs / step:9.0%}{chain / step:9.0%}{chain_operations / chain / best:9.0%}"
            f"{penalty / step:9.0%}{ridge_operations / penalty / best:9.0%}{rest / step:9.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
