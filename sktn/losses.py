"""Losses on model outputs, each weighted by sample; means over the weights, so that a ridge of
strength alpha enters as alpha / sum(weights)."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import log_softmax


def logits(scores):
    """Scores -> one logit a class. A single score (two classes) becomes (-f/2, f/2).

    scores (b, c) -> (b, max(c, 2))
    """
    if scores.shape[-1] > 1:
        return scores
    return jnp.concatenate([-scores / 2, scores / 2], axis=-1)


def cross_entropy(scores, labels, sample_weight):
    """- sum_b w_b log softmax(scores_b)[label_b] / sum_b w_b

    scores (b, c), labels (b,) integers, sample_weight (b,) -> ()
    """
    log_proba = jax.nn.log_softmax(logits(scores), axis=-1)
    picked = jnp.take_along_axis(log_proba, labels[:, None], axis=-1)[:, 0]
    total = jnp.sum(sample_weight)
    return -jnp.sum(sample_weight * picked) / jnp.where(total > 0, total, 1)


def log_probabilities(scores):
    """Scores (..., c) -> log-probabilities (..., max(c, 2)) of their :func:`logits`; NumPy."""
    if scores.shape[-1] == 1:
        scores = np.concatenate([-scores / 2, scores / 2], axis=-1)
    return log_softmax(scores, axis=-1)
