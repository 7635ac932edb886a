"""What a table should give: labels or numbers, with their weights, loss, folds and scores."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from sklearn.metrics import r2_score

from sktn import losses
from sktn.chains.folds import distinct, random_folds, stratified_folds
from sktn.structure.gaps import Units
from sktn.tables.reading import ranged
from sktn.tables.statistics import median, quantiles

# Folds: five of few rows, three of many, where a fold's loss is sure enough.
_FEW_ROWS = 600

# Numbers say more than labels: on diamonds (4,000 rows, three seeds, others of them held out) 1,600
# told the columns worse than so many by 1.5 %.
_TELLING_NUMBERS = 800

# The median absolute deviation of a normal distribution, in standard deviations.
_NORMAL_MAD = 0.6745

# Scaled targets end here, under losses whose slope is bounded and under others: of those only rows
# without weight are farther out.
_FARTHEST_BOUNDED, _FARTHEST = 1e6, 1e15


def n_folds(n_rows):
    return 5 if n_rows < _FEW_ROWS else 3


@dataclass(frozen=True, eq=False)
class ClassTarget:
    """Labels.

    classes : ndarray of shape (n_classes,)
    labels : ndarray of shape (N,), positions in `classes`
    weight : ndarray of shape (N,), class weights included
    """

    classes: np.ndarray
    labels: np.ndarray
    weight: np.ndarray

    def fitted(self):
        """What an estimator keeps of it."""
        return {"classes_": self.classes}

    def loss(self, dtype):
        """-> loss, target"""
        return losses.classification(self.labels, len(self.classes), dtype)

    def folds(self, rows, X, rng):
        """A fold for each of some rows, whose table is X, -1 for those that cannot be held out;
        None for none."""
        labels = self.labels[rows]
        groups = distinct(X, labels)
        folds = stratified_folds(labels, groups, n_folds(groups.max() + 1), rng)
        if folds is not None and (folds < 0).any():
            single = self.classes[np.unique(labels[folds < 0])]
            warnings.warn(
                f"Classes {single.tolist()} have a single row, copies aside: it is trained on, but "
                "never held out when parameters are chosen. Give those classes more rows, or leave "
                "them out.",
                UserWarning,
                stacklevel=2,
            )
        return folds

    def telling_rows(self, rows, n_rows):
        """Of some rows the first `n_rows`, but of every class at most its share: what sets a rare
        class apart is in its own rows. (m,) -> (k,)"""
        labels, share = self.labels[rows], -(-n_rows // len(self.classes))
        return np.concatenate([rows[labels == c][:share] for c in range(len(self.classes))])

    @property
    def strata(self):
        return self.labels

    @property
    def numbers(self):
        return self.labels

    def merged(self, rows, weight):
        """Some of the rows, with other weights: rows (m,), weight (m,) -> ClassTarget"""
        return replace(self, labels=self.labels[rows], weight=weight)

    def score(self, rows, scores):
        """Accuracy on some rows: scores (k, len(rows), c) of k networks -> float"""
        log_proba = average_log_probabilities(scores)
        hits = np.argmax(log_proba, axis=1) == self.labels[rows]
        return float(np.average(hits, weights=self.weight[rows]))

    def shaped(self, problem, out_of_fold):
        """The problem, with what the data say of the loss: nothing here."""
        return problem


def class_target(classes, y, sample_weight, class_weight):
    """The target of labels y (N,), of which rows of weight 0 may have any."""
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(f"y has labels that are not in classes: {unknown!r}.")
    labels = np.searchsorted(classes, y)
    factors = class_factors(class_weight, classes, labels, sample_weight)
    return ClassTarget(classes, labels, ranged(sample_weight * ranged(factors)[labels]))


def class_factors(class_weight, classes, labels, sample_weight):
    """The weight of every class: those given, or "balanced": classes of equal total weight.

    labels (N,), sample_weight (N,) -> (n_classes,)
    """
    factors = np.ones(len(classes))
    if class_weight is None:
        return factors
    if isinstance(class_weight, str):
        totals = np.bincount(labels, weights=sample_weight, minlength=len(classes))
        present = totals > 0
        factors[present] = totals.sum() / (present.sum() * totals[present])
        return factors
    known = {label: k for k, label in enumerate(classes.tolist())}
    unknown = [label for label in class_weight if label not in known]
    if unknown:
        raise ValueError(
            f"class_weight names classes that are not in y: {unknown!r}; y has {list(known)!r}."
        )
    for label, factor in class_weight.items():
        if not np.isfinite(factor) or factor < 0:
            raise ValueError(
                f"class_weight must be finite and not negative; got {factor!r} for {label!r}."
            )
        factors[known[label]] = factor
    return factors


def average_log_probabilities(scores):
    """Logarithms of the mean probabilities of k networks: scores (k, N, c) -> (N, max(c, 2))"""
    parts = losses.log_probabilities(np.asarray(scores))
    if len(parts) == 1:
        return parts[0]
    return np.logaddexp.reduce(parts, axis=0) - np.log(len(parts)).astype(parts.dtype)


@dataclass(frozen=True, eq=False)
class RealTarget:
    """Numbers, scaled: (y - center) / scale.

    values : ndarray of shape (N, c), float64
    weight : ndarray of shape (N,)
    center, scale : ndarray of shape (c,)
    kind : loss
    flat : bool, whether y had one dimension
    """

    values: np.ndarray
    weight: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    kind: object
    flat: bool

    def fitted(self):
        return {
            "target_center_": self.center,
            "target_scale_": self.scale,
            "n_outputs_": self.values.shape[1],
            "flat_target_": self.flat,
        }

    def loss(self, dtype):
        return self.kind, self.values.astype(dtype)

    def folds(self, rows, X, rng):
        groups = distinct(X)
        return random_folds(groups, n_folds(groups.max() + 1), rng)

    def telling_rows(self, rows, n_rows):
        """Of some rows the first `n_rows`, at most as many as are enough. (m,) -> (k,)"""
        return rows[: min(n_rows, _TELLING_NUMBERS)]

    strata = None

    @property
    def numbers(self):
        return self.values

    def merged(self, rows, weight):
        """Some of the rows, with other weights: rows (m,), weight (m,) -> RealTarget"""
        return replace(self, values=self.values[rows], weight=weight)

    def score(self, rows, scores):
        """R^2 on some rows: scores (k, len(rows), c) of k networks -> float"""
        # In units of the scale, on which it does not depend: squares of any y are numbers there.
        predicted = average_predictions(scores, 0.0, 1.0, self.kind)
        return float(r2_score(self.values[rows], predicted, sample_weight=self.weight[rows]))

    def predicted(self, scores, shares=None):
        """Scores of k networks to numbers in units of y: (k, N, c) -> (N, c), float64"""
        return average_predictions(scores, self.center, self.scale, self.kind, shares)

    def errors(self, rows, scores, shares=None):
        """What some rows are more than predicted, in units of y: (k, len(rows), c) ->
        (len(rows), c)"""
        truth = Units(self.center, self.scale).original(self.values[rows])
        # Halves first: the difference of the largest numbers of both signs is not one.
        half = 0.5 * truth - 0.5 * self.predicted(scores, shares)
        bound = 0.5 * np.finfo(np.float64).max
        return 2.0 * np.clip(half, -bound, bound)

    def shaped(self, problem, out_of_fold):
        """The problem, with what the data say of the loss: Huber's noise, from a fit by absolute
        errors, which is robust without knowing it.

        out_of_fold: problem -> out-of-fold scores (m, c), rows (m,)
        """
        if not isinstance(self.kind, losses.Huber):
            return problem
        found = out_of_fold(replace(problem, loss=losses.Quantile(0.5)))
        if found is None:
            return problem
        scores, rows = found
        errors = np.abs(scores - self.values[rows])
        noise = float(np.mean(median(errors, self.weight[rows]))) / _NORMAL_MAD
        # Not 0, where half of the rows are met exactly: the parabola would have no width.
        return replace(problem, loss=replace(self.kind, noise=max(noise, 1e-6)))


def average_predictions(scores, center, scale, kind, shares=None):
    """The mean prediction of k networks in units of y: scores (k, N, c), shares (k,), equal ones
    if None -> (N, c), float64"""
    scores = np.asarray(scores, np.float64)
    if kind.log_link:
        scores = np.exp(scores)
    mean = np.average(scores, axis=0, weights=shares)
    return Units(center, scale).original(mean)


def real_target(y, weight, kind, scaling=None):
    """The target of numbers y (N,) or (N, c). `scaling`: (center, scale) of an earlier fit."""
    values = np.asarray(y, np.float64).reshape(len(y), -1)
    check_counts(values, kind)
    center, scale = fit_scaling(values, weight, kind) if scaling is None else scaling
    # How far a row is from the others does not matter where the slope is bounded, and next to it
    # the losses of the others would be lost in the digits of single precision.
    bounded = isinstance(kind, losses.Huber | losses.Quantile)
    reach = _FARTHEST_BOUNDED if bounded else _FARTHEST
    scaled = np.clip(Units(center, scale).standard(values), -reach, reach)
    return RealTarget(scaled, weight, center, scale, kind, np.ndim(y) == 1)


def fit_scaling(targets, weight, kind):
    """Centre and scale of every target (N, c), on rows of positive weight: mean and standard
    deviation; median and spread for the losses that are not moved by outliers; 0 and the mean for
    counts. -> (c,), (c,)
    """
    rows = weight > 0
    targets, weight = targets[rows], weight[rows] / weight.max()
    # Unit scale before anything is squared or summed.
    size = np.abs(targets).max(axis=0)
    size = np.where(size > 0, size, 1.0)
    targets = targets / size
    mean = np.average(targets, weights=weight, axis=0)
    if kind.log_link:
        if not (mean > 0).all():
            raise ValueError(f"loss={kind!r} needs targets with a positive mean; all of y is 0.")
        return np.zeros_like(mean), np.maximum(mean * size, np.finfo(np.float64).tiny)
    if isinstance(kind, losses.SquaredError):
        center = mean
        scale = np.sqrt(np.average((targets - mean) ** 2, weights=weight, axis=0))
    else:
        low, center, high = quantiles(targets, weight, [0.25, 0.5, 0.75])
        scale = (high - low) / (2 * _NORMAL_MAD)
        # More than half of the targets are equal.
        spread = np.average(np.abs(targets - center), weights=weight, axis=0)
        scale = np.where(scale > 0, scale, spread)
    # Rounding of a constant is not a spread.
    constant = scale <= 4 * np.finfo(np.float64).eps * np.abs(center)
    # A spread may be larger than every value.
    scale = np.minimum(scale, np.finfo(np.float64).max / np.maximum(size, 1.0))
    scale = np.where(constant, 1.0, scale) * np.where(constant, 1.0, size)
    # Not 0, where the targets are next to the smallest numbers.
    return center * size, np.maximum(scale, np.finfo(np.float64).tiny)


def check_counts(targets, kind):
    if kind.log_link and targets.min() < 0:
        raise ValueError(
            f"loss={kind!r} needs non-negative targets; the smallest of y is {targets.min()}."
        )
