"""Missing values that carry a signal."""

import numpy as np

from sktn.tables.statistics import mean_and_deviation, positive_rows


def telling_gaps(X, response, weight):
    """The columns whose gaps say something about the response, by the evidence of the rows.

    Whether a value is missing is regressed on the response: N R^2 is twice the gain in
    log-likelihood (for labels, one-hot, Pearson's chi-squared), and log N for every dimension of
    the response its price (Schwarz, "Estimating the dimension of a model", 1978).

    X (b, n) with NaN for missing, response (b, c), weight (b,) whose sum is the number of rows N
    -> (n,) bool
    """
    gap = np.isnan(X)
    told = np.zeros(gap.shape[1], dtype=bool)
    some = gap.any(axis=0)
    if not some.any():
        return told
    gap, mass = positive_rows(gap[:, some].astype(np.float64), weight)
    y, _ = positive_rows(np.asarray(response, dtype=np.float64).reshape(len(X), -1), weight)
    root = np.sqrt(mass / mass.sum())[:, None]
    y_mean, y_scale = mean_and_deviation(y, mass)
    gap_mean, gap_scale = mean_and_deviation(gap, mass)
    # In units of their spread: singular values below this share of the largest are rounding.
    y = (y - y_mean) / np.where(y_scale > 0, y_scale, 1.0) * root
    axes, values, _ = np.linalg.svd(y, full_matrices=False)
    axes = axes[:, values > 1e-7 * max(values[0], 1e-7)]
    z = (gap - gap_mean) / np.where(gap_scale > 0, gap_scale, 1.0) * root
    explained = np.sum((axes.T @ z) ** 2, axis=0)
    told[some] = mass.sum() * explained > axes.shape[1] * np.log(max(mass.sum(), np.e))
    return told
