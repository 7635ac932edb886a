"""Chains against their dense tensors, and what must not change a chain's function. On NumPy, where
nothing is compiled: that JAX gives the same is tested in test_executors.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sktn.initializers import near_constant
from sktn.networks import folding, mps
from sktn.networks.entanglement import bond_spectra


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def random_chain(rng, n, d=2, D=3, c=2, dtype=np.float64):
    """Cores and readout with values of order one at any length."""
    cores = rng.normal(size=(n, D, d, D)) / np.sqrt(D * d)
    return cores.astype(dtype), rng.normal(size=(D, c, D)).astype(dtype)


def random_inputs(rng, b, n, d):
    phi = rng.normal(size=(b, n, d))
    phi[:, :, 0] = 1
    return phi


def dense_values(cores, readout, phi, p):
    """f_c(x) by contracting the full weight tensor."""
    W = mps.to_dense(cores, readout, p)
    values = []
    for x in phi:
        T = W
        for vector in x:
            T = np.tensordot(vector, T, axes=(0, 0))
        values.append(T)
    return np.array(values)


def value(cores, readout, phi, p):
    out, log_scale = mps.contract(cores, readout, phi, p)
    return np.asarray(out * np.exp(log_scale)[:, None])


def folded(weights, p):
    """Numbers of the sites (n, ...) in the order of the arms, 1 on padding sites."""
    index = folding.site_index(len(weights), p)
    return np.concatenate([weights, np.ones_like(weights[:1])])[index]


# The output at the ends, beside them and in the middle.
CHAINS = [(1, 0), (1, 1), (2, 1), (5, 0), (5, 1), (5, 3), (5, 5)]
every_chain = pytest.mark.parametrize(("n", "p"), CHAINS)


@every_chain
def test_contract_is_the_dense_contraction(rng, n, p):
    cores, readout = random_chain(rng, n, d=3, D=4, c=3)
    phi = rng.normal(size=(5, n, 3))
    expected = dense_values(cores, readout, phi, p)
    np.testing.assert_allclose(value(cores, readout, phi, p), expected, rtol=1e-10, atol=1e-12)


@every_chain
def test_unfold_inverts_fold(rng, n, p):
    cores, _ = random_chain(rng, n)
    arms = folding.fold(cores, p)
    assert arms.shape == (max(p, n - p), 2, 3, 2, 3)
    np.testing.assert_array_equal(folding.unfold(arms, p, n), cores)


def test_a_site_of_the_table_can_stand_anywhere(rng):
    n, p = 5, 2
    cores, readout = random_chain(rng, n)
    phi = random_inputs(rng, 4, n, 2)
    order = rng.permutation(n)
    inputs = folding.fold_inputs(phi, folding.site_index(n, p, order))
    out, log_scale = mps.contract_arms(folding.fold(cores, p), readout, inputs)
    expected = dense_values(cores, readout, phi[:, order], p)
    np.testing.assert_allclose(out * np.exp(log_scale)[:, None], expected, rtol=1e-10)


def test_environments_are_the_two_bond_vectors(rng):
    n, p = 4, 1
    cores, _readout = random_chain(rng, n)
    phi = random_inputs(rng, 3, n, 2)
    inputs = folding.fold_inputs(phi, folding.site_index(n, p))
    vectors, log_scale = mps.environments(folding.fold(cores, p), inputs)
    left, right = np.asarray(vectors) * np.exp(log_scale)[:, :, None]
    matrices = np.einsum("bns,nlsr->bnlr", phi, cores)
    np.testing.assert_allclose(left, matrices[:, 0, 0])
    expected = np.einsum("blm,bmn,bn->bl", matrices[:, 1], matrices[:, 2], matrices[:, 3, :, 0])
    np.testing.assert_allclose(right, expected, rtol=1e-10)


@every_chain
def test_inner_is_the_dense_inner_product(rng, n, p):
    cores, readout = random_chain(rng, n, D=3)
    others, other_readout = random_chain(rng, n, D=4)
    half = rng.normal(size=(n, 2, 2))
    metric = half @ half.transpose(0, 2, 1)
    eye = np.eye(2)[None]
    index = folding.site_index(n, p)
    # A padding site is fed the constant alone.
    padding = np.zeros((1, 2, 2))
    padding[0, 0, 0] = 1
    for G, folded_metric in [
        (metric, np.concatenate([metric, padding])[index]),
        (np.repeat(eye, n, 0), np.concatenate([np.repeat(eye, n, 0), padding])[index]),
    ]:
        out, log_scale = mps.inner(
            folding.fold(cores, p), readout, folding.fold(others, p), other_readout, folded_metric
        )
        F, T = mps.to_dense(cores, readout, p), mps.to_dense(others, other_readout, p)
        for i in range(n):
            T = np.moveaxis(np.tensordot(G[i], T, axes=(1, i)), 0, i)
        expected = np.sum(F * T, axis=tuple(range(n)))
        np.testing.assert_allclose(out * np.exp(log_scale), expected, rtol=1e-9, atol=1e-12)


@every_chain
def test_mean_and_penalty_are_those_of_the_dense_tensor(rng, n, p):
    d = 3
    cores, readout = random_chain(rng, n, d=d)
    g = np.concatenate([np.ones((n, 1)), rng.uniform(0.5, 3, (n, d - 1))], axis=1)
    mean, penalty = mps.mean_and_penalty(folding.fold(cores, p), readout, folded(g, p))
    W = mps.to_dense(cores, readout, p)
    charged = W**2
    for i in range(n):
        charged = charged * g[i].reshape((d,) + (1,) * (n - i))
    constant = (0,) * n
    np.testing.assert_allclose(mean, W[constant], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(penalty, charged.sum() - charged[constant].sum(), rtol=1e-9)


def test_penalty_does_not_cancel_beside_a_large_constant(rng):
    # J is 1e-12 of the squared norm: as a difference in float32 it would be rounding error.
    n, p, d, D = 6, 3, 2, 3
    noise = rng.normal(size=(n, D, D))
    cores = np.zeros((n, D, d, D))
    cores[:, :, 0] = np.eye(D)
    cores[:, :, 1] = 1e-6 * noise
    readout = np.zeros((D, 1, D))
    readout[0, 0, 0] = 1.0
    exact = mps.mean_and_penalty(folding.fold(cores, p), readout, folded(np.ones((n, d)), p))[1]
    single = [x.astype(np.float32) for x in (folding.fold(cores, p), readout)]
    ones = folded(np.ones((n, d), np.float32), p)
    assert 0 < exact < 1e-10
    np.testing.assert_allclose(mps.mean_and_penalty(*single, ones)[1], exact, rtol=1e-4)


@every_chain
def test_canonical_form(rng, n, p):
    d, D = 2, 4
    cores, readout = random_chain(rng, n, d=d, D=D)
    arms = folding.fold(cores, p)
    canonical, centre = mps.canonicalize(arms, readout)
    phi = random_inputs(rng, 5, n, d)
    np.testing.assert_allclose(
        value(np.asarray(folding.unfold(canonical, p, n)), np.asarray(centre), phi, p),
        value(cores, readout, phi, p),
        rtol=1e-9,
        atol=1e-12,
    )
    gram = np.einsum("htlsr,htlsu->htru", canonical, canonical)
    support = np.abs(np.diagonal(gram, axis1=2, axis2=3)) > 0.5
    expected = support[..., None, :] * np.eye(D)
    np.testing.assert_allclose(gram, expected, atol=1e-12)
    # The norm has moved into the readout.
    W = mps.to_dense(cores, readout, p)
    np.testing.assert_allclose(np.sum(np.square(centre)), np.sum(W**2), rtol=1e-9)
    # A bond never carries more than the physical indices beyond it span, padding stays zero.
    used = np.abs(np.asarray(canonical)).max(axis=(2, 3)) > 0
    for t, length in ((0, p), (1, n - p)):
        start = len(arms) - length
        assert np.all(used[start:, t].sum(-1) <= d ** np.arange(1, length + 1))


def test_canonical_form_is_unique(rng):
    # The same function in another gauge gets the same canonical cores up to rotations, and equal
    # chains get equal cores.
    cores, readout = random_chain(rng, 4)
    arms = folding.fold(cores, 2)
    once = mps.canonicalize(arms, readout)
    twice = mps.canonicalize(*once)
    for a, b in zip(once, twice, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


@every_chain
def test_bond_spectra_are_singular_values_of_the_unfoldings(rng, n, p):
    d, c = 2, 3
    cores, readout = random_chain(rng, n, d=d, c=c)
    spectra = bond_spectra(cores, readout, p)
    W = np.moveaxis(mps.to_dense(cores, readout, p), -1, p)
    assert len(spectra) == n + 2
    for k, found in enumerate(spectra):
        size = int(np.prod(W.shape[:k]))
        expected = np.linalg.svd(W.reshape(size, -1), compute_uv=False)
        rank = min(len(expected), len(found))
        np.testing.assert_allclose(found[:rank], expected[:rank], atol=1e-12)
        np.testing.assert_allclose(expected[rank:], 0, atol=1e-12)
        np.testing.assert_allclose(found[rank:], 0, atol=1e-12)


@pytest.mark.parametrize("p", [0, 700, 1500])
@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_long_chains_in_float32(rng, p, factor):
    n, d, D, b = 1500, 2, 3, 4
    cores, readout = random_chain(rng, n, d=d, D=D)
    cores = cores * factor
    phi = random_inputs(rng, b, n, d)
    single = [x.astype(np.float32) for x in (cores, readout, phi)]
    out, log_scale = mps.contract(*single, p)
    assert out.dtype == log_scale.dtype == np.float32
    # The reference in float64 divides by the norm, another scale altogether.
    vectors, logs = [], np.zeros(b)
    matrices = np.einsum("bns,nlsr->nblr", phi, cores)
    for arm in (matrices[:p], matrices[p:][::-1].transpose(0, 1, 3, 2)):
        v = np.zeros((b, D))
        v[:, 0] = 1
        for A in arm:
            v = np.einsum("bl,blr->br", v, A)
            norm = np.linalg.norm(v, axis=1)
            v, logs = v / norm[:, None], logs + np.log(norm)
        vectors.append(v)
    expected = np.einsum("bl,lcr,br->bc", vectors[0], readout, vectors[1])
    assert np.all(np.abs(logs) > 500), "the test would not notice an overflow"
    np.testing.assert_allclose(
        log_scale + np.log(np.abs(out[:, 0])), logs + np.log(np.abs(expected[:, 0])), rtol=1e-5
    )
    np.testing.assert_array_equal(np.sign(out), np.sign(expected))


def test_default_start_is_finite_for_2000_sites(rng):
    n, p, d, D = 2000, 999, 4, 5
    index = folding.site_index(n, p)
    mask = np.where((index < n)[:, :, None], 1.0, np.eye(1, d)[None])
    arms, readout = near_constant(rng, n, D, 3, mask, np.float32)
    assert arms.dtype == readout.dtype == np.float32
    phi = rng.normal(size=(6, n, d)).astype(np.float32)
    phi[:, :, 0] = 1

    def loss(params):
        out, log_scale = mps.contract_arms(*params, folding.fold_inputs(phi, index))
        penalty = mps.mean_and_penalty(*params, np.ones((*index.shape, d), np.float32))[1]
        return jnp.sum((out * jnp.exp(log_scale)[:, None] - 1) ** 2) + penalty

    size, gradient = jax.jit(jax.value_and_grad(loss))((arms, readout))
    assert np.isfinite(size)
    assert size < 1e4
    for leaf in gradient:
        assert np.isfinite(leaf).all()
    # Every component of every real site moves.
    alive = np.abs(gradient[0]).max(axis=(2, 4)) > 0
    np.testing.assert_array_equal(alive, (index < n)[:, :, None] | (np.arange(d) == 0))


def test_gradients_are_those_of_the_dense_contraction(rng):
    n, p = 4, 1
    cores, readout = random_chain(rng, n)
    phi = random_inputs(rng, 3, n, 2)

    def chain(cores, readout):
        out, log_scale = mps.contract(cores, readout, phi, p)
        return jnp.sum((out * jnp.exp(log_scale)[:, None]) ** 3)

    def plain(cores, readout):
        matrices = jnp.einsum("bns,nlsr->bnlr", phi, cores)
        left = right = jnp.zeros((3, 3)).at[:, 0].set(1)
        for i in range(p):
            left = jnp.einsum("bl,blr->br", left, matrices[:, i])
        for i in reversed(range(p, n)):
            right = jnp.einsum("br,blr->bl", right, matrices[:, i])
        return jnp.sum(jnp.einsum("bl,lcr,br->bc", left, readout, right) ** 3)

    found = jax.jit(jax.grad(chain, (0, 1)))(cores, readout)
    expected = jax.jit(jax.grad(plain, (0, 1)))(cores, readout)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


seeds = st.integers(0, 2**31 - 1)


def quantities(cores, readout, phi, p):
    """Everything that must depend on the function alone."""
    g = np.tile([1.0, 2.0], (len(cores), 1))
    mean, penalty = mps.mean_and_penalty(folding.fold(cores, p), readout, folded(g, p))
    spectra = np.concatenate(bond_spectra(cores, readout, p))
    return value(cores, readout, phi, p), mean, penalty, spectra


@given(seed=seeds, p=st.sampled_from([0, 1, 2, 3]), bond=st.integers(0, 3))
def test_gauge_changes_nothing(seed, p, bond):
    # X X^-1 between two neighbours in the chain, the readout among them.
    rng = np.random.default_rng(seed)
    cores, readout = random_chain(rng, 4)
    phi = random_inputs(rng, 3, 4, 2)
    Q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    X = Q * rng.uniform(0.3, 3, 3)
    sites = [*cores[:p], readout, *cores[p:]]
    sites[bond] = np.einsum("lsr,rk->lsk", sites[bond], X)
    sites[bond + 1] = np.einsum("kl,lsr->ksr", np.linalg.inv(X), sites[bond + 1])
    changed = np.stack(sites[:p] + sites[p + 1 :])
    before = quantities(cores, readout, phi, p)
    after = quantities(changed, sites[p], phi, p)
    for a, b in zip(after, before, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


@given(seed=seeds, p=st.sampled_from([1, 3]))
def test_mirroring_the_chain_changes_nothing(seed, p):
    rng = np.random.default_rng(seed)
    cores, readout = random_chain(rng, 4)
    phi = random_inputs(rng, 3, 4, 2)
    mirrored = cores[::-1].transpose(0, 3, 2, 1), readout.transpose(2, 1, 0)
    a = quantities(cores, readout, phi, p)
    b = quantities(*mirrored, phi[:, ::-1], 4 - p)
    for x, y in zip(a[:3], b[:3], strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)


@given(seed=seeds, site=st.integers(0, 3), exponent=st.integers(-200, 200))
def test_scale_goes_to_the_log(seed, site, exponent):
    # By a power of two the mantissas do not change at all.
    rng = np.random.default_rng(seed)
    cores, readout = random_chain(rng, 4)
    phi = random_inputs(rng, 3, 4, 2)
    scaled = cores.copy()
    scaled[site] *= 2.0**exponent
    out, log_scale = mps.contract(cores, readout, phi, 2)
    other, other_scale = mps.contract(scaled, readout, phi, 2)
    np.testing.assert_array_equal(out, other)
    np.testing.assert_allclose(other_scale - log_scale, exponent * np.log(2), atol=1e-9)


def test_new_orders_and_output_sites_of_one_shape_compile_once(rng):
    n = 5
    cores, readout = random_chain(rng, n)
    phi = random_inputs(rng, 4, n, 2)
    compiled = jax.jit(
        lambda arms, readout, phi, index: mps.contract_arms(
            arms, readout, folding.fold_inputs(phi, index)
        )
    )
    for p, order in [(2, None), (3, None), (2, [4, 2, 0, 1, 3])]:
        compiled(folding.fold(cores, p), readout, phi, folding.site_index(n, p, order))
    assert compiled._cache_size() == 1


@pytest.mark.parametrize(("n", "p"), [(4, 2), (5, 1), (5, 4), (3, 0), (3, 3)])
def test_trained_padding_is_absorbed(rng, n, p):
    index = folding.site_index(n, p)
    arms = rng.normal(size=(len(index), 2, 3, 2, 3))
    arms[index == n, :, 1:] = 0
    readout, phi = rng.normal(size=(3, 2, 3)), random_inputs(rng, 4, n, 2)
    out, log_scale = mps.contract_arms(arms, readout, folding.fold_inputs(phi, index))
    arms, readout = folding.absorb_padding(arms, readout, index, n)
    cores = np.asarray(folding.unfold(arms, p, n))
    np.testing.assert_allclose(
        value(cores, readout, phi, p), out * np.exp(log_scale)[:, None], rtol=1e-10
    )
