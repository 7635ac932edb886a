"""The convex limit: its kernel, its solver, and the chains made from it."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from sktn.chains import predict
from sktn.losses import SquaredError, classification, log_probabilities
from sktn.networks import mps
from sktn.solvers import convex, convex_chain, newton
from sktn.solvers import problem as problems
from sktn.solvers.kernel import nystroem_map, product_kernel, triangular_map
from sktn.solvers.newton import Effort
from sktn.solvers.problem import ChainProblem
from sktn.tables.penalty import penalty_weights
from sktn.tables.sites import make_sites

EXACT = Effort(max_iter=100, max_cg=300, tol=1e-15)


class Labels:
    """What a solver needs of a problem: labels and their loss."""

    def __init__(self, labels, n_classes, dtype=np.float64):
        self.loss, self.target = classification(labels, n_classes, dtype)
        self.n_scores = self.loss.n_scores(self.target)


def with_constant(Z):
    return np.concatenate([Z, np.ones((len(Z), 1), Z.dtype)], axis=1)


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
    sites = make_sites(X, weight, degree=2, scaling="standard")
    loss, target = classification(labels, n_classes, np.float64)
    g = penalty_weights(sites.basis, 1.0, 1.0)
    return ChainProblem(sites.basis, sites.coords, loss, target, weight, g), labels


def complete_design(problem):
    return convex.make_design(problem, np.flatnonzero(problem.weight > 0))


@pytest.mark.parametrize("quadratic", [False, True])
def test_a_design_whose_rows_are_all_landmarks_has_the_features_of_any_rows(rng, quadratic):
    whole, _ = problem(rng, 2, N=40)
    weight = np.ones(40)
    if quadratic:
        values = rng.normal(size=(40, 1))
        whole = replace(whole, loss=SquaredError(), target=values)
    whole = replace(whole, weight=weight)
    design = convex.make_design(whole, np.arange(40))
    features = convex._features(whole.basis, whole.roots, design.landmarks, design.V, whole.coords)
    np.testing.assert_allclose(design.Z, features, rtol=1e-9, atol=1e-9)


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
    np.testing.assert_allclose(product_kernel(a, b), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("max_order", [None, 1, 2])
@pytest.mark.parametrize("m", [1, 5, 50])
def test_kernel_of_vectors_with_themselves_is_that_with_a_copy(rng, m, max_order):
    a = site_vectors(rng, m)
    found, expected = (product_kernel(a, b, max_order) for b in (a, a.copy()))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_array_equal(found, found.T)


@pytest.mark.parametrize("quadratic", [False, True])
def test_rows_that_are_no_landmarks_have_features_of_the_same_map(rng, quadratic):
    whole, _ = problem(rng, 2, N=40)
    if quadratic:
        whole = replace(whole, loss=SquaredError(), target=rng.normal(size=(40, 1)))
    design = convex.make_design(whole, np.array([3, 11, 12, 30]))
    features = convex._features(whole.basis, whole.roots, design.landmarks, design.V, whole.coords)
    np.testing.assert_allclose(design.Z, features, rtol=1e-9, atol=1e-9)


def test_kernel_does_not_cancel(rng):
    # Beside the 1 that is taken off, these values are below the rounding of float32.
    a = site_vectors(rng, 6, size=1e-5)
    found = product_kernel(a.astype(np.float32), a.astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expansion(a) @ expansion(a).T, rtol=1e-4)


@pytest.mark.parametrize("max_order", [1, 2])
@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_kernel_of_few_sites_is_a_sum_over_sets_of_them(rng, max_order, backend):
    a, b = site_vectors(rng, 300), site_vectors(rng, 7)
    k = np.einsum("ans,bns->nab", a[:, :, 1:], b[:, :, 1:])
    expected = k.sum(axis=0)
    if max_order == 2:
        expected += sum(k[i] * k[j] for i in range(len(k)) for j in range(i))
    if backend == "jax":
        with jax.enable_x64(True):
            found = product_kernel(jax.numpy.asarray(a), jax.numpy.asarray(b), max_order)
    else:
        found = product_kernel(a, b, max_order)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_weighted_site_vectors_put_the_penalty_into_the_kernel(rng):
    task, _ = problem(rng, 2)
    rows = np.arange(5)
    kernel = product_kernel(*2 * [task.vectors(rows)])
    phi = task.vectors(rows) * task.roots
    per_site = np.einsum("ans,bns,ns->abn", phi, phi, 1 / task.penalty)
    np.testing.assert_allclose(kernel, np.prod(per_site, axis=2) - 1, rtol=1e-10)


def test_vectors_of_large_rows_are_made_in_blocks_each_site_in_one_piece(rng, monkeypatch):
    task, _ = problem(rng, 2)
    rows, orders = np.arange(100)[::-1], ([2, 0], [3, 1])
    whole, arms = task.vectors(rows), task.inputs(orders)
    monkeypatch.setattr(problems, "_BLOCK_NUMBERS", 7 * task.penalty.size)
    found = task.vectors(rows)
    np.testing.assert_allclose(found, whole, rtol=1e-12, atol=1e-15)
    assert found.transpose(1, 0, 2).flags.c_contiguous
    assert [len(a) for _, a in task.blocks()] == [7] * 21 + [3]
    for arm, before, order in zip(task.inputs(orders), arms, orders, strict=True):
        np.testing.assert_allclose(arm, before, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(arm[:, rows], whole[:, order].transpose(1, 0, 2), rtol=1e-12)


@pytest.mark.parametrize("size", [1.0, 0.0])
def test_nystroem_features_reproduce_the_kernel(rng, size):
    # The last rows repeat others: the kernel is singular.
    a = site_vectors(rng, 12, size=size)
    a = np.concatenate([a, a[:3]])
    kernel = product_kernel(a, a)
    V, spectrum = nystroem_map(kernel)
    features = kernel @ V
    assert V.shape == (15, 12 if size else 0)
    assert np.all(spectrum > 0)
    np.testing.assert_allclose(features @ features.T, kernel, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("size", [1.0, 0.0])
def test_triangular_features_reproduce_the_kernel(rng, size, dtype):
    a = site_vectors(rng, 12, size=size)
    a = np.concatenate([a, a[:3]]).astype(dtype)
    kernel = product_kernel(a, a)
    kept, V, whole = triangular_map(kernel)
    # Landmarks that repeat others are left out.
    assert V.dtype == dtype
    assert len(kept) == len({k % 12 for k in kept}) == (12 if size else 1)
    features = kernel[:, kept] @ V
    tolerance = 1e-8 if dtype == np.float64 else 1e-3
    scale = max(1.0, np.abs(kernel).max())
    np.testing.assert_allclose(features @ features.T, kernel, atol=tolerance * scale)
    np.testing.assert_allclose(whole, features, atol=tolerance * scale)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_solver_finds_the_minimum_of_scikit_learn(rng, n_classes):
    # Several problems in one batch: other weights (a fold is one of 0 and 1), other strengths.
    N = 120
    Z = with_constant(rng.normal(size=(N, 8)))
    labels = rng.integers(0, n_classes, N)
    W = np.stack([np.ones(N), rng.integers(0, 4, N), rng.random(N) < 0.5]).astype(float)
    alphas, task = np.array([1.0, 0.01, 10.0]), Labels(labels, n_classes)
    strengths = 2 * alphas * task.loss.ridge_share
    B, scores, losses = convex.solve(Z, task, W, strengths, EXACT)
    c = 1 if n_classes == 2 else n_classes
    assert B.shape == (3, 9, c)
    for p, alpha in enumerate(alphas):
        expected = scikit_learn(Z[:, :-1], labels, W[p], alpha, n_classes)
        np.testing.assert_allclose(Z @ B[p], scores[p], atol=1e-10)
        # The intercepts of several classes are free up to one number.
        centred = [s - s.mean(axis=1, keepdims=c > 1) * (c > 1) for s in (scores[p], expected)]
        np.testing.assert_allclose(*centred, atol=2e-5)
    assert np.all(np.diff(losses, axis=0) <= 1e-9), "the loss must never rise"


def test_solver_follows_the_dtype_and_agrees_in_both(rng):
    Z = with_constant(rng.normal(size=(80, 5)))
    labels = rng.integers(0, 2, 80)
    single = convex.solve(
        Z.astype(np.float32), Labels(labels, 2, np.float32), np.ones((1, 80)), [0.5], Effort()
    )
    double = convex.solve(Z, Labels(labels, 2), np.ones((1, 80)), [0.5], Effort())
    assert {a.dtype for a in single[:2]} == {np.dtype(np.float32)}
    assert {a.dtype for a in double[:2]} == {np.dtype(np.float64)}
    np.testing.assert_allclose(single[1], double[1], atol=1e-3)


def test_solver_of_nothing():
    # No features, as with constant columns: the intercept alone, which is the log-odds.
    labels = np.repeat([0, 1], [30, 10])
    B, scores, _ = convex.solve(np.ones((40, 1)), Labels(labels, 2), np.ones((1, 40)), [0.1], EXACT)
    np.testing.assert_allclose(B, np.log(10 / 30), rtol=1e-5)
    np.testing.assert_allclose(scores, np.log(10 / 30), rtol=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_separable_classes_without_a_ridge_stay_finite(n_classes):
    labels = np.repeat(np.arange(n_classes), 10)
    Z = with_constant(np.eye(n_classes)[labels])
    B, scores, _ = convex.solve(Z, Labels(labels, n_classes), np.ones((1, len(Z))), [0.0], Effort())
    assert np.isfinite(B).all()
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("strength", [0.3, 1e-12])
def test_squared_losses_are_solved_at_once(rng, strength):
    Z, y = with_constant(rng.normal(size=(30, 6))), rng.normal(size=(30, 2))
    w = rng.integers(0, 3, 30).astype(float)
    ridge = strength * np.diag([1.0] * 6 + [0.0])
    expected = np.linalg.solve((Z.T * w) @ Z + ridge, (Z.T * w) @ y)
    np.testing.assert_allclose(convex.ridge_path(Z, y, w, [strength])[0], expected, rtol=1e-8)
    path = convex.ridge_path(Z, y, w, [10.0, strength])
    np.testing.assert_allclose(path[1], expected, rtol=1e-8)


def test_problems_leave_when_they_are_solved(rng):
    Z, labels = with_constant(rng.normal(size=(80, 3))), rng.integers(0, 2, 80)
    effort = Effort(max_iter=50, tol=1e-9)
    *_, losses = convex.solve(Z, Labels(labels, 2), np.ones((2, 80)), [1e6, 1e-3], effort)
    assert len(losses) < 15


@pytest.mark.parametrize("size", [1, 2, 3, 70])
def test_a_path_of_ridges_is_a_solution_for_every_strength(rng, monkeypatch, size):
    factor = rng.normal(size=(size + 3, size))
    gram, target = factor.T @ factor, rng.normal(size=(size, 2))
    shifts = np.array([1e-4, 0.3, 5.0, np.inf])
    if size > 1:  # eigenvectors, several times as expensive, are not asked
        monkeypatch.setattr(np.linalg, "eigh", None)
    found = convex._shifted_solutions(gram, target, shifts, 1e-9)
    for one, shift in zip(found, shifts[:-1], strict=False):
        expected = np.linalg.solve(gram + (shift + 1e-9) * np.eye(size), target)
        np.testing.assert_allclose(one, expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())
    np.testing.assert_array_equal(found[-1], 0)


def test_a_gram_matrix_that_rounding_made_indefinite_still_has_a_path():
    turn, _ = np.linalg.qr(np.arange(9.0).reshape(3, 3) ** 2 + np.eye(3))
    # What is negative counts as 0, for the weak strengths and the strong.
    gram = turn @ np.diag([2.0, 1.0, -0.1]) @ turn.T
    found = convex._shifted_solutions(gram, turn, np.array([0.5, 0.0]), 1e-2)
    expected = [turn @ np.diag(1 / (np.array([2.01, 1.01, 1e-2]) + s)) for s in (0.5, 0.0)]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_search_is_separate_fits(rng, n_classes):
    task, labels = problem(rng, n_classes)
    design = complete_design(task)
    folds, alphas = rng.integers(0, 3, len(labels)), [0.5, 20.0, 3.0]  # in no order
    scores, losses = convex.search(design, task, folds, alphas, effort=EXACT, patience=9)
    log_proba = log_probabilities(scores)
    assert log_proba.shape == (3, len(labels), n_classes)
    expected = np.empty(log_proba.shape)
    for k, alpha in enumerate(alphas):
        strength = [2 * alpha * task.loss.ridge_share]
        for fold in range(3):
            held_in = (task.weight * (folds != fold))[None]
            out = convex.solve(design.Z, task, held_in, strength, EXACT)
            expected[k, folds == fold] = log_probabilities(out[1][0])[folds == fold]
    np.testing.assert_allclose(log_proba, expected, atol=1e-5)
    for k in range(3):
        loss = log_loss(labels, np.exp(expected[k]), sample_weight=task.weight)
        np.testing.assert_allclose(losses[k], loss, rtol=1e-5)


def test_rows_that_are_never_held_out_are_trained_on_and_not_judged(rng):
    task, labels = problem(rng, 2)
    folds = rng.integers(0, 3, len(labels))
    folds[:20] = -1
    design = complete_design(task)
    scores, losses = convex.search(design, task, folds, [0.5], effort=EXACT)
    held_in = (task.weight * (folds != 1))[None]
    out = convex.solve(design.Z, task, held_in, [2 * 0.5 * task.loss.ridge_share], EXACT)
    np.testing.assert_allclose(scores[0, folds == 1], out[1][0][folds == 1], atol=1e-5)
    judged = np.flatnonzero(folds >= 0)
    assert np.isclose(losses[0], task.take(judged).mean_loss(scores[0, judged]))


def test_search_stops_where_the_path_overfits(rng):
    task, _ = problem(rng, 2)
    noise = Labels(rng.integers(0, 2, task.n_rows), 2)  # nothing to learn: the strongest is best
    task = replace(task, target=noise.target)
    folds = rng.integers(0, 3, task.n_rows)
    scores, losses = convex.search(complete_design(task), task, folds, [100.0, 1.0, 0.1, 0.01])
    finite = np.isfinite(losses)
    assert finite[0]
    assert not finite[3]
    assert np.all(np.diff(losses[finite]) > 0)
    np.testing.assert_array_equal(scores[3], scores[finite.sum() - 1])


def test_a_path_begins_where_the_two_minima_before_point_to(rng, monkeypatch):
    begun, found, solve = [], [], convex.solve

    def watched(Z, task, W, strengths, effort, start):
        begun.append(start)
        B, F, losses = solve(Z, task, W, strengths, effort, start)
        found.append(B)
        return B, F, losses

    monkeypatch.setattr(convex, "solve", watched)
    task, _ = problem(rng, 2)
    folds = np.arange(task.n_rows) % 3
    convex.search(complete_design(task), task, folds, [10.0, 1.0, 0.1], patience=9)
    assert begun[0] is None
    np.testing.assert_array_equal(begun[1], found[0])
    np.testing.assert_array_equal(begun[2], 2 * found[1] - found[0])


def test_classes_share_no_common_shift(rng):
    # One number added to all scores is a direction without curvature: nothing may grow there.
    task = Labels(rng.integers(0, 3, 40), 3)
    Z = with_constant(rng.normal(size=(40, 60)))
    for strength in (0.2, 0.0):
        B, _, _ = convex.solve(Z, task, np.ones((1, 40)), [strength], EXACT)
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
    task, labels = problem(rng, n_classes)
    task = task.with_alpha(0.3)
    design = complete_design(task)
    chain = np.array([2, 0, 1, 3]), p, D
    solution, least = convex_chain.fit_chain(task, design, chain, np.random.default_rng(0), EXACT)
    B, scores, _ = convex.solve(design.Z, task, task.weight[None], [task.strength], EXACT)
    network = convex_chain.unweighted(solution.networks[0], task)
    arms, readout = network.padded()
    padded = np.concatenate([task.penalty, np.ones_like(task.penalty[:1])])[network.index]
    with jax.enable_x64(True):
        mean, penalty = map(np.asarray, jax.jit(mps.mean_and_penalty)(arms, readout, padded))
    return SimpleNamespace(
        task=task,
        labels=labels,
        network=network,
        solution=solution,
        least=least,
        scores=scores[0],
        B=B[0],
        mean=mean,
        penalty=penalty,
        truncated=D < 9,
    )


def test_chain_of_large_bond_dimension_is_the_kernel_solution(fitted):
    if fitted.truncated:
        pytest.skip("truncated")
    found = predict.scores(fitted.task.basis, fitted.network, fitted.task.coords)
    centre = found.shape[1] > 1
    a, b = (s - s.mean(axis=1, keepdims=True) * centre for s in (found, fitted.scores))
    np.testing.assert_allclose(a, b, atol=1e-4)
    assert fitted.solution.truncation_error < 1e-10
    assert np.isclose(fitted.solution.losses[-1], fitted.least, rtol=1e-8)


def test_the_convex_limit_bounds_the_loss_of_every_chain(fitted):
    assert fitted.solution.losses[-1] >= fitted.least * (1 - 1e-10)


def test_penalty_of_the_chain_is_the_norm_of_the_solution(fitted):
    # J by transfer matrices on one side, the plain squared norm of the coefficients on the other.
    readout = fitted.network.readout
    plain = np.sum(readout**2) - np.sum(readout[0, :, 0] ** 2)
    np.testing.assert_allclose(fitted.penalty, plain, rtol=1e-10)
    np.testing.assert_allclose(fitted.mean, readout[0, :, 0], rtol=1e-10)
    if not fitted.truncated:
        np.testing.assert_allclose(fitted.penalty, np.sum(fitted.B[:-1] ** 2), rtol=1e-4)


def test_loss_curve_ends_at_the_loss_of_the_chain(fitted):
    task, labels = fitted.task, fitted.labels
    found = predict.scores(task.basis, fitted.network, task.coords)
    log_proba = log_probabilities(found)
    halved = 0.5 if found.shape[1] == 1 else 1.0
    loss = -task.weight @ log_proba[np.arange(len(labels)), labels]
    loss += halved * task.alpha * fitted.penalty
    np.testing.assert_allclose(fitted.solution.losses[-1], loss / task.weight.sum(), rtol=1e-8)


def test_landmarks_leave_out_rows_without_weight():
    weight = np.array([0.0, 1, 1, 0, 1, 1])
    all_rows = convex.choose_landmarks(weight, 10, np.random.RandomState(0))
    np.testing.assert_array_equal(all_rows, [1, 2, 4, 5])
    some = convex.choose_landmarks(weight, 2, np.random.RandomState(0))
    assert len(some) == 2
    assert np.all(weight[some] > 0)


def test_penalty_weights(rng):
    basis = problem(rng, 2)[0].basis
    g = penalty_weights(basis, 0.5, 1.0)
    np.testing.assert_allclose(g, np.tile([1.0, 2.0, 8.0], (4, 1)))
    # At q = 0 all degrees cost the same, and omega is never below 1.
    np.testing.assert_allclose(penalty_weights(basis, 0.0, 0.0), 1)


def test_kernels_beyond_the_range_of_floats_are_refused_with_the_remedy(rng):
    part = problem(rng, 2)[0]
    tiny = np.full_like(part.penalty, 1e-200)
    tiny[:, 0] = 1
    part = part.with_penalty(tiny)
    with pytest.raises(ValueError, match="use another scaling"):
        complete_design(part)


def losses_along(monkeypatch, losses):
    """Fits of chains with these losses, fold by fold -> search, what was asked for"""
    asked = []

    def chain_path(problem, design, inputs, chain, held_out, alphas, rng, warm_sweeps=None):
        k = int(folds[held_out[0]])
        for alpha in alphas:
            asked.append((k, float(alpha)))
            loss = losses[k][strengths.index(alpha)]
            yield np.full((len(held_out), 1), loss, np.float32), loss, None

    folds, strengths = np.arange(12) % 3, [1.0, 0.3, 0.1, 0.03]
    monkeypatch.setattr(convex_chain, "chain_path", chain_path)
    part = SimpleNamespace(
        n_rows=12, n_scores=1, inputs=lambda orders: None, mean_loss=lambda scores: scores.mean()
    )
    part.take = lambda rows: part

    def search(limits):
        chain = np.arange(2), 1, 4
        return convex_chain.search_chains([part], [None], chain, folds, strengths, limits, None)

    return search, asked


def test_other_folds_of_a_chain_are_fitted_at_the_strength_that_the_first_wants(monkeypatch):
    losses = [[3.0, 1.0, 2.0, 0.0], [9.0, 4.0, 9.0, 9.0], [9.0, 7.0, 9.0, 9.0]]
    search, asked = losses_along(monkeypatch, losses)
    scores, found = search([3.0, 0.0, 0.0])
    assert asked == [(0, 1.0), (0, 0.3), (0, 0.1), (1, 0.3), (2, 0.3)]
    np.testing.assert_array_equal(scores[1, :3, 0], [1.0, 4.0, 7.0])
    np.testing.assert_array_equal(found, [np.inf, 4.0, np.inf, np.inf])


@pytest.mark.parametrize(
    ("losses", "tried"),
    [([3.2, 1.0], 1), ([np.nan, 1.0], 1), ([3.1, 3.05, 3.06, 1.0], 3), ([3.1, np.nan, 1.0], 2)],
)
def test_a_first_fold_beyond_its_limit_ends_the_search_of_a_chain(monkeypatch, losses, tried):
    search, asked = losses_along(monkeypatch, [losses])
    _, found = search([3.0, 9.0, 9.0])
    assert [k for k, _ in asked] == [0] * tried
    assert not np.isfinite(found).any()


@pytest.mark.parametrize(("warm", "starts"), [(False, 3), (True, 1)])
def test_chains_of_a_path_begin_at_their_convex_limits_or_each_other(
    rng, monkeypatch, warm, starts
):
    X, y = rng.normal(size=(60, 3)), rng.normal(size=(60, 1))
    sites = make_sites(X, np.ones(60), degree=2, scaling="standard")
    g = penalty_weights(sites.basis, 1.0, 1.0)
    task = ChainProblem(sites.basis, sites.coords, SquaredError(), y, np.ones(60), g)
    design, fits, sweeps = complete_design(task), [], []
    fit, sweep = convex_chain.fit_chain, convex_chain.sweep.sweep

    def fit_chain(problem, *more):
        fits.append(problem)
        return fit(problem, *more)

    def one_sweep(network, inputs, part, options):
        sweeps.append(options.max_sweeps)
        return sweep(network, inputs, part, options)

    monkeypatch.setattr(convex_chain, "fit_chain", fit_chain)
    monkeypatch.setattr(convex_chain.sweep, "sweep", one_sweep)
    held_out, chain = np.arange(20), (np.arange(3), 1, 9)
    inputs = task.inputs((chain[0][:1], chain[0][1:][::-1]))
    on = task, design, inputs, chain, held_out, [1.0, 0.1, 0.01], np.random.default_rng(0)
    path = list(convex_chain.chain_path(*on, warm=warm))
    assert len(fits) == starts
    assert sweeps == [1] * 3
    for problem in fits:
        assert not problem.weight[held_out].any()
    # Of so large a bond dimension it is the convex limit.
    folds = np.where(np.isin(np.arange(60), held_out), 0, -1)
    scores, losses = convex.search(design, task, folds, [1.0, 0.1, 0.01])
    # The first of warm chains is that limit before any sweep.
    expected = [losses[0], *losses] if warm else losses
    np.testing.assert_allclose([loss for _, loss, _ in path], expected, rtol=1e-3)
    np.testing.assert_allclose(path[0][0], scores[0, :20], atol=1e-2)


def sure_problem(rng, n_classes, N=200):
    """A table of classes that few rows leave in doubt, and its features."""
    task, _ = problem(rng, n_classes, N=N)
    features = with_constant(rng.normal(size=(N, 5)))
    labels = np.argmax(features[:, :n_classes] + 0.01 * rng.normal(size=(N, n_classes)), axis=1)
    loss, target = classification(labels, n_classes, np.float64)
    return replace(task, loss=loss, target=target, weight=np.ones(N)), features


@pytest.mark.parametrize("n_classes", [2, 3])
def test_rough_directions_leave_out_rows_that_the_model_is_sure_of(rng, monkeypatch, n_classes):
    monkeypatch.setattr(newton, "_LARGE", 1)
    task, Z = sure_problem(rng, n_classes)
    left, of_rows = [], convex._Linear.of_rows

    def counted(system, rows):
        left.append(len(rows))
        return of_rows(system, rows)

    monkeypatch.setattr(convex._Linear, "of_rows", counted)
    args = Z, task, task.weight[None], [0.01]
    exact = convex.solve(*args, Effort(tol=1e-9))
    assert not left
    rough = convex.solve(*args, Effort(tol=1e-9, untold=0.03))
    assert 0 < min(left) < len(Z) / 2
    # Gradients and steps are of all rows: the minimum is the same.
    np.testing.assert_allclose(rough[2][-1], exact[2][-1], rtol=1e-5)
    np.testing.assert_allclose(rough[1], Z @ rough[0], rtol=1e-9)


def test_rows_left_out_have_no_more_than_their_share_of_any_curvature(rng):
    curvature = rng.uniform(size=(2, 100, 3)) ** 20
    weight = rng.integers(1, 3, size=(2, 100, 1)).astype(float)
    rows = newton._telling_rows(weight * curvature, weight, 0.1)
    own = (weight * curvature).sum(-1)
    assert len(rows) <= 2 * 100 / 3
    assert (own[:, rows].sum(1) >= 0.9 * own.sum(1)).all()
    # Of a flat one no share of rows is small.
    assert newton._telling_rows(weight, weight, 0.1) is None


def test_components_are_left_out_at_any_size_of_charges(rng):
    task, _ = problem(rng, 2)
    task = task.astype(np.float32)
    steep = np.where(np.asarray(task.basis.degrees) == 2, np.float32(1e38), task.penalty)
    kept = task.with_penalty(steep).without_negligible(1e3)
    assert kept.penalty.shape == (4, 2)
    assert task.without_negligible(0.0) is task
