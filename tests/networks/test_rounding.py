"""Sums of product states -> chains: exact where it can be, near the optimum elsewhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sktn
from sktn import backend
from sktn.networks import mps
from sktn.networks.rounding import compress


def product_states(rng, p, q, m=6, d=3, c=2, dtype=np.float64):
    """Site vectors whose first component is 1, and coefficients."""
    left, right = rng.normal(size=(p, m, d)), rng.normal(size=(q, m, d))
    left[:, :, 0] = right[:, :, 0] = 1
    return left.astype(dtype), right.astype(dtype), rng.normal(size=(m, c)).astype(dtype)


def dense_sum(left, right, beta):
    """sum_m beta_mc (x)_i x_mi, the right arm's sites in order along the chain: (d, ..., d, c)"""
    out = np.ones((len(beta), 1))
    for x in [*left, *right[::-1], beta]:
        out = (out[:, :, None] * x[:, None, :]).reshape(len(beta), -1)
    d = (left if len(left) else right).shape[2]
    return out.sum(0).reshape((d,) * (len(left) + len(right)) + (beta.shape[1],))


def dense_chain(left, right, readout):
    cores = np.concatenate([left, right[::-1].transpose(0, 3, 2, 1)])
    return mps.to_dense(cores, readout, len(left))


def test_the_reference_is_right(rng):
    left, right, beta = product_states(rng, 2, 1)
    expected = np.einsum("mc,ma,mb,md->abdc", beta, left[0], left[1], right[0])
    np.testing.assert_allclose(dense_sum(left, right, beta), expected)


@pytest.mark.parametrize(("p", "q"), [(2, 3), (3, 1), (0, 4), (4, 0), (1, 0), (0, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_where_the_bond_dimension_is_enough(rng, p, q, dtype):
    terms = product_states(rng, p, q, dtype=dtype)
    D = 7  # six terms and the constant path
    left, right, readout = compress(*terms, D, np.random.default_rng(0))
    assert left.shape == (p, D, 3, D)
    assert right.shape == (q, D, 3, D)
    assert readout.shape == (D, 2, D)
    assert left.dtype == right.dtype == readout.dtype == dtype
    expected = dense_sum(*terms)
    atol = (1e-4 if dtype == np.float32 else 1e-11) * np.abs(expected).max()
    np.testing.assert_allclose(dense_chain(left, right, readout), expected, atol=atol)


@given(
    seed=st.integers(0, 2**31 - 1), p=st.integers(0, 4), D=st.integers(1, 6), c=st.integers(1, 3)
)
def test_isometries_and_the_constant_path(seed, p, D, c):
    left, right, beta = product_states(np.random.default_rng(seed), p, 4 - p, c=c)
    arms = compress(left, right, beta, D, np.random.default_rng(0))
    readout = arms[2]
    # Whatever is cut off, the constant is not, and stands where a ridge can leave it free.
    np.testing.assert_allclose(readout[0, :, 0], beta.sum(0), rtol=1e-12, atol=1e-12)
    for arm in arms[:2]:
        for core in arm:
            gram = np.einsum("lsr,lsu->ru", core, core)
            used = np.diagonal(gram) > 0.5
            np.testing.assert_allclose(gram, np.diag(used.astype(float)), atol=1e-10)
            path = np.zeros((D, 3))
            path[0, 0] = 1
            np.testing.assert_array_equal(core[:, :, 0], path)
            assert not core[0, 0, 1:].any(), "another path starts on the constant"
    # Isometries: what is left of the norm is in the readout.
    dense = dense_chain(*arms)
    np.testing.assert_allclose(np.sum(readout**2), np.sum(dense**2), rtol=1e-10)
    # A projection: it never gains norm, and its error is what it lost.
    full = dense_sum(left, right, beta)
    lost = np.sum(full**2) - np.sum(dense**2)
    np.testing.assert_allclose(np.sum((full - dense) ** 2), lost, atol=1e-8 * np.sum(full**2))


@pytest.mark.parametrize("p", [0, 3, 6])
def test_error_falls_with_the_bond_dimension_and_is_near_its_bound(rng, p):
    left, right, beta = product_states(rng, p, 6 - p, m=12)
    full = dense_sum(left, right, beta)
    varying = full.copy()
    varying[(0,) * 6] = 0
    errors = []
    for D in range(1, 14):
        chain = compress(left, right, beta, D, np.random.default_rng(0))
        error = np.sum((full - dense_chain(*chain)) ** 2)
        # The bound of successive truncation: the sum of what every single cut must lose. One of
        # the D dimensions belongs to the constant.
        tensor = np.moveaxis(varying, -1, p)
        cuts = [tensor.reshape(int(np.prod(tensor.shape[:k])), -1) for k in range(1, 7)]
        tails = [np.sum(np.linalg.svd(cut, compute_uv=False)[D - 1 :] ** 2) for cut in cuts]
        assert error <= sum(tails) * (1 + 1e-9) + 1e-9
        errors.append(error)
    assert np.all(np.diff(errors) <= 1e-9 * errors[0])
    assert errors[-1] < 1e-18 * errors[0] + 1e-16


def test_sweeps_do_not_make_it_worse(rng):
    terms = product_states(rng, 4, 4, m=30)
    full = dense_sum(*terms)
    errors = [
        np.sum((full - dense_chain(*compress(*terms, 4, np.random.default_rng(0), sweeps=k))) ** 2)
        for k in range(4)
    ]
    assert np.all(np.diff(errors) <= 1e-9 * errors[0])


def test_nothing_to_compress_is_zero(rng):
    left, right, beta = product_states(rng, 2, 2)
    chain = compress(left, right, 0 * beta, 4, np.random.default_rng(0))
    for array in chain:
        assert np.isfinite(array).all()
    assert not chain[2].any()


def test_deterministic(rng):
    terms = product_states(rng, 2, 2)
    first, second = (compress(*terms, 3, np.random.default_rng(7)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_long_arms_stay_finite_in_float32(rng):
    # The product of 3,000 vectors of norm > 1 is beyond float32; site vectors of a wide table
    # are nearly constant (see penalty_weights), but the passes must not count on it.
    left, right, beta = product_states(rng, 300, 300, m=5, d=2, dtype=np.float32)
    left[:, :, 1:] *= 0.1
    right[:, :, 1:] *= 0.1
    for array in compress(left, right, beta, 3, np.random.default_rng(0)):
        assert np.isfinite(array).all()


@pytest.mark.parametrize(("p", "q"), [(2, 3), (0, 4)])
def test_terms_on_a_device_give_the_same_chain(p, q, rng, monkeypatch):
    monkeypatch.setattr(backend.executors, "_DEVICE_ENTRIES", 1)
    terms, found = product_states(rng, p, q, m=16), []
    compiled = backend.n_compiled()
    for name in ("numpy", "jax"):
        with sktn.config_context(backend=name):
            chain = compress(*terms, 4, np.random.default_rng(0))
        assert all(type(part) is np.ndarray for part in chain)
        found.append(dense_chain(*chain))
    assert backend.n_compiled() > compiled
    np.testing.assert_allclose(found[1], found[0], rtol=1e-8, atol=1e-8)


def test_states_that_are_computed_anew_change_nothing(rng):
    terms = product_states(rng, 7, 9)
    expected = compress(*terms, 4, np.random.default_rng(0))
    with backend.config_context(max_memory=1.0):
        found = compress(*terms, 4, np.random.default_rng(0))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
