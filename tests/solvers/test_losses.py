"""Losses against scikit-learn's metrics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from sktn.losses import cross_entropy, logits


@pytest.mark.parametrize("c", [1, 3])
def test_cross_entropy_is_the_weighted_log_loss(rng, c):
    scores = rng.normal(size=(40, c)).astype(np.float32)
    labels = rng.integers(0, max(c, 2), 40)
    weight = rng.integers(0, 3, 40).astype(np.float32)
    proba = softmax(np.asarray(logits(scores)), axis=1)
    expected = log_loss(labels, proba, sample_weight=weight, labels=range(max(c, 2)))
    np.testing.assert_allclose(cross_entropy(scores, labels, weight), expected, rtol=1e-5)


def test_one_score_is_the_log_odds():
    proba = jax.nn.softmax(logits(jnp.array([[2.0]])))
    np.testing.assert_allclose(np.log(proba[0, 1] / proba[0, 0]), 2.0, rtol=1e-5)


def test_rows_without_weight_and_huge_scores_are_harmless():
    scores, labels = jnp.array([[1e4], [-1e4]]), np.array([0, 1])
    value, gradient = jax.value_and_grad(cross_entropy)(scores, labels, jnp.zeros(2))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)
    np.testing.assert_allclose(cross_entropy(scores, labels, jnp.ones(2)), 1e4)
