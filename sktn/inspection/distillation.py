"""Any predictor as a chain, with a stated fidelity."""

import itertools
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch, check_random_state
from sklearn.utils.validation import _num_features

from sktn.annotations import Data
from sktn.chains.regression import MPSRegressor
from sktn.inspection.modes import ColumnFunctions, ColumnPositions, column_functions
from sktn.inspection.rows import mixed_rows, observed_index, permuted_index
from sktn.inspection.scores import scores_of
from sktn.tables.features import feature_names
from sktn.tables.reading import read_fit

# Rows, bond dimension and landmarks of one fit after the other (benchmarks/distill.py): the first
# takes about a second and does for smooth predictors, the last for forests of deep trees.
_FITS = ((6_000, 20, 1000), (16_000, 32, 1000), (32_000, 48, 2000), (64_000, 64, 3000))
# Answers of the predictor that the functions of all columns may cost, and rows around each of them.
_PROBES, _ROWS_AROUND = 150_000, 60
# Values of a numeric column, fewest and most, between which the predictor is taken as straight.
_VALUES = (24, 128)
# Functions of one column; more, of ever less variance, would cost rows to fit.
_FUNCTIONS = 8
# The predictor has no noise, but what a chain of this size cannot follow (the spikes of a forest)
# acts like some: of 1e-3, 1e-2 and the cross-validated strength the middle one was best or nearly
# so for forests, boosting and kernels.
_ALPHA = 1e-2
# Share of the training rows that are rows of X as they are. Permuted rows teach what explanations
# ask for, and a forest is at its most irregular at the rows it was trained on: with one half, both
# fidelities of forests were lower by .01 to .02.
_OBSERVED = 1 / 8
# No column is cut off by what the few rows around it say.
_SMALLEST_RELEVANCE = 1e-3
# Share of the rows held out, at most so many rows, and permuted ones.
_HELD_OUT, _TEST_ROWS = 0.25, 4_000
_FEWEST_ROWS = 20
# Below this an explanation would be one of another function.
_REFUSED = 0.5
# Parts of a column's values for each of which the error is reported.
_PARTS = 5


@dataclass(frozen=True, eq=False)
class Fidelity:
    """How well a chain imitates a predictor on rows that it has not seen: part of what
    :func:`distill` returns.

    Attributes
    ----------
    r2_observed, r2_permuted : float
        Share of the variance of the scores that is explained, on held-out rows and on rows whose
        columns are drawn independently (NaN where the background is "observed").
    r2_outputs : ndarray of shape (2, n_outputs)
        The same for every score.
    max_error_observed, max_error_permuted : float
        Largest absolute error, in units of the score.
    rmse_observed, rmse_permuted : float
        Root of the mean squared error, in units of the score.
    worst_rows : ndarray of int
        The ten held-out rows with the largest errors, as positions in X.
    worst_places : list of (str, object, object, float)
        Feature, two values between which the error is largest, and the root mean square error
        there, in units of that of all rows; the five largest.
    """

    r2_observed: float
    r2_permuted: float
    r2_outputs: np.ndarray
    max_error_observed: float
    max_error_permuted: float
    rmse_observed: float
    rmse_permuted: float
    worst_rows: np.ndarray
    worst_places: list

    @property
    def lowest(self):
        """The smaller of the two shares of variance."""
        return float(np.nanmin([self.r2_observed, self.r2_permuted]))


def distill(
    predictor: Any,
    X: Data,
    *,
    output: str = "auto",
    background: str = "permuted",
    min_fidelity: float = 0.95,
    max_fits: int = 3,
    random_state: Any = None,
    verbose: int = 0,
) -> Bunch:
    """A chain that imitates any fitted predictor, and how well it does.

    The chain can then be explained exactly: :func:`shapley_values`, :func:`interactions`,
    :func:`variance_shares` and the others take it. Its local functions are read off the predictor,
    one column at a time (the factors of a higher-order singular value decomposition), so that trees
    get steps and kernels curves; its weights come from the predictor's answers on many rows. Rows
    and bond dimension grow until the fidelity is reached.

    Parameters
    ----------
    predictor : object or callable
        Fitted, with `decision_function`, `predict_proba` or `predict`: pipelines, boosting,
        forests, kernels, neural networks, searches; or a function of rows.
    X : array-like or data frame of shape (n_samples, n_features)
        Rows such as the predictor takes. Best rows that it was not trained on: a forest follows
        single training rows in spikes, which nothing smaller than the forest imitates.
    output : {"auto", "decision", "pairwise", "log_odds", "probability", "predict"}, default="auto"
        What to imitate. "auto": the decision function, else log-odds (of many classes logarithms of
        probabilities less their mean), else probabilities where many of them are 0 or 1. Support
        vector machines of more than two classes decide by votes, which are steps: "auto" takes
        "pairwise" there, what every class has against the others, summed up.
    background : {"permuted", "observed"}, default="permuted"
        "permuted": imitate the predictor on rows of X and on rows whose columns are drawn
        independently, which is what explanations average over. "observed": on rows of X only, as
        faithfully as their number allows; explanations then speak of what the chain makes of other
        rows, not of what the predictor does.
    min_fidelity : float, default=0.95
        Share of the scores' variance to be explained, on held-out rows and on permuted ones. What
        falls short is returned with a warning, and refused below one half.
    max_fits : int, default=3
        At most so many fits, each of more rows and a larger bond dimension; up to 4.
    random_state : int, RandomState instance or None, default=None
        Seeds what is drawn; an int gives the same result every time.
    verbose : int, default=0
        A line for every fit.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        model : Pipeline
            Places of the values on grids, then an :class:`~sktn.MPSRegressor` of the scores.
        fidelity : Fidelity
            How well it imitates.
        history : list of dict
            Rows, bond dimension, both shares of variance and seconds of every fit.
        output : str
            What is imitated.

    Warns
    -----
    UserWarning
        If the fidelity is below `min_fidelity`.

    References
    ----------
    .. [1] De Lathauwer, De Moor and Vandewalle, "A multilinear singular value decomposition", SIAM
       Journal on Matrix Analysis and Applications, 2000.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from sklearn.ensemble import HistGradientBoostingRegressor
    >>> from sktn.inspection import distill, shapley_values
    >>> X, y = make_friedman1(400, n_features=5, random_state=0)
    >>> boosting = HistGradientBoostingRegressor(max_iter=50).fit(X, y)
    >>> result = distill(boosting, X, random_state=0)
    >>> result.fidelity.lowest > 0.95
    True
    >>> shapley_values(result.model, X[:3]).values.shape
    (3, 5)
    """
    if background not in ("permuted", "observed"):
        raise ValueError(f"background must be 'permuted' or 'observed', got {background!r}.")
    if not 0 <= min_fidelity <= 1:
        raise ValueError(f"min_fidelity must be in [0, 1], got {min_fidelity!r}.")
    if not 1 <= max_fits <= len(_FITS):
        raise ValueError(f"max_fits must be in [1, {len(_FITS)}], got {max_fits!r}.")
    X = X if hasattr(X, "columns") else np.asarray(X)
    rng = np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))
    start = time.perf_counter()
    scores = scores_of(predictor, X, output)
    # The rows that decide when to stop are not those that the final fidelity is measured on.
    order = rng.permutation(len(X))
    n_test = min(_TEST_ROWS, max(2, int(_HELD_OUT * len(X))))
    if len(X) < _FEWEST_ROWS:
        raise ValueError(
            f"X has {len(X)} rows, too few to hold some out: give at least {_FEWEST_ROWS}."
        )
    train, stop, test = np.split(order, [len(X) - n_test, len(X) - n_test // 2])
    permuted = background == "permuted"
    deciding = _test_rows(scores, X, stop, permuted, rng)
    final = _test_rows(scores, X, test, permuted, rng)

    n = _num_features(X)
    n_values = int(np.clip(_PROBES // (n * _ROWS_AROUND), *_VALUES))
    rows = mixed_rows(X, observed_index(train, n))
    positions = ColumnPositions(n_values).fit(rows)
    table, variances = column_functions(
        scores, rows, positions, _ROWS_AROUND, _FUNCTIONS, rng, permuted
    )
    relevance = np.sqrt(variances / max(variances.max(), np.finfo(float).tiny))
    chain = {
        "embedding": ColumnFunctions(table),
        "relevance": np.maximum(relevance, _SMALLEST_RELEVANCE),
        "missing": "indicator" if np.isnan(positions.transform(rows)).any() else "marginal",
        "seed": int(rng.integers(2**31 - 1)),
    }
    history: list[dict[str, Any]] = []
    models = []
    for n_rows, bond_dim, n_landmarks in _FITS[:max_fits]:
        seen = _training_rows(rows, n_rows, permuted, rng)
        model = _fitted(positions, chain, seen, scores(seen), (bond_dim, n_landmarks))
        shares = [_r2(s, _predicted(model, part)) for _, part, s in deciding]
        models.append(model)
        history.append(
            {
                "n_rows": len(seen),
                "bond_dim": bond_dim,
                "r2": [float(share) for share in shares],
                "seconds": time.perf_counter() - start,
            }
        )
        if verbose:
            kinds = ("observed", "permuted")
            r2 = ", ".join(f"{s:.4f} {kind}" for s, kind in zip(shares, kinds, strict=False))
            print(
                f"distill: {len(seen)} rows, bond dimension {bond_dim}: R2 {r2} "
                f"({history[-1]['seconds']:.1f} s)"
            )
        if min(shares) >= min_fidelity:
            break
    best = models[int(np.argmax([min(entry["r2"]) for entry in history]))]
    best[-1].output_names_ = scores.names
    fidelity = _fidelity(best, final, positions, test)
    _judge(fidelity, min_fidelity, scores.output)
    return Bunch(model=best, fidelity=fidelity, history=history, output=scores.output)


def _fitted(positions, chain, rows, scores, size):
    """The pipeline of places and a chain, fitted to the scores of rows."""
    bond_dim, n_landmarks = size
    regressor = MPSRegressor(
        bond_dim=bond_dim,
        embedding=chain["embedding"],
        scaling="none",
        alpha=_ALPHA,
        relevance=chain["relevance"],
        solver="convex",
        max_landmarks=n_landmarks,
        missing=chain["missing"],
        random_state=chain["seed"],
    )
    # A single score is a vector, as regressors return it.
    scores = scores[:, 0] if scores.shape[1] == 1 else scores
    # Not `fit`, which would hold rows out to know its errors: they are measured here.
    reading = read_fit(regressor, positions.transform(rows), scores, regression=True)
    regressor._fit(reading, np.ones(len(scores)))
    return Pipeline([("positions", positions), ("chain", regressor)])


def _training_rows(rows, n_rows, permuted, rng):
    """Rows as they are, a small share, and permuted ones."""
    N, n = len(rows), _num_features(rows)
    if not permuted:
        return mixed_rows(rows, observed_index(rng.permutation(N)[:n_rows], n))
    kept = rng.permutation(N)[: int(_OBSERVED * n_rows)]
    index = np.concatenate([observed_index(kept, n), permuted_index(rng, N, n, n_rows - len(kept))])
    return mixed_rows(rows, index)


def _test_rows(scores, X, rows, permuted, rng):
    """Held-out rows and permuted ones of them: [(kind, table, scores)]"""
    n = _num_features(X)
    parts = [mixed_rows(X, observed_index(rows, n))]
    if permuted:
        parts.append(mixed_rows(X, rng.choice(rows, size=(_TEST_ROWS // 2, n))))
    kinds = ("observed", "permuted")
    return [(kind, part, scores(part)) for kind, part in zip(kinds, parts, strict=False)]


def _predicted(model, rows):
    return np.asarray(model.predict(rows)).reshape(len(rows), -1)


def _r2(truth, predicted):
    """Share of the variance of all outputs: (b, c), (b, c) -> float"""
    around = np.sum((truth - truth.mean(axis=0)) ** 2)
    lost = np.sum((truth - predicted) ** 2)
    return 1 - lost / around if around > 0 else float(lost <= np.finfo(np.float32).eps)


def _fidelity(model, parts, positions, rows):
    """parts: as from `_test_rows`; rows: where the held-out ones stand in X. -> Fidelity"""
    errors = [_predicted(model, part) - truth for _, part, truth in parts]
    r2 = [_r2(truth, truth + error) for (_, _, truth), error in zip(parts, errors, strict=True)]
    outputs = [
        [_r2(truth[:, [c]], (truth + error)[:, [c]]) for c in range(truth.shape[1])]
        for (_, _, truth), error in zip(parts, errors, strict=True)
    ]
    largest = [float(np.abs(error).max()) for error in errors]
    rmse = [float(np.sqrt(np.mean(error**2))) for error in errors]
    if len(parts) == 1:
        outputs.append([np.nan] * len(outputs[0]))
        for numbers in (r2, largest, rmse):
            numbers.append(np.nan)
    by_row = np.abs(errors[0]).max(axis=1)
    tables = [part for _, part, _ in parts]
    return Fidelity(
        *map(float, r2),
        np.array(outputs),
        *largest,
        *rmse,
        rows[np.argsort(-by_row, kind="stable")[:10]],
        _worst_places(tables, errors, positions),
    )


def _worst_places(tables, errors, positions):
    """Where along single columns the error is largest: see Fidelity."""
    squares = np.concatenate([np.mean(error**2, axis=1) for error in errors])
    whole = max(squares.mean(), np.finfo(float).tiny)
    places = np.concatenate([positions.transform(table) for table in tables])
    names = feature_names(getattr(positions, "feature_names_in_", None), places.shape[1])
    found = []
    for j, (start, grid) in enumerate(zip(positions.starts_[:-1], positions.grids_, strict=True)):
        own = places[:, j] - start
        borders = np.unique(np.nanquantile(own, np.linspace(0, 1, _PARTS + 1)).round())
        for low, high in itertools.pairwise(borders):
            inside = (own >= low) & (own <= high)
            if inside.any():
                size = float(np.sqrt(squares[inside].mean() / whole))
                found.append((str(names[j]), grid[int(low)], grid[int(high)], size))
    return sorted(found, key=lambda place: -place[-1])[:5]


def _judge(fidelity, min_fidelity, output):
    said = f"R2 {fidelity.r2_observed:.3f} on held-out rows"
    if not np.isnan(fidelity.r2_permuted):
        said += f", {fidelity.r2_permuted:.3f} on permuted ones"
    if fidelity.lowest < min(_REFUSED, min_fidelity):
        raise ValueError(
            f"The chain does not imitate the predictor's {output}: {said}. Its explanations would "
            "be those of another function. Try another output, more rows, or a larger max_fits."
        )
    if fidelity.lowest < min_fidelity:
        warnings.warn(
            f"The chain explains less of the predictor's {output} than min_fidelity="
            f"{min_fidelity}: {said}. Explanations are those of the chain. A larger max_fits, more "
            "rows or another output may help.",
            stacklevel=3,
        )
