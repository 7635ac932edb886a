"""The convex limit: its kernel, its solver, and the chains made from it."""

import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from sktn.chains import predict
from sktn.losses import log_probabilities
from sktn.networks import mps
from sktn.solvers import convex, convex_chain, objectives
from sktn.tables.sites import fit_sites


def classification(labels, n_classes, dtype=np.float64):
    return objectives.classification(labels, n_classes, dtype)


def site_vectors(rng, m, n=4, d=3, size=1.0):
    a = size * rng.normal(size=(m, n, d))
    a[:, :, 0] = 1
    return a


def expansion(a):
    """All products of components but the constant: (m, d^n - 1)"""
    out = np.ones((len(a), 1))
    for site in a.transpose(1, 0, 2):
        out = (out[:, :, None] * site[:, None, :]).reshape(len(a), -1)
    return out[:, 1:]


def problem(rng, n_classes, N=150):
    """A table with a smooth signal, weights (some 0), its basis and penalty weights."""
    X = rng.normal(size=(N, 4))
    signal = X[:, 0] * X[:, 1] + X[:, 2]
    labels = np.digitize(signal + rng.normal(size=N), np.linspace(-1, 1, n_classes + 1)[1:-1])
    weight = rng.integers(0, 3, N).astype(float)
    columns, basis, coords = fit_sites(
        X, weight, None, embedding="legendre", degree=2, scaling="standard", missing="marginal"
    )
    return columns, basis, coords, convex_chain.penalty_weights(basis, 1.0, 1.0), labels, weight


def scikit_learn(Z, labels, weight, alpha, n_classes):
    """Scores of the same problem solved by scikit-learn; one score stands for two classes."""
    strength = alpha if n_classes == 2 else 2 * alpha
    model = LogisticRegression(C=1 / strength, tol=1e-12, max_iter=10_000, solver="newton-cg")
    return model.fit(Z, labels, sample_weight=weight).decision_function(Z).reshape(len(Z), -1)


# Bigger than a block of rows, so that blocks meet.
@pytest.mark.parametrize("m", [7, 300])
def test_kernel_is_the_explicit_expansion(rng, m):
    a, b = site_vectors(rng, m), site_vectors(rng, 5)
    expected = expansion(a) @ expansion(b).T
    np.testing.assert_allclose(convex.product_kernel(a, b), expected, rtol=1e-10, atol=1e-10)


def test_kernel_does_not_cancel(rng):
    # Beside the 1 that is taken off, these values are below the rounding of float32.
    a = site_vectors(rng, 6, size=1e-5)
    found = convex.product_kernel(a.astype(np.float32), a.astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expansion(a) @ expansion(a).T, rtol=1e-4)


def test_weighted_inputs_put_the_penalty_into_the_inputs(rng):
    g = np.concatenate([np.ones((4, 1)), rng.uniform(1, 5, (4, 2))], axis=1)
    phi = site_vectors(rng, 5)
    kernel = convex.product_kernel(*2 * [convex.weighted_inputs(phi, g)])
    per_site = np.einsum("ans,bns,ns->abn", phi, phi, 1 / g)
    np.testing.assert_allclose(kernel, np.prod(per_site, axis=2) - 1, rtol=1e-10)


@pytest.mark.parametrize("size", [1.0, 0.0])
def test_nystroem_features_reproduce_the_kernel(rng, size):
    # The last rows repeat others: the kernel is singular.
    a = site_vectors(rng, 12, size=size)
    a = np.concatenate([a, a[:3]])
    kernel = convex.product_kernel(a, a)
    V, spectrum = convex.nystroem_map(kernel)
    features = kernel @ V
    assert V.shape == (15, 12 if size else 0)
    assert np.all(spectrum > 0)
    np.testing.assert_allclose(features @ features.T, kernel, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_solver_finds_the_minimum_of_scikit_learn(rng, n_classes):
    # Several problems in one batch: other weights (a fold is one of 0 and 1), other strengths.
    N = 120
    Z = rng.normal(size=(N, 8))
    labels = rng.integers(0, n_classes, N)
    W = np.stack([np.ones(N), rng.integers(0, 4, N), rng.random(N) < 0.5], axis=1).astype(float)
    alphas = np.array([1.0, 0.01, 10.0])
    B, b, scores, losses = convex.solve(
        Z, classification(labels, n_classes), W, alphas, tol=1e-15, max_cg=200
    )
    c = 1 if n_classes == 2 else n_classes
    assert B.shape == (3, 8, c)
    for p, alpha in enumerate(alphas):
        expected = scikit_learn(Z, labels, W[:, p], alpha, n_classes)
        np.testing.assert_allclose(Z @ B[p] + b[p], scores[p], atol=1e-10)
        # The intercepts of several classes are free up to one number.
        centred = [s - s.mean(axis=1, keepdims=c > 1) * (c > 1) for s in (scores[p], expected)]
        np.testing.assert_allclose(*centred, atol=2e-5)
    assert np.all(np.diff(losses, axis=0) <= 1e-9), "the loss must never rise"


def test_solver_follows_the_dtype_and_agrees_in_both(rng):
    Z = rng.normal(size=(80, 5))
    labels = rng.integers(0, 2, 80)
    W, alphas = np.ones((80, 1)), np.array([0.5])
    single = convex.solve(Z.astype(np.float32), classification(labels, 2, np.float32), W, alphas)
    double = convex.solve(Z, classification(labels, 2), W, alphas)
    assert {a.dtype for a in single[:3]} == {np.dtype(np.float32)}
    assert {a.dtype for a in double[:3]} == {np.dtype(np.float64)}
    np.testing.assert_allclose(single[2], double[2], atol=1e-3)


def test_solver_of_nothing(rng):
    # No features, as with constant columns: the intercept alone, which is the log-odds.
    labels = np.repeat([0, 1], [30, 10])
    _, b, scores, _ = convex.solve(
        np.ones((40, 0)), classification(labels, 2), np.ones((40, 1)), [0.1], tol=1e-12
    )
    np.testing.assert_allclose(b, np.log(10 / 30), rtol=1e-5)
    np.testing.assert_allclose(scores, np.log(10 / 30), rtol=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_separable_classes_without_a_ridge_stay_finite(n_classes):
    labels = np.repeat(np.arange(n_classes), 10)
    Z = np.eye(n_classes)[labels]
    for array in convex.solve(Z, classification(labels, n_classes), np.ones((len(Z), 1)), [0.0])[
        :3
    ]:
        assert np.isfinite(array).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_search_is_separate_fits(rng, n_classes):
    _, basis, coords, g, labels, weight = problem(rng, n_classes)
    design = convex_chain.make_design(basis, coords, g, np.flatnonzero(weight > 0))
    folds, alphas = rng.integers(0, 3, len(labels)), [0.5, 20.0, 3.0]  # in no order
    objective = classification(labels, n_classes)
    scores, losses = convex_chain.search(
        design, objective, weight, folds, alphas, tol=1e-14, patience=9
    )
    log_proba = log_probabilities(scores)
    assert log_proba.shape == (3, len(labels), n_classes)
    expected = np.empty(log_proba.shape)
    for k, alpha in enumerate(alphas):
        for fold in range(3):
            held_in = (weight * (folds != fold))[:, None]
            out = convex.solve(design.Z, objective, held_in, np.array([alpha]), tol=1e-14)
            expected[k, folds == fold] = log_probabilities(out[2][0])[folds == fold]
    np.testing.assert_allclose(log_proba, expected, atol=1e-5)
    for k in range(3):
        loss = log_loss(labels, np.exp(expected[k]), sample_weight=weight)
        np.testing.assert_allclose(losses[k], loss, rtol=1e-5)


def test_search_stops_where_the_path_overfits(rng):
    _, basis, coords, g, _, weight = problem(rng, 2)
    labels = rng.integers(0, 2, len(coords))  # nothing to learn: the strongest is the best
    design = convex_chain.make_design(basis, coords, g, np.flatnonzero(weight > 0))
    alphas = [100.0, 1.0, 0.1, 0.01]
    folds = rng.integers(0, 3, len(labels))
    scores, losses = convex_chain.search(design, classification(labels, 2), weight, folds, alphas)
    assert np.isfinite(losses).tolist() == [True, True, True, False]
    np.testing.assert_array_equal(scores[3], scores[2])


def test_classes_share_no_common_shift(rng):
    # One number added to all scores is a direction without curvature: nothing may grow there.
    labels = rng.integers(0, 3, 40)
    Z = rng.normal(size=(40, 60))
    for alpha in (0.1, 0.0):
        B, b, _, _ = convex.solve(
            Z, classification(labels, 3), np.ones((40, 1)), np.array([alpha]), tol=1e-15, max_cg=200
        )
        np.testing.assert_allclose(b.sum(-1), 0, atol=1e-9)
        np.testing.assert_allclose(B.sum(-1), 0, atol=1e-9)


@pytest.fixture(
    params=[(2, 2, 16), (3, 2, 16), (2, 0, 16), (2, 4, 16), (3, 2, 3)],
    ids="classes={0[0]},p={0[1]},D={0[2]}".format,
)
def fitted(request, rng):
    """A chain from the convex limit, beside the solution that it stands for."""
    n_classes, p, D = request.param
    if p in (0, 4):
        D = 3**4  # all products of one side
    columns, basis, coords, g, labels, weight = problem(rng, n_classes)
    design = convex_chain.make_design(basis, coords, g, np.flatnonzero(weight > 0))
    index = mps.site_index(4, p, [2, 0, 1, 3])
    alpha = 0.3
    arms, readout, losses, lost = convex_chain.fit_chain(
        design,
        basis,
        coords,
        g,
        classification(labels, n_classes),
        weight,
        alpha,
        index,
        D,
        1e-13,
        np.random.default_rng(0),
    )
    B, b, scores, _ = convex.solve(
        design.Z, classification(labels, n_classes), weight[:, None], np.array([alpha]), tol=1e-13
    )
    network = {"arms": arms, "readout": readout, "index": index}
    padded = np.concatenate([g, np.ones_like(g[:1])])[index]
    with jax.enable_x64(True):
        mean, penalty = map(np.asarray, jax.jit(mps.mean_and_penalty)(arms, readout, padded))
    return {
        "network": network,
        "losses": losses,
        "lost": lost,
        "basis": basis,
        "coords": coords,
        "scores": scores[0],
        "B": B[0],
        "b": b[0],
        "mean": mean,
        "penalty": penalty,
        "D": D,
        "weight": weight,
        "labels": labels,
        "alpha": alpha,
    }


def test_chain_of_large_bond_dimension_is_the_kernel_solution(fitted):
    if fitted["D"] < 9:
        pytest.skip("truncated")
    found = predict.scores(fitted["basis"], fitted["network"], fitted["coords"])
    centre = found.shape[1] > 1
    a, b = (s - s.mean(axis=1, keepdims=True) * centre for s in (found, fitted["scores"]))
    np.testing.assert_allclose(a, b, atol=1e-4)
    assert fitted["lost"] < 1e-10


def test_penalty_of_the_chain_is_the_norm_of_the_solution(fitted):
    # J by transfer matrices on one side, the plain squared norm of the coefficients on the other.
    readout = fitted["network"]["readout"]
    plain = np.sum(readout**2) - np.sum(readout[0, :, 0] ** 2)
    np.testing.assert_allclose(fitted["penalty"], plain, rtol=1e-10)
    np.testing.assert_allclose(fitted["mean"], readout[0, :, 0], rtol=1e-10)
    if fitted["D"] >= 9:
        np.testing.assert_allclose(fitted["penalty"], np.sum(fitted["B"] ** 2), rtol=1e-4)


def test_loss_curve_ends_at_the_loss_of_the_chain(fitted):
    found = predict.scores(fitted["basis"], fitted["network"], fitted["coords"])
    weight, labels = fitted["weight"], fitted["labels"]
    logits = np.concatenate([-found / 2, found / 2], 1) if found.shape[1] == 1 else found
    log_proba = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    halved = 0.5 if found.shape[1] == 1 else 1.0
    loss = -weight @ log_proba[np.arange(len(labels)), labels]
    loss += halved * fitted["alpha"] * fitted["penalty"]
    np.testing.assert_allclose(fitted["losses"][-1], loss / weight.sum(), rtol=1e-8)


def test_landmarks_leave_out_rows_without_weight():
    weight = np.array([0.0, 1, 1, 0, 1, 1])
    all_rows = convex_chain.choose_landmarks(weight, 10, np.random.RandomState(0))
    np.testing.assert_array_equal(all_rows, [1, 2, 4, 5])
    some = convex_chain.choose_landmarks(weight, 2, np.random.RandomState(0))
    assert len(some) == 2
    assert np.all(weight[some] > 0)


def test_penalty_weights(rng):
    _, basis, *_ = problem(rng, 2)
    g = convex_chain.penalty_weights(basis, 0.5, 1.0)
    np.testing.assert_allclose(g, np.tile([1.0, 2.0, 8.0], (4, 1)))
    # At q = 0 all degrees cost the same, and omega is never below 1.
    np.testing.assert_allclose(convex_chain.penalty_weights(basis, 0.0, 0.0), 1)
