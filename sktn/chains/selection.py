"""Choices between models, and averages of them, by what they say of rows they have not seen."""

import numpy as np

# Steps of the greedy selection: shares are multiples of one in so many.
_SELECTION_STEPS = 25


def gain(before, after, share):
    """By how much the same rows lose less than before, and its standard error: losses (m,) each,
    shares (m,) of the rows that add up to 1 -> (), ()"""
    less = before - after
    mean = share @ less
    return mean, np.sqrt(share**2 @ (less - mean) ** 2)


def clearly_worse(losses, others, share):
    """Whether rows lose more than they did by more than three standard errors, which chance alone
    hardly ever is: as of :func:`gain` -> bool"""
    mean, error = gain(losses, others, share)
    return bool(mean > 3 * error)


def greedy_average(candidate_losses, n_candidates, n_steps=_SELECTION_STEPS):
    """Greedy forward selection with replacement (Caruana et al., ICML 2004): at every step the
    candidate that lowers the loss of the running average most.

    candidate_losses: counts (M,), step -> loss of every candidate added to the average (M,)
    -> shares (M,), loss ()
    """
    counts = np.zeros(n_candidates)
    best_counts, best_loss = None, np.inf
    for step in range(1, n_steps + 1):
        losses = candidate_losses(counts, step)
        chosen = int(np.argmin(np.where(np.isnan(losses), np.inf, losses)))
        counts[chosen] += 1
        if best_counts is None or losses[chosen] < best_loss:
            best_counts, best_loss = counts.copy(), float(losses[chosen])
    return best_counts / best_counts.sum(), best_loss


def complementary(residuals, weight):
    """Shares of the average whose squared errors are least: what models miss, residuals (M, m, c),
    weight (m,) -> (M,)"""
    flat = np.asarray(residuals, np.float64)
    flat = (flat * np.sqrt(weight)[:, None]).reshape(len(flat), -1)
    products = flat @ flat.T

    def losses(counts, step):
        own = products @ counts
        return (counts @ own + 2 * own + np.diag(products)) / step**2

    return greedy_average(losses, len(flat))[0]
