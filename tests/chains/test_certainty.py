"""How sure a classifier is, and which rows are unlike those it knows."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sktn import MPSClassifier, MPSClassifierCV, MPSRegressor
from sktn.chains.certainty import fit_certainty, probability_std
from sktn.chains.solvers import Convex
from sktn.inspection import limit_order, marginal_effect
from sktn.losses import classification
from sktn.solvers.kernel import product_kernel
from sktn.solvers.problem import ChainProblem
from sktn.tables.basis import embed
from sktn.tables.penalty import penalty_weights
from sktn.tables.sites import make_sites

SMALL = {"bases": [("quantile", 3)], "smoothnesses": [1.0], "relevances": ["equal"]}


def draw(rng, n, n_classes=2):
    X = rng.normal(size=(n, 3))
    X[:, 1] += 2 * X[:, 0]
    score = X[:, 0] + X[:, 1] * X[:, 2] / 2 + rng.normal(size=n)
    return X, np.digitize(score, np.linspace(-1, 1, n_classes + 1)[1:-1])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_standard_errors_are_those_of_refits(rng, n_classes):
    fresh = draw(rng, 100)[0]
    model = MPSClassifier(degree=3, alpha=1.0, random_state=0)
    found = [model.fit(*draw(rng, 200, n_classes)).predict_proba(fresh, True) for _ in range(12)]
    proba, std = map(np.array, zip(*found, strict=True))
    expected = proba.std(axis=0, ddof=1)
    assert 0.6 < np.sqrt(np.mean(std**2) / np.mean(expected**2)) < 1.6
    assert np.corrcoef(std.mean(axis=0).ravel(), expected.ravel())[0, 1] > 0.6


def test_more_rows_make_surer(rng):
    fresh = draw(rng, 100)[0]
    few, many = (
        MPSClassifier(degree=3, alpha=1.0, random_state=0).fit(*draw(rng, n)) for n in (100, 4000)
    )
    # The second is judged by a part of its rows.
    ratio = many.predict_proba(fresh, True)[1].mean() / few.predict_proba(fresh, True)[1].mean()
    assert ratio < 0.5
    assert many.novelty(fresh).mean() < few.novelty(fresh).mean()


@pytest.mark.parametrize("max_order", [None, 1, 2])
def test_rows_that_are_unlike_those_of_the_training_are_novel(rng, max_order):
    X, y = draw(rng, 300)
    model = MPSClassifier(degree=4, solver=Convex(max_order=max_order), random_state=0).fit(X, y)
    fresh = draw(rng, 200)[0]
    # Against the correlation of the first two columns.
    other = fresh * [1, -1, 1]
    novelty = model.novelty(np.concatenate([fresh, other]))
    assert novelty.min() >= 0
    assert novelty.max() <= 1
    assert roc_auc_score(np.repeat([0, 1], 200), novelty) > 0.65


def test_an_average_adds_what_its_members_disagree_in(rng):
    X, y = draw(rng, 150)
    model = MPSClassifierCV(**SMALL, random_state=0).fit(X, y)
    proba, std = model.predict_proba(X, return_std=True)
    np.testing.assert_allclose(proba, model.predict_proba(X), rtol=1e-6)
    parts = np.array([m.predict_proba(X, return_std=True)[1] for m in model.estimators_])
    assert np.all(std**2 >= np.tensordot(model.weights_, parts**2, 1) * (1 - 1e-6))
    assert model.novelty(X).shape == (150,)


def test_standard_deviations_of_probabilities_are_those_of_draws(rng):
    scores, variance = rng.normal(size=(4, 3)), np.array([0.01, 0.1, 0.5, 1.0])
    log_proba = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    draws = scores[:, None] + np.sqrt(variance)[:, None, None] * rng.normal(size=(4, 20_000, 3))
    p = np.exp(draws)
    p /= p.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(probability_std(log_proba, variance), p.std(axis=1), rtol=0.25)


def test_certain_classes_have_no_spread():
    log_proba = np.array([[0.0, -800.0], [np.log(0.5), np.log(0.5)]])
    std = probability_std(log_proba, np.array([1.0, 0.0]))
    np.testing.assert_allclose(std, 0, atol=1e-6)


def test_without_any_column_there_is_only_the_constant():
    X, y = np.zeros((20, 2)), np.arange(20) % 2
    model = MPSClassifier(alpha=1e-12, max_landmarks=1, random_state=0).fit(X, y)
    probabilities, std = model.predict_proba(X, return_std=True)
    np.testing.assert_allclose(probabilities, 0.5, atol=1e-6)
    # That of a share of 20 draws.
    np.testing.assert_allclose(std, np.sqrt(0.25 / 20), rtol=0.05)


@pytest.mark.parametrize("alpha", [0.0, 1e-12, 1e12, 1e300])
def test_extreme_strengths_leave_finite_errors(rng, alpha):
    X, y = draw(rng, 60)
    model = MPSClassifier(degree=2, alpha=alpha, solver="convex", random_state=0).fit(X, y)
    _, std = model.predict_proba(X, return_std=True)
    assert np.isfinite(std).all()
    assert np.isfinite(model.novelty(X)).all()


@pytest.mark.parametrize("method", ["novelty", "predict_proba"])
def test_models_that_were_changed_do_not_know(rng, method):
    X, y = draw(rng, 60)
    model = MPSClassifier(degree=2, alpha=1.0, random_state=0).fit(X, y)
    changed = [limit_order(model, 1).model, model.partial_fit(X, y)]
    for one in changed:
        with pytest.raises(ValueError, match="does not know how sure it is"):
            one.novelty(X) if method == "novelty" else one.predict_proba(X, return_std=True)


def test_standard_errors_of_effects_are_those_of_refits(rng):
    model, fresh = MPSClassifier(degree=3, alpha=1.0, random_state=0), draw(rng, 300)[0]
    grid = {"grid_resolution": 9}
    effects = [marginal_effect(model.fit(*draw(rng, 200)), fresh, 0, **grid) for _ in range(12)]
    expected = np.std([effect.average[0] - effect.mean for effect in effects], axis=0, ddof=1)
    found = np.mean([effect.std[0] for effect in effects], axis=0)
    assert 0.6 < found.mean() / expected.mean() < 1.6
    surface = marginal_effect(model, fresh, (1, 2), grid_resolution=5)
    assert surface.std.shape == surface.average.shape == (1, 5, 5)
    assert not np.allclose(surface.std[0], surface.std[0].T)


def test_the_effect_of_a_column_in_a_surface_has_the_same_error(rng):
    X, y = draw(rng, 200)
    model = MPSClassifier(solver=Convex(max_order=1), degree=3, alpha=1.0, random_state=0).fit(X, y)
    one = marginal_effect(model, X, 2, grid_resolution=4).std
    # A column that is constant has no part.
    wider = MPSClassifier(solver=Convex(max_order=1), degree=3, alpha=1.0, random_state=0)
    wide = np.column_stack([np.zeros(200), X])
    surface = marginal_effect(wider.fit(wide, y), wide, (0, 3), grid_resolution=4)
    np.testing.assert_allclose(surface.std[:, 0], one, rtol=1e-6)


def test_models_that_do_not_know_have_effects_without_errors(rng):
    X, y = draw(rng, 100)
    model = MPSClassifier(degree=2, alpha=1.0, random_state=0).fit(X, y)
    assert "std" not in marginal_effect(limit_order(model, 1).model, X, 0)


def test_standard_errors_of_a_regression_are_those_of_refits(rng):
    def sample(n):
        X = rng.normal(size=(n, 3))
        y = X[:, 0] + X[:, 1] * X[:, 2] + rng.normal(size=n)
        return X, np.stack([y, 100 * (y + rng.normal(size=n))], axis=1)

    model, fresh = MPSRegressor(degree=3, alpha=1.0, random_state=0), sample(300)[0]
    grid = {"grid_resolution": 9}
    effects = [marginal_effect(model.fit(*sample(200)), fresh, 0, **grid) for _ in range(12)]
    gains = [effect.average - effect.mean[:, None] for effect in effects]
    expected = np.std(gains, axis=0, ddof=1).mean(axis=1)
    found = np.mean([effect.std for effect in effects], axis=0).mean(axis=1)
    assert np.all((found / expected > 0.6) & (found / expected < 1.6))


@pytest.mark.parametrize("loss", ["huber", "poisson"])
def test_other_losses_have_effects_without_errors(rng, loss):
    X = rng.normal(size=(100, 2))
    model = MPSRegressor(loss=loss, degree=2, random_state=0).fit(X, np.exp(X[:, 0]))
    assert "std" not in marginal_effect(model, X, 0)


@pytest.mark.parametrize("max_order", [None, 1])
def test_certainty_is_that_of_a_gaussian_process(rng, max_order):
    X = rng.normal(size=(40, 3))
    y = X[:, 0] * X[:, 1] + 0.3 * rng.normal(size=40)
    solver = Convex(max_order=max_order)
    model = MPSRegressor(degree=2, alpha=0.1, solver=solver, random_state=0).fit(X, y)
    certainty, coords = model.certainty_, model._coordinates(X)[:]
    a = embed(model.basis_, coords).astype(np.float64) / certainty.roots
    sites = np.einsum("bnd,cnd->nbc", a, a)
    K = sites.prod(axis=0) - 1 if max_order is None else (sites - 1).sum(axis=0)
    np.testing.assert_allclose(K, product_kernel(a, a, max_order), rtol=1e-6, atol=1e-6)
    # Noise of variance 1, a prior of covariance K / strength, nothing known of the constant.
    C = K / certainty.strength + 1e8 / certainty.strength
    smoother = np.linalg.solve(C + np.eye(40), C).T
    left = np.diag(C - smoother @ C) * certainty.strength / np.diag(K)
    np.testing.assert_allclose(certainty.novelty(model.basis_, coords), left, atol=1e-4)
    sampled = np.diag(smoother @ smoother.T)
    np.testing.assert_allclose(certainty.variance(model.basis_, coords), sampled, rtol=1e-4)
    residual = (y - model.predict(X)) / np.ravel(model.target_scale_)
    noise = residual @ residual / (40 - np.trace(smoother))
    np.testing.assert_allclose(certainty.noise, noise, rtol=1e-3)


def test_rows_that_are_all_certain_determine_nothing(rng):
    # No ridge, and scores without a doubt: no curvature is left.
    X, y = draw(rng, 40)
    model = MPSClassifier(degree=2, alpha=0.0, random_state=0).fit(X, y)
    sites = make_sites(X, np.ones(40), degree=2)
    loss, target = classification(y, 2, np.float64)
    charges = penalty_weights(sites.basis, 1.0, 1.0)
    problem = ChainProblem(sites.basis, sites.coords, loss, target, np.ones(40), charges, alpha=0.0)

    def certain(basis, network, coords):
        return np.full((len(coords), 1), 1e4)

    found = fit_certainty(problem, model.networks_, np.random.RandomState(0), certain)
    assert np.isfinite(found.known).all()
    assert np.isfinite(found.sampled).all()
