"""Losses on model outputs, each weighted by sample; means over the weights, so that a ridge of
strength alpha enters as alpha / sum(weights)."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.special import log_softmax


def logits(scores):
    """Scores -> one logit a class. A single score (two classes) becomes (-f/2, f/2).

    scores (b, c) -> (b, max(c, 2))
    """
    if scores.shape[-1] > 1:
        return scores
    return jnp.concatenate([-scores / 2, scores / 2], axis=-1)


def cross_entropy(scores, labels, sample_weight, shape=None):
    """- sum_b w_b log softmax(scores_b)[label_b] / sum_b w_b

    scores (b, c), labels (b,) integers, sample_weight (b,) -> ()
    """
    log_proba = jax.nn.log_softmax(logits(scores), axis=-1)
    picked = jnp.take_along_axis(log_proba, labels[:, None], axis=-1)[:, 0]
    return -weighted_mean(picked, sample_weight)


def squared_error(scores, y, sample_weight, shape=None):
    """Half the squared error. scores, y (b, c), sample_weight (b,) -> ()"""
    return weighted_mean(0.5 * jnp.sum((scores - y) ** 2, axis=-1), sample_weight)


def huber(scores, y, sample_weight, delta):
    """Half the squared error up to `delta`, linear beyond. scores, y (b, c) -> ()"""
    return weighted_mean(jnp.sum(optax.huber_loss(scores, y, delta=delta), axis=-1), sample_weight)


def pinball(scores, y, sample_weight, quantile):
    """quantile (y - f) below y, (1 - quantile) (f - y) above. scores, y (b, c) -> ()"""
    r = y - scores
    return weighted_mean(jnp.sum(jnp.maximum(quantile * r, (quantile - 1) * r), -1), sample_weight)


def poisson(scores, y, sample_weight, shape=None):
    """Half the deviance of counts with mean exp(score), up to what does not depend on the score.

    scores, y (b, c), sample_weight (b,) -> ()
    """
    return weighted_mean(jnp.sum(jnp.exp(scores) - y * scores, axis=-1), sample_weight)


def log_probabilities(scores):
    """Scores (..., c) -> log-probabilities (..., max(c, 2)) of their :func:`logits`; NumPy."""
    if scores.shape[-1] == 1:
        scores = np.concatenate([-scores / 2, scores / 2], axis=-1)
    return log_softmax(scores, axis=-1)


def weighted_mean(values, sample_weight):
    """sum_b w_b v_b / sum_b w_b over the rows of positive weight.

    values (b,), sample_weight (b,) -> ()
    """
    # Rows of weight 0 are padding: what they hold need not be finite.
    values = jnp.where(sample_weight > 0, values, 0)
    total = jnp.sum(sample_weight)
    return jnp.sum(sample_weight * values) / jnp.where(total > 0, total, 1)


def quadratic_log_norm(log_squared_norms, sample_weight):
    """mean_b (log ||P Phi(x_b)||^2 - 1)^2: maps every training state to one of squared norm e.

    Wang et al., arXiv:2006.02516, equation (6). log_squared_norms (b,), sample_weight (b,) -> ()
    """
    return weighted_mean((log_squared_norms - 1) ** 2, sample_weight)


def relu_log_frobenius(log_squared_frobenius):
    """relu(log ||P||_F^2): every other state must become small; a small operator is left alone.

    Wang et al., arXiv:2006.02516, equation (7). log_squared_frobenius () -> ()
    """
    return jax.nn.relu(log_squared_frobenius)


def negative_log_likelihood(log_squares, log_norm, sample_weight):
    """- mean_b log p(x_b) of a Born machine, log p = log |psi(x)|^2 - log <psi, psi>.

    log_squares (b,), log_norm (), sample_weight (b,) -> ()
    """
    return log_norm - weighted_mean(log_squares, sample_weight)
