"""Losses: values against scikit-learn, slopes and curvatures against differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import (
    log_loss,
    mean_gamma_deviance,
    mean_pinball_loss,
    mean_poisson_deviance,
)

from sktn import losses

Y = np.array([[0.3], [1.0], [-2.0]])
CASES = [
    (losses.Softmax(3), np.array([0, 2, 1])),
    (losses.Logistic(), np.array([[0.0], [1.0], [1.0]])),
    (losses.SquaredError(), Y),
    (losses.Huber(epsilon=0.5, noise=1.0), Y),
    (losses.Quantile(0.8, 0.1), Y),
    (losses.Poisson(), np.array([[0.0], [3.0], [1.0]])),
    (losses.Gamma(), np.array([[0.0], [3.0], [1.0]])),
]
every_loss = pytest.mark.parametrize(
    ("loss", "target"), CASES, ids=[type(loss).__name__ for loss, _ in CASES]
)


def test_the_parabola_of_huber_ends_where_it_is_95_per_cent_efficient():
    value = losses.Huber().values(np.array([[1.0]]), np.array([[3.0]]))
    assert value == pytest.approx(1.345 * (2 - 1.345 / 2), abs=0.01)


@every_loss
def test_slope_and_curvature_are_derivatives(rng, loss, target):
    F = rng.normal(size=(4, 3, loss.n_scores(target)))
    direction = rng.normal(size=F.shape)
    slope, h = loss.derivatives(F, target)
    eps = 1e-6
    up, down = (loss.values(F + s * eps * direction, target) for s in (1, -1))
    np.testing.assert_allclose((slope * direction).sum(-1), (up - down) / (2 * eps), atol=1e-7)
    bent = loss.curve(h, direction)
    if isinstance(loss, losses.Huber | losses.Quantile):
        # A parabola above the loss that touches it.
        above = loss.values(F, target) + np.sum(slope * direction + direction * bent / 2, axis=-1)
        assert np.all(above >= loss.values(F + direction, target) - 1e-12)
    else:
        ends = [loss.derivatives(F + s * eps * direction, target)[0] for s in (1, -1)]
        np.testing.assert_allclose(bent, (ends[0] - ends[1]) / (2 * eps), atol=1e-7)
    basis = np.eye(F.shape[-1])
    diagonal = np.stack([loss.curve(h, np.broadcast_to(e, F.shape)) @ e for e in basis], -1)
    np.testing.assert_allclose(loss.curve_diagonal(h), diagonal)


@every_loss
def test_jax_gives_the_same_and_its_derivatives(rng, loss, target):
    F = rng.normal(size=(3, loss.n_scores(target))).astype(np.float32)
    target = target if target.dtype.kind == "i" else target.astype(np.float32)
    numbers = jax.tree.map(jnp.float32, loss)

    @jax.jit
    def total(F, loss):
        return loss.values(F, jnp.asarray(target)).sum()

    np.testing.assert_allclose(total(F, numbers), loss.values(F, target).sum(), rtol=1e-5)
    slope = loss.derivatives(F, target)[0]
    assert slope.dtype == np.float32
    np.testing.assert_allclose(jax.grad(total)(F, numbers), slope, atol=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_cross_entropy_is_the_log_loss(rng, n_classes):
    labels = rng.integers(0, n_classes, 40)
    loss, target = losses.classification(labels, n_classes, np.float64)
    F = rng.normal(size=(40, loss.n_scores(target)))
    weight = rng.integers(0, 3, 40)
    proba = np.exp(losses.log_probabilities(F))
    expected = log_loss(labels, proba, sample_weight=weight, labels=range(n_classes))
    np.testing.assert_allclose(np.average(loss.values(F, target), weights=weight), expected)


def test_one_score_stands_for_two_of_half_its_size(rng):
    labels, F = np.array([0, 1, 1]), rng.normal(size=(3, 1))
    loss, target = losses.classification(labels, 2, float)
    both = np.concatenate([-F / 2, F / 2], axis=1)
    np.testing.assert_allclose(
        loss.values(F, target), losses.Softmax(2).values(both, labels), rtol=1e-12
    )
    log_odds = np.diff(losses.log_probabilities(F))
    np.testing.assert_allclose(log_odds, F, rtol=1e-10)


def test_quantile_poisson_and_gamma_are_scikit_learns(rng):
    y, F = rng.poisson(2.0, (50, 1)).astype(float), rng.normal(size=(50, 1))
    pinball = losses.Quantile(0.8, width=1e-9).values(F, y).mean()
    np.testing.assert_allclose(pinball, mean_pinball_loss(y, F, alpha=0.8), rtol=1e-6)
    own = losses.Poisson().values(F, y) - losses.Poisson().values(np.log(np.maximum(y, 1e-12)), y)
    np.testing.assert_allclose(2 * own.mean(), mean_poisson_deviance(y, np.exp(F)), rtol=1e-6)
    y += 0.5
    own = losses.Gamma().values(F, y) - losses.Gamma().values(np.log(y), y)
    np.testing.assert_allclose(2 * own.mean(), mean_gamma_deviance(y, np.exp(F)), rtol=1e-6)


def test_gamma_of_zeros_has_a_minimum():
    F, y = np.linspace(-300, 10, 3101)[:, None, None], np.zeros((1, 1))
    lowest = F[np.argmin(losses.Gamma().values(F, y))]
    np.testing.assert_allclose(lowest, np.log(np.finfo(np.float32).eps), atol=0.1)


@pytest.mark.parametrize("scores", [1e4, -1e4, 1e30])
@every_loss
def test_huge_scores_are_finite(loss, target, scores):
    F = np.full((3, loss.n_scores(target)), scores, np.float32)
    with np.errstate(over="ignore"):
        slope, h = loss.derivatives(F, target)
        values = loss.values(F, target)
    assert not np.isnan(values).any()
    assert not np.isnan(slope).any()
    assert not np.isnan(h).any()


def test_rows_without_weight_need_not_be_finite():
    value, gradient = jax.value_and_grad(losses.weighted_mean)(
        jnp.array([1.0, jnp.nan]), jnp.array([2.0, 0.0])
    )
    assert value == 1
    np.testing.assert_array_equal(gradient, [1, 0])
    assert losses.weighted_mean(np.array([np.nan]), np.zeros(1)) == 0


def test_a_gamma_loss_far_below_its_target_is_infinite():
    F, target = np.array([[-1e3]]), np.array([[1e100]])
    assert losses.Gamma().values(F, target) == np.inf
    slope, curvature = losses.Gamma().derivatives(F, target)
    assert slope == -np.inf
    assert curvature == np.inf
