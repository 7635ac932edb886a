"""Every kernel of networks gives the same on NumPy and on JAX, in the dtype of its arguments."""

import jax
import numpy as np
import pytest

from sktn.backend import get_executor, namespace
from sktn.networks import folding, mpo, mps, ring, smpo

B, N, D, E, d, o, c = 6, 5, 3, 2, 4, 2, 2


def arrays(rng):
    """Arrays by the names that the kernels' shape lines give them."""
    return {
        "phi": rng.normal(size=(B, N, d)),
        "cores": rng.normal(size=(N, D, d, D)),
        "other": rng.normal(size=(N, E, d, E)),
        "readout": rng.normal(size=(D, c, D)),
        "other_readout": rng.normal(size=(E, c, E)),
        "metric": rng.normal(size=(N, d, d)),
        "g": rng.uniform(1, 2, size=(3, 2, d)),
        "operator": rng.normal(size=(N, D, d, o, D)),
        "square": rng.normal(size=(N, D, d, d, D)),
    }


def folded_inner(cores, readout, other, other_readout, metric):
    arms, others = folding.fold(cores, 2), folding.fold(other, 2)
    xp = namespace(metric)
    metric = xp.concatenate([metric, xp.ones_like(metric[:1])])
    metric = metric[folding.site_index(N, 2)]
    return mps.inner(arms, readout, others, other_readout, metric)


KERNELS = {
    "fold": (lambda cores: folding.fold(cores, 1), "cores"),
    "unfold": (lambda cores: folding.unfold(folding.fold(cores, 4), 4, N), "cores"),
    "contract": (lambda *a: mps.contract(*a, 2), "cores readout phi"),
    "inner": (folded_inner, "cores readout other other_readout metric"),
    "mean_and_penalty": (
        lambda cores, readout, g: mps.mean_and_penalty(folding.fold(cores, 2), readout, g),
        "cores readout g",
    ),
    "canonicalize": (
        lambda cores, readout: mps.canonicalize(folding.fold(cores, 2), readout),
        "cores readout",
    ),
    "log_squared_norms": (mpo.log_squared_norms, "operator phi"),
    "log_squared_frobenius": (
        lambda operator, metric: mpo.log_squared_frobenius(operator, metric @ metric.mT),
        "operator metric",
    ),
    "trace": (mpo.trace, "square"),
    "add": (lambda operator: mpo.add(operator, operator[:, :2, :, :, :2]), "operator"),
    "compose": (lambda operator: mpo.compose(operator, mpo.adjoint(operator)), "operator"),
    "output_distributions": (smpo.output_distributions, "operator phi"),
    "ring.contract": (ring.contract, "cores phi"),
    "ring.contract_readout": (ring.contract_readout, "cores readout phi"),
    "ring.inner": (ring.inner, "cores other metric"),
    "ring.log_squared_norm": (ring.log_squared_norm, "cores"),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_is_the_same_on_both_executors(name, dtype, rng):
    kernel, names = KERNELS[name]
    data = [array.astype(dtype) for array in map(arrays(rng).get, names.split())]
    before = [array.copy() for array in data]
    found = {}
    for executor in map(get_executor, ("numpy", "jax")):
        with executor.precision(dtype):
            found[executor.name] = jax.tree.leaves(
                executor.get(executor.jit(kernel)(*executor.put(data)))
            )
    tolerance = {np.float32: 1e-3, np.float64: 1e-9}[dtype]
    for ours, theirs in zip(found["numpy"], found["jax"], strict=True):
        assert ours.dtype == theirs.dtype == dtype
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    for array, copy in zip(data, before, strict=True):
        np.testing.assert_array_equal(array, copy, "an argument was changed")
