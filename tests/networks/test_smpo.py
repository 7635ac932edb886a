"""Operators on product states against dense contractions."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sktn.backend import config_context
from sktn.losses import quadratic_log_norm, relu_log_frobenius
from sktn.networks import born, mpo, product_sum, smpo
from sktn.solvers import kernel_bandwidth, kernel_novelty


def random_operator(rng, n=4, d=2, o=3, bond_dim=3, spacing=2, first=1):
    mask = smpo.output_mask(n, spacing, first, o)
    cores = rng.normal(size=(n, bond_dim, d, o, bond_dim)) * mask[:, None, None, :, None]
    return cores.astype(np.float32), mask


def dense_states(phi):
    """phi (b, n, d) -> (b, d, ..., d)"""
    states = np.ones((len(phi), 1))
    for vector in np.moveaxis(phi, 1, 0):
        states = np.einsum("bk,bs->bks", states, vector).reshape(len(phi), -1)
    return states


def dense_outputs(cores, phi):
    n, d = phi.shape[1:]
    return dense_states(phi) @ mpo.to_dense(cores).reshape(d**n, -1)


@pytest.mark.parametrize(("spacing", "first"), [(1, 0), (2, 1), (3, 0), (4, 2)])
def test_norms_agree_with_the_dense_operator(rng, spacing, first):
    cores, _ = random_operator(rng, spacing=spacing, first=first)
    phi = rng.normal(size=(5, 4, 2)).astype(np.float32)
    out = dense_outputs(cores, phi)
    expected = np.log((out**2).sum(axis=1))
    np.testing.assert_allclose(mpo.log_squared_norms(cores, phi), expected, rtol=1e-4, atol=1e-4)


def test_frobenius_norm_with_and_without_a_metric(rng):
    cores, _ = random_operator(rng)
    dense = mpo.to_dense(cores).reshape(16, -1)
    identity = np.broadcast_to(np.eye(2, dtype=np.float32), (4, 2, 2))
    got = mpo.log_squared_frobenius(cores, identity)
    np.testing.assert_allclose(got, np.log((dense**2).sum()), rtol=1e-5)
    factors = rng.normal(size=(4, 2, 2))
    metric = factors @ factors.transpose(0, 2, 1)
    kron = np.ones((1, 1))
    for G in metric:
        kron = np.kron(kron, G)
    got = mpo.log_squared_frobenius(cores, metric.astype(np.float32))
    np.testing.assert_allclose(got, np.log(np.trace(dense.T @ kron @ dense)), rtol=1e-4)


def test_the_output_state_is_what_the_norm_is_of(rng):
    cores, _ = random_operator(rng)
    phi = rng.normal(size=(3, 4, 2)).astype(np.float32)
    state = np.asarray(mpo.apply(cores, phi))
    out = np.eye(1, 3)[None].repeat(3, axis=0)
    for core in np.moveaxis(state, 1, 0):
        out = np.einsum("bkl,blor->bkor", out, core).reshape(3, -1, 3)
    np.testing.assert_allclose(out[:, :, 0], dense_outputs(cores, phi), rtol=1e-4, atol=1e-4)


def test_distributions_of_the_output_legs(rng):
    cores, mask = random_operator(rng)
    phi = rng.normal(size=(5, 4, 2)).astype(np.float32)
    p = np.asarray(smpo.output_distributions(cores, phi))
    squares = dense_outputs(cores, phi).reshape(5, 3, 3, 3, 3) ** 2
    squares /= squares.sum(axis=(1, 2, 3, 4), keepdims=True)
    for i in range(4):
        axes = tuple(k for k in range(1, 5) if k != i + 1)
        np.testing.assert_allclose(p[:, i], squares.sum(axis=axes), atol=1e-5)
    np.testing.assert_allclose(p[:, mask.sum(axis=1) == 1, 0], 1, rtol=1e-6)


def test_output_sites():
    np.testing.assert_array_equal(smpo.output_sites(7, 3, 1), [1, 4])
    np.testing.assert_array_equal(smpo.output_sites(1, 1, 5), [0])
    assert smpo.output_mask(4, 4, 2, 3).sum() == 4 + 2


def test_the_identity_start_keeps_typical_states(rng):
    phi = np.abs(rng.normal(size=(6, 5, 3))) + 0.2
    phi /= np.linalg.norm(phi, axis=2, keepdims=True)
    mask = smpo.output_mask(5, 1, 0, 3)
    full = smpo.identity(mask, phi.mean(axis=0), 2).astype(np.float32)
    # With a leg on every site it is the identity: norms of unit vectors stay 1.
    norms = mpo.log_squared_norms(full, phi.astype(np.float32))
    np.testing.assert_allclose(norms, 0, atol=1e-5)
    single = smpo.identity(smpo.output_mask(5, 5, 2, 3), phi.mean(axis=0), 2).astype(np.float32)
    assert np.all(np.abs(mpo.log_squared_norms(single, phi.astype(np.float32))) < 3)


def test_the_identity_start_copies_the_inputs_of_a_site_with_a_leg(rng):
    mean = rng.normal(size=(4, 3))
    cores = smpo.identity(smpo.output_mask(4, 2, 0, 2), mean, 1)[:, 0, :, :, 0]
    for site in (0, 2):
        np.testing.assert_array_equal(cores[site], np.eye(3, 2))
    for site in (1, 3):
        np.testing.assert_allclose(mean[site] @ cores[site], [1, 0])


def test_a_thousand_sites_stay_finite_in_float32(rng):
    cores, _ = random_operator(rng, n=1000, spacing=10)
    phi = rng.normal(size=(2, 1000, 2)).astype(np.float32)
    assert np.all(np.isfinite(mpo.log_squared_norms(10 * cores, phi)))
    assert np.all(np.isfinite(mpo.log_squared_norms(0.01 * cores, phi)))


def test_a_state_that_is_annihilated(rng):
    cores, _ = random_operator(rng)
    zero = np.zeros((1, 4, 2), np.float32)
    assert mpo.log_squared_norms(cores, zero)[0] == -np.inf
    p = smpo.output_distributions(cores, zero)
    np.testing.assert_array_equal(p[0], np.eye(1, 3).repeat(4, axis=0))


def test_losses_ignore_padding():
    norms, weight = jnp.array([1.0, 3.0, jnp.inf]), jnp.array([1.0, 3.0, 0.0])
    assert quadratic_log_norm(norms, weight) == pytest.approx(3.0)
    assert relu_log_frobenius(jnp.array(-2.0)) == 0
    assert relu_log_frobenius(jnp.array(2.0)) == 2


# --- Born machines ---


def test_born_machine_against_the_dense_tensor(rng):
    cores = rng.normal(size=(4, 3, 2, 3)).astype(np.float32)
    psi = born.to_dense(cores)
    phi = rng.normal(size=(5, 4, 2)).astype(np.float32)
    values = dense_states(phi) @ psi.ravel()
    np.testing.assert_allclose(born.log_squares(cores, phi), np.log(values**2), rtol=1e-4)
    np.testing.assert_allclose(born.log_norm(cores), np.log((psi**2).sum()), rtol=1e-5)
    present = np.array([[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1]], bool)
    got = born.log_marginals(cores, phi, present)
    for row, there, value in zip(phi, present, got, strict=True):
        tensor = psi
        for i in range(4):
            tensor = np.moveaxis(tensor, 0, -1)
            if there[i]:
                tensor = tensor @ row[i]
                tensor = tensor[..., None]
        np.testing.assert_allclose(value, np.log((tensor**2).sum()), rtol=1e-4)


def test_local_matrices_are_conditionals(rng):
    cores = rng.normal(size=(4, 3, 2, 3)).astype(np.float32)
    psi = born.to_dense(cores)
    phi = rng.normal(size=(1, 4, 2)).astype(np.float32)
    present = np.array([[True, False, False, True]])
    left = born.left_environments(cores, phi, present)
    right = born.right_environments(cores, phi, present)
    K = np.asarray(born.local_matrices(left[2], cores[2], right[2]))[0]
    # Site 1 summed out, sites 0 and 3 fixed.
    fixed = np.einsum("abcd,a,d->bc", psi, phi[0, 0], phi[0, 3])
    expected = fixed.T @ fixed
    np.testing.assert_allclose(K / np.trace(K), expected / np.trace(expected), atol=1e-5)


# --- sums of product states ---


def landmark_problem(rng, b=40, m=12, n=3):
    x = rng.normal(size=(b, n))
    return x, np.ones(b), x[:m], x.mean(axis=0), x.var(axis=0)


def test_overlaps_are_a_gaussian_kernel(rng):
    x, _, landmarks, mean, variance = landmark_problem(rng)
    got = np.exp(product_sum.log_overlaps(x, landmarks, 0.7, mean, variance))
    squares = ((x[:, None] - landmarks) ** 2).sum(axis=2)
    np.testing.assert_allclose(got, np.exp(-squares / (2 * 0.49)), rtol=1e-10)


def test_missing_values_are_averaged_over(rng):
    """Against Monte-Carlo averages of the kernel over the column's normal distribution."""
    h, mean, variance = 0.8, np.array([0.5]), np.array([2.0])
    draws = rng.normal(mean, np.sqrt(variance), size=200_000)
    square = np.mean(np.exp(-((draws - draws[::-1]) ** 2) / (2 * h**2)))
    known = np.array([[0.3]])
    expected = np.mean(np.exp(-((draws - 0.3) ** 2) / (2 * h**2))) / np.sqrt(square)
    for x, landmarks in [(np.array([[np.nan]]), known), (known, np.array([[np.nan]]))]:
        got = np.exp(product_sum.log_overlaps(x, landmarks, h, mean, variance))
        np.testing.assert_allclose(got, expected, rtol=0.02)
    gone = np.full((1, 1), np.nan)
    assert product_sum.log_overlaps(gone, gone, h, mean, variance) == 0


def test_a_diagonal_network_is_a_chain(rng):
    """The same numbers from the general operator code, with a finite basis on every site."""
    centres = np.linspace(-1, 1, 3)
    states = rng.uniform(-1, 1, size=(4, 3))
    x = rng.uniform(-1, 1, size=(5, 3))
    readout = rng.normal(size=(4, 2))

    def basis(values):
        return np.exp(-((values[..., None] - centres) ** 2))

    cores = np.zeros((5, 4, 3, 2, 4), np.float32)
    # A first site that spreads over the bond, and a last one with the output leg.
    cores[0, 0, :, 0, :] = 1 / 3
    for i in range(3):
        for l in range(4):
            cores[i + 1, l, :, 0, l] = basis(states)[l, i]
    cores[4, :, 0, :, 0] = readout
    ones = np.ones((5, 1, 3))
    phi = np.concatenate([ones, basis(x), np.eye(1, 3)[None].repeat(5, axis=0)], axis=1)
    kappa = np.einsum("bis,lis->bli", basis(x), basis(states)).prod(axis=2)
    expected = np.log(((kappa @ readout) ** 2).sum(axis=1))
    np.testing.assert_allclose(
        mpo.log_squared_norms(cores, phi.astype(np.float32)), expected, atol=1e-4
    )


def test_projector_is_gaussian_process_variance_and_its_held_out_values_are_exact(rng):
    x, weight, _, mean, variance = landmark_problem(rng)
    ridge, h = 0.05, 0.9
    moments = kernel_novelty.add_rows(kernel_novelty.start_moments(x, h, mean, variance), x, weight)
    network, spectrum = kernel_novelty.projector(moments, ridge)
    new = rng.normal(size=(10, 3))

    def variance_of(rows, known):
        gram = np.exp(product_sum.log_overlaps(known, known, h, mean, variance))
        cross = np.exp(product_sum.log_overlaps(rows, known, h, mean, variance))
        return 1 - np.einsum(
            "bi,ij,bj->b", cross, np.linalg.inv(gram + ridge * np.eye(len(known))), cross
        )

    got = kernel_novelty.novelty(network, spectrum, ridge, new)
    np.testing.assert_allclose(got, variance_of(new, x), atol=1e-4)
    held_out = kernel_novelty.held_out_novelty(network, spectrum, ridge, x, weight)
    for j in range(5):
        rest = np.delete(x, j, axis=0)
        # Row j stays a landmark, but the span of the others is nearly the same.
        assert held_out[j] == pytest.approx(variance_of(x[j : j + 1], rest)[0], abs=2e-3)
    # Of a row with a hidden value, too.
    hidden = np.where(np.arange(3) == 1, np.nan, x)
    got = kernel_novelty.novelty(network, spectrum, ridge, hidden, own=x)
    for j in range(5):
        expected = variance_of(hidden[j : j + 1], np.delete(x, j, axis=0))[0]
        assert got[j] == pytest.approx(expected, abs=2e-3)
    overlaps = np.exp(product_sum.log_overlaps(x, x, h, mean, variance))
    exact = kernel_bandwidth._exact_held_out(overlaps, weight, ridge)
    np.testing.assert_allclose(held_out, exact, atol=2e-3)


@pytest.mark.parametrize("m", [5, 12, 40])
@pytest.mark.parametrize("h", [0.5, 2.0])
def test_a_landmark_that_is_left_out_is_no_landmark_either(rng, m, h):
    x, weight, landmarks, mean, variance = landmark_problem(rng, m=m)
    weight[2] = 0.4

    def projector_of(rows, kept):
        start = kernel_novelty.start_moments(x[kept], h, mean, variance)
        moments = kernel_novelty.add_rows(start, x[rows], weight[rows])
        return moments.frame, *kernel_novelty.projector(moments, 0.05)

    rows, kept = np.arange(len(x)), np.arange(m)
    found = projector_of(rows, kept)
    lacking = kernel_novelty.lacking_novelty(*found, 0.05, weight[:m])
    held_out = kernel_novelty.held_out_novelty(*found[1:], 0.05, x, weight, lacking)
    for j in rows:
        _, *rest = projector_of(rows[rows != j], kept[kept != j])
        [expected] = kernel_novelty.novelty(*rest, 0.05, x[[j]])
        assert held_out[j] == pytest.approx(expected, abs=1e-5)
    # Whoever meets it again: as far as it was a whole row.
    again = kernel_novelty.novelty(*found[1:], 0.05, landmarks, lacking=lacking)
    whole = weight[:m] == 1
    np.testing.assert_allclose(again[whole], held_out[:m][whole], atol=1e-7)
    # A copy of a row that has another is not new.
    assert np.all(kernel_novelty.lacking_novelty(*found, 0.05, np.full(m, 2.0)) == 0)


@given(st.integers(1, 30), st.floats(0.2, 3.0), st.integers(0, 10))
def test_novelty_is_a_share(m, h, seed):
    rng = np.random.default_rng(seed)
    x, weight, landmarks, mean, variance = landmark_problem(rng, m=m)
    moments = kernel_novelty.add_rows(
        kernel_novelty.start_moments(landmarks, h, mean, variance), x, weight
    )
    network, spectrum = kernel_novelty.projector(moments, 0.01)
    for values in (
        kernel_novelty.novelty(network, spectrum, 0.01, 5 * rng.normal(size=(20, 3))),
        kernel_novelty.held_out_novelty(network, spectrum, 0.01, x, weight),
    ):
        assert np.all((values > 0) & (values <= 1))


def test_moments_can_be_restored_and_extended(rng):
    x, weight, landmarks, mean, variance = landmark_problem(rng)
    start = kernel_novelty.start_moments(landmarks, 0.9, mean, variance)
    once = kernel_novelty.projector(kernel_novelty.add_rows(start, x, weight), 0.01)
    half = kernel_novelty.add_rows(start, x[:20], weight[:20])
    network, spectrum = kernel_novelty.projector(half, 0.01)
    restored = kernel_novelty.restore(network, spectrum, 0.01)
    twice = kernel_novelty.projector(kernel_novelty.add_rows(restored, x[20:], weight[20:]), 0.01)
    new = rng.normal(size=(10, 3))
    np.testing.assert_allclose(
        kernel_novelty.novelty(*once, 0.01, new),
        kernel_novelty.novelty(*twice, 0.01, new),
        atol=1e-3,
    )


@pytest.mark.parametrize("output_dim", [None, 4])
def test_rows_are_scored_one_by_one_as_together(rng, output_dim):
    x, weight, landmarks, mean, variance = landmark_problem(rng)
    moments = kernel_novelty.start_moments(landmarks, 0.9, mean, variance)
    network = kernel_novelty.projector(
        kernel_novelty.add_rows(moments, x, weight), 0.01, output_dim
    )
    rows = np.concatenate([landmarks, rng.normal(size=(5 * len(landmarks), 3))])
    few = [kernel_novelty.novelty(*network, 0.01, row[None])[0] for row in rows]
    np.testing.assert_allclose(kernel_novelty.novelty(*network, 0.01, rows), few, rtol=1e-8)


def test_mean_state_is_a_kernel_density_estimate(rng):
    x, weight, _, mean, variance = landmark_problem(rng)
    moments = kernel_novelty.add_rows(
        kernel_novelty.start_moments(x, 0.5, mean, variance), x, weight
    )
    state = kernel_novelty.mean_state(moments.frame, moments.mass)
    new = rng.normal(size=(7, 3))
    kernel = np.exp(-((new[:, None] - x) ** 2).sum(axis=2) / 0.5)
    np.testing.assert_allclose(
        kernel_novelty.log_density(state, weight.sum(), new), np.log(kernel.mean(axis=1)), rtol=1e-8
    )
    held_out = kernel_novelty.held_out_log_density(state, weight.sum(), x, weight)
    among = np.exp(-((x[:, None] - x) ** 2).sum(axis=2) / 0.5)
    expected = np.log((among.sum(axis=1) - 1) / len(x))
    np.testing.assert_allclose(held_out, expected, rtol=1e-8)


def test_one_copy_of_a_training_row_is_left_out_where_it_is_held_out_and_where_it_is_met_again(rng):
    x, _, _, mean, variance = landmark_problem(rng)
    x, weight = x[:12], rng.integers(1, 4, 12).astype(float)
    moments = kernel_novelty.add_rows(
        kernel_novelty.start_moments(x, 0.5, mean, variance), x, weight
    )
    state = kernel_novelty.mean_state(moments.frame, moments.mass)
    among = np.exp(-((x[:, None] - x) ** 2).sum(axis=2) / 0.5)
    expected = np.log((among @ weight - 1) / weight.sum())
    held_out = kernel_novelty.held_out_log_density(state, weight.sum(), x, weight)
    np.testing.assert_allclose(held_out, expected, rtol=1e-8)
    again = kernel_novelty.log_density(state, weight.sum(), x)
    np.testing.assert_allclose(again, expected, rtol=1e-8)


def test_narrower_kernels_for_denser_data(rng):
    x = rng.normal(size=(300, 2))
    few, many = (
        kernel_bandwidth.choose_bandwidths(
            rows, np.ones(len(rows)), rows.mean(0), rows.var(0), 0.01, (0.3, 0.03)
        )
        for rows in (x[:30], x)
    )
    assert few[0] > many[0]
    assert few[0] < few[1]


def test_a_density_of_two_rows_is_as_wide_as_they_are_apart():
    # To about half a step of seven to a decade: the largest likelihood is where both are equal.
    for distance in np.geomspace(0.03, 2.0, 60):
        x, none, one = np.array([[0.0], [distance]]), np.zeros(1), np.ones(1)
        [width] = kernel_bandwidth.choose_density_bandwidth(x, np.ones(2), none, one)
        assert abs(np.log10(width / distance)) < 0.53 / 7


@pytest.mark.parametrize("missing", [False, True])
def test_closed_forms_are_the_same_on_jax(rng, missing):
    x, weight, landmarks, mean, variance = landmark_problem(rng)
    new = np.concatenate([landmarks[:5], rng.normal(size=(9, 3))])
    if missing:
        x[::4, 1], new[::3, 0] = np.nan, np.nan
    found = {}
    for backend in ("numpy", "jax"):
        with config_context(backend=backend):
            moments = kernel_novelty.start_moments(landmarks, 0.9, mean, variance)
            moments = kernel_novelty.add_rows(moments, x, weight)
            network, spectrum = kernel_novelty.projector(moments, 0.01)
            state = kernel_novelty.mean_state(network, moments.mass)
            found[backend] = (
                kernel_novelty.novelty(network, spectrum, 0.01, new),
                kernel_novelty.held_out_novelty(network, spectrum, 0.01, x, weight),
                kernel_novelty.surroundings(network, moments.mass, 4, new, own=new),
                kernel_novelty.reach(state, weight.sum(), 0.3, new, own=new),
                kernel_novelty.log_density(state, weight.sum(), new),
                kernel_novelty.held_out_log_density(state, weight.sum(), x, weight),
            )
    for ours, theirs in zip(found["numpy"], found["jax"], strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-9)


def test_surroundings_are_the_nearest_landmarks_without_the_row_itself(rng):
    _, _, landmarks, mean, variance = landmark_problem(rng)
    network = kernel_novelty.start_moments(landmarks, 0.9, mean, variance).frame
    values = rng.normal(size=len(landmarks))
    got = kernel_novelty.surroundings(network, values, 4, landmarks)
    squares = ((landmarks[:, None] - landmarks) ** 2).sum(axis=2)
    expected = values[np.argsort(squares, axis=1)[:, 1:5]].mean(axis=1)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    # Where all overlaps are 0, some are still nearer.
    far = landmarks[7] + 1e3 * (landmarks[7] - landmarks.mean(axis=0))
    nearest = values[np.argsort(((far - landmarks) ** 2).sum(axis=1))[:4]].mean()
    assert kernel_novelty.surroundings(network, values, 4, far[None])[0] == pytest.approx(nearest)
    # All but itself, where there are fewer.
    few = kernel_novelty.surroundings(network, values, 99, landmarks[:1])
    assert few[0] == pytest.approx(values[1:].mean())


def test_reach_is_the_overlap_with_a_quantile_of_the_rows(rng):
    _, _, landmarks, mean, variance = landmark_problem(rng)
    m = len(landmarks)
    network = kernel_novelty.start_moments(landmarks, 0.9, mean, variance).frame
    x = np.concatenate([landmarks[:4], rng.normal(size=(5, 3))])
    counts = rng.integers(1, 4, size=m)
    state = kernel_novelty.mean_state(network, counts.astype(float))
    squares = ((x[:, None] - landmarks) ** 2).sum(axis=2)
    expected = np.empty(9)
    for b in range(9):
        # Every row of weight 3 three times, without the row itself.
        left = counts - (np.arange(m) == b) * (b < 4)
        distances = np.sort(np.repeat(squares[b], left))
        expected[b] = -distances[int(np.ceil(0.3 * len(distances) - 1e-6)) - 1] / (2 * 0.9**2)
    got = kernel_novelty.reach(state, counts.sum(), 0.3, x)
    np.testing.assert_allclose(got, expected, rtol=1e-9)
    # A hidden value does not make a landmark its own neighbour.
    hidden = x.copy()
    hidden[:4, 1] = np.nan
    got = kernel_novelty.reach(state, counts.sum(), 1e-6, hidden[:4], own=x[:4])
    there = kernel_novelty.product_sum.log_overlaps(hidden[:4], landmarks, 0.9, mean, variance)
    there[np.arange(4), np.arange(4)] = np.where(
        counts[:4] > 1, there[np.arange(4), np.arange(4)], -np.inf
    )
    np.testing.assert_allclose(got, there.max(axis=1), rtol=1e-9)


def test_equal_rows_are_at_distance_zero_exactly(executor, rng):
    x = 1e3 * rng.normal(size=(40, 5))
    landmarks = np.concatenate([x[::-3], x[:4] + 1.0])
    with executor.precision(np.float64):
        squares = product_sum.squared_distances(executor.put(x), executor.put(landmarks))
        squares = executor.get(squares)
    exact = ((x[:, None] - landmarks) ** 2).sum(axis=2)
    np.testing.assert_array_equal(squares == 0, exact == 0)
    np.testing.assert_allclose(squares, exact, rtol=1e-8)


def test_a_ridge_that_drowns_a_light_row_leaves_nothing_to_know(rng):
    overlaps = np.exp(-((rng.normal(size=(6, 1)) - rng.normal(size=6)) ** 2))
    weight = np.array([1e-100, 1.0, 1.0, 1.0, 1.0, 1.0])
    novelty = kernel_bandwidth._exact_held_out(overlaps @ overlaps.T / 6, weight, 1e300)
    np.testing.assert_allclose(novelty, 1.0)
