"""How far the rows of a table determine the scores of a model.

Two questions, and one linearisation of the convex limit at the fitted scores answers both. Would
another sample of rows say something else of this row? The variance of the estimator, by the
curvature (White, Econometrica 50, 1 (1982)); of a regression, in units of its noise. Do these rows
say anything of it? The ridge is the logarithm of a Gaussian prior of functions, whose variance
shrinks where rows are near (Rasmussen and Williams, "Gaussian Processes for Machine Learning",
section 3.4).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from sklearn.utils.validation import check_is_fitted

from sktn.annotations import Data
from sktn.chains import predict
from sktn.chains.class_scores import ClassScores
from sktn.chains.folds import search_rows
from sktn.chains.target import average_log_probabilities
from sktn.solvers import convex
from sktn.solvers.kernel import kernel_diagonal, product_kernel
from sktn.tables.basis import embed

# Rows that the curvature is taken from, landmarks, and numbers in the site vectors of these.
_ROWS, _LANDMARKS, _LARGEST = 3000, 200, 2**20
# Share of the kernel's diagonal below which directions of landmarks are rounding.
_JITTER = 1e-8
# Share of the mean curvature that stands for a ridge of none.
_WEAKEST = 1e-9
# And where no row says anything, as all are certain: squares of its inverse are floats.
_FAINTEST = 1e-100
# Rows at a time.
_BLOCK = 1000
# Nodes of averages over a normal distribution.
_NODES = 20


@dataclass(frozen=True, eq=False)
class Certainty:
    """What is known of the variance of a model's scores: its `certainty_`.

    Attributes
    ----------
    landmarks : ndarray of shape (m, n_sites, d)
        Weighted site vectors.
    roots : ndarray of shape (n_sites, d)
        What weights them.
    strength : float
        Of the ridge: the inverse of the prior's variance in units of its kernel.
    known, sampled : ndarray of shape (m + 1, m + 1)
        Quadratic forms in the kernel of a row with the landmarks and a 1, for the constant: what
        the rows take from the variance of the prior, and the variance over samples of rows.
    noise : ndarray of shape (n_scores,)
        Variance of the noise of a regression, in units of the scaled target; 1 for classes.
    max_order : int or None
        Columns that interact, at most.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sktn import MPSClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MPSClassifier(degree=2, random_state=0).fit(X, y)
    >>> model.certainty_.sampled.shape
    (150, 150)
    >>> bool(model.novelty(X + 3).mean() > model.novelty(X).mean())
    True
    """

    landmarks: np.ndarray
    roots: np.ndarray
    strength: float
    known: np.ndarray
    sampled: np.ndarray
    noise: np.ndarray
    max_order: int | None

    def variance(self, basis, coords):
        """Of a score over samples of as many rows: coords (N, n, k) -> (N,)"""
        return self._form(self.sampled, basis, coords)[0]

    def novelty(self, basis, coords):
        """Share of the prior variance that the rows leave: coords (N, n, k) -> (N,)"""
        taken, before = self._form(self.known, basis, coords)
        # A row without information of its own has the constant.
        return np.clip(1 - self.strength * taken / np.maximum(before, np.finfo(float).tiny), 0, 1)

    def effect_variance(self, phi):
        """Of what scores gain on their means, over samples of as many rows: site vectors phi
        (N, n, d), those of the columns that are averaged over their mean -> (N, c)"""
        kernel = product_kernel(phi / self.roots, self.landmarks, self.max_order)
        variance = np.einsum("br,br->b", kernel @ self.sampled[:-1, :-1], kernel)
        return np.maximum(variance, 0)[:, None] * self.noise

    def _form(self, matrix, basis, coords):
        """A quadratic form, and the kernel of every row with itself: (N,), (N,)"""
        values, diagonal = np.empty((2, len(coords)))
        for start in range(0, len(coords), _BLOCK):
            rows = slice(start, start + _BLOCK)
            a = np.asarray(embed(basis, coords[rows]), np.float64) / self.roots
            kernel = product_kernel(a, self.landmarks, self.max_order)
            kernel = np.concatenate([kernel, np.ones((len(a), 1))], axis=1)
            values[rows] = np.einsum("br,br->b", kernel @ matrix, kernel)
            diagonal[rows] = kernel_diagonal(a, self.max_order)
        return values, diagonal


def fit_certainty(problem, networks, rng, scores_of=predict.scores):
    """What the rows of a fitted model say of their scores: of several classes one variance for all
    of them, by the mean of their curvatures. The loss is a cross-entropy or quadratic.

    problem ChainProblem with its strength, networks for its site vectors, scores_of: (basis,
    network, coords) -> (N, c) -> Certainty
    """
    rows = search_rows(problem.weight, _ROWS, rng)
    part = problem.take(rows)
    # Rows that are left out say as much as those that are looked at.
    share = part.total_weight / problem.total_weight
    scores = np.stack([scores_of(part.basis, net, part.coords) for net in networks])
    weight = part.weight / max(share, np.finfo(float).tiny)
    if part.loss.quadratic:
        curvature = weight
    else:
        p = np.exp(average_log_probabilities(scores.astype(np.float64)))
        curvature = weight * (p * (1 - p)).mean(axis=1)
    most = max(1, min(_LANDMARKS, _LARGEST // max(1, problem.penalty.size)))
    landmarks = convex.choose_landmarks(part.weight, most, rng)
    a = np.asarray(part.vectors(landmarks), np.float64)
    own = product_kernel(a, a, problem.max_order)
    size = np.trace(own) / len(own)
    # Beside the constant, which is one; without any column there is nothing.
    own += _JITTER * (size if size > np.finfo(np.float32).tiny else 1.0) * np.eye(len(own))
    factor = cholesky(own, lower=True)
    blocks = (np.asarray(vectors, np.float64) for _, vectors in part.blocks())
    kernel = np.concatenate([product_kernel(x, a, problem.max_order) for x in blocks])
    Z = solve_triangular(factor, kernel.T, lower=True).T
    Z = np.concatenate([Z, np.ones((len(Z), 1))], axis=1)
    meat = (Z.T * curvature) @ Z
    strength = max(problem.strength, _WEAKEST * np.trace(meat) / len(meat), _FAINTEST)
    # The constant is free; where all is certain a little of the ridge keeps it finite.
    charges = np.append(np.full(len(own), strength), _JITTER * strength)
    inverse = cho_solve(cho_factor(meat + np.diag(charges)), np.eye(len(meat)))
    prior = np.append(np.full(len(own), 1 / strength), 0)
    back = np.eye(len(meat))
    back[:-1, :-1] = solve_triangular(factor, np.eye(len(own)), lower=True)
    known, sampled = (
        back.T @ form @ back for form in (np.diag(prior) - inverse, inverse @ meat @ inverse)
    )
    noise = np.ones(scores.shape[2])
    if part.loss.quadratic:
        # The degrees of freedom that the fit has are not left to the noise.
        left = max(weight.sum() - np.einsum("rs,sr->", inverse, meat), 1.0)
        noise = weight @ (scores.mean(axis=0) - part.target) ** 2 / left
    roots = np.asarray(problem.roots, np.float64)
    return Certainty(a, roots, strength, known, sampled, noise, problem.max_order)


def probability_std(log_proba, variance):
    """Standard deviations of probabilities whose scores are normal: each class against the others
    has the log-odds f_c - log sum_k exp f_k, to first order of variance v (1 + sum_k q_k^2), q the
    shares of the others; of two classes there is one score.

    log_proba (N, c), variance (N,) of every score -> (N, c)
    """
    log_proba = np.asarray(log_proba, np.float64)
    p = np.exp(log_proba)
    rest = np.maximum(1 - p, np.finfo(float).eps)
    odds = log_proba - np.log(rest)
    factor = 1.0
    if p.shape[1] > 2:
        squares = np.sum(p * p, axis=1, keepdims=True) - p * p
        factor = 1 + np.clip(squares / rest**2, 0, 1)
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    spread = np.sqrt(np.maximum(variance, 0)[:, None] * factor)
    values = 1 / (1 + np.exp(-np.clip(odds[..., None] + spread[..., None] * nodes, -700, 700)))
    weights = weights / weights.sum()
    mean = values @ weights
    return np.sqrt(np.maximum((values - mean[..., None]) ** 2 @ weights, 0))


class CertainScores(ClassScores):
    """What a classifier with a `certainty_` says of it. It has `basis_` and `_coordinates(X)`."""

    _coordinates: Any
    basis_: Any
    _scores_of = staticmethod(predict.scores)

    def predict_proba(self, X: Data, return_std: bool = False) -> Any:
        """Class probabilities.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        return_std : bool, default=False
            Also how much they would differ had there been another sample of rows.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
        std : ndarray of shape (n_samples, n_classes)
            Only if `return_std`: standard errors, of the sample alone, not of what no row says
            anything about, for which see `novelty`. Where classes are all but separable they are
            upper bounds.
        """
        log_proba = self.predict_log_proba(X)
        if not return_std:
            return np.exp(log_proba)
        variance = self._known_certainty().variance(self.basis_, self._coordinates(X))
        return np.exp(log_proba), probability_std(log_proba, variance).astype(log_proba.dtype)

    def novelty(self, X: Data) -> np.ndarray:
        """How little the training rows say of a row: an out-of-distribution score.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        novelty : ndarray of shape (n_samples,)
            From 0, all of the score is known, to 1, nothing is: the share that is left of its
            variance, under the Gaussian process that the ridge is the prior of. Compare rows with
            those of the training, the more columns the larger it is for all.
        """
        certainty = self._known_certainty()
        return certainty.novelty(self.basis_, self._coordinates(X))

    def _known_certainty(self):
        check_is_fitted(self)
        if getattr(self, "certainty_", None) is None:
            raise ValueError(
                f"This {type(self).__name__} does not know how sure it is: that takes `fit` "
                "instead of `partial_fit`, time left by time_limit, and the model as it was "
                "fitted, not a truncated or pruned one."
            )
        return self.certainty_

    def _known(self, problem, networks, rng):
        return {"certainty_": fit_certainty(problem, networks, rng, self._scores_of)}
