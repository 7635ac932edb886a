"""The gaps of a tensor: one rule for everything that meets missing entries.

- NaN is missing, and so is what a mask of ``numpy.ma`` hides.
- Entries come to unit scale before anything is squared, so that neither 1e200 nor 1e-300 matters.
- A slice that is missing altogether says nothing about its own row of a core. It is left out of the
  search, and its row is the mean of the other rows (what a prior on the rows expects), or, along an
  ordered mode, interpolated between its neighbours. Either stays within what was observed.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sktn.networks.linalg import within_floats
from sktn.structure import completion

__all__ = ["Completed", "Units", "complete", "filled", "units", "unmasked"]


def unmasked(X):
    """An array in which NaN stands where a mask of ``numpy.ma`` hides an entry.

    X array-like -> X itself if nothing is hidden, else ndarray of floats
    """
    if not isinstance(X, np.ma.MaskedArray):
        return X
    if not np.ma.is_masked(X):
        return X.data
    dtype = X.dtype if X.dtype.kind in "fO" else np.result_type(X.dtype, np.float64)
    return X.astype(dtype).filled(np.nan)


@dataclass(frozen=True)
class Units:
    """The scale of observed entries: x = location + scale z, z of mean 0 and variance 1.

    location and scale numbers, or (J,) for the columns of a table
    """

    location: np.ndarray
    scale: np.ndarray

    def _parts(self):
        """Magnitude, and location and scale relative to it: 1e308 - (-1e308) is not a float."""
        peak = np.maximum(np.abs(self.location), self.scale)
        return peak, self.location / peak, self.scale / peak

    def standard(self, X):
        """x -> z in float64, what is beyond becomes the largest number."""
        peak, location, scale = self._parts()
        with np.errstate(over="ignore"):
            return within_floats((np.asarray(X, dtype=np.float64) / peak - location) / scale)

    def original(self, Z, dtype=np.float64):
        """z -> x; what the precision cannot hold becomes the largest number that it can."""
        peak, location, scale = self._parts()
        limits = np.finfo(dtype)
        # Less by the rounding of the last product.
        bound = float(limits.max) * (1 - 2 * float(limits.eps)) / np.maximum(peak, 1.0)
        values = np.asarray(Z, dtype=np.float64) * scale + location
        return np.clip(values, -bound, bound) * peak


def units(X, seen, by_column):
    """Mean and standard deviation of the observed entries.

    X (I_1, .., I_N), seen (I_1, .., I_N) bool, by_column one pair for each column of a table; a
    column without observed entries has those of all entries
    -> Units
    """
    axis = 0 if by_column else None
    peak = np.abs(np.where(seen, X, 0.0).astype(np.float64)).max(axis=axis)
    peak = np.where(peak > 0.0, peak, 1.0)
    values = np.where(seen, X, 0.0) / peak
    count = seen.sum(axis=axis)
    some = np.maximum(count, 1)
    mean = values.sum(axis=axis) / some
    spread = np.where(seen, values - mean, 0.0)
    deviation = np.sqrt((spread**2).sum(axis=axis) / some)
    # A spread that is only the rounding of the mean is none.
    constant = deviation <= 8.0 * np.finfo(X.dtype).eps * np.abs(mean)
    location, scale = mean * peak, np.where(constant, 1.0, deviation) * peak
    if by_column and (count == 0).any():
        every = units(X, seen, by_column=False)
        location = np.where(count > 0, location, every.location)
        scale = np.where(count > 0, scale, every.scale)
    return Units(location, scale)


@dataclass(frozen=True)
class Completed:
    """What a completion found.

    cores N arrays (of the standardised tensor), values (I_1, .., I_N) in the tensor's own units,
    units `Units`, loss mean squared error of held-out entries (standardised), absent per mode the
    indices of slices without any observed entry, ordered modes that were taken for ordered, caveat
    what a user should know where gaps are filled
    """

    cores: list
    values: np.ndarray
    units: Units
    loss: float
    absent: tuple
    ordered: tuple
    caveat: str | None


def _present(seen):
    """Per mode, the slices that hold an observed entry.

    seen (I_1, .., I_N) bool -> N arrays of indices
    """
    axes = range(seen.ndim)
    return [np.flatnonzero(seen.any(axis=tuple(a for a in axes if a != k))) for k in axes]


def _spread_rows(A, axis, present, length, ordered):
    """Rows of the slices that were left out: interpolated along an order, else the mean.

    A (.., n_k, ..), present (n_k,) -> (.., length, ..)
    """
    if len(present) == length:
        return A
    rows = np.moveaxis(A, axis, 0)
    absent = np.setdiff1d(np.arange(length), present)
    full = np.empty((length, *rows.shape[1:]), dtype=A.dtype)
    full[present] = rows
    if ordered:
        # Beyond the first and the last slice there is nothing to interpolate to.
        place = np.interp(absent, present, np.arange(len(present), dtype=float))
        low = place.astype(int)
        high = np.minimum(low + 1, len(present) - 1)
        weight = (place - low).reshape(-1, *[1] * (rows.ndim - 1)).astype(A.dtype)
        full[absent] = (1 - weight) * rows[low] + weight * rows[high]
    else:
        full[absent] = rows.mean(axis=0, dtype=np.float64).astype(A.dtype)
    return np.ascontiguousarray(np.moveaxis(full, 0, axis))


def _in_modes(callback, modes):
    """A callback that is told the tensor's own modes, not those the search has seen."""
    if callback is None:
        return None

    def tell(entry):
        bond = entry["bond"]
        callback({**entry, "bond": bond and tuple(modes[k] for k in bond)})

    return tell


def _with_unit_modes(cores, kept, order):
    full = []
    for k in range(order):
        axes = [1] * order
        if k in kept:
            core = cores[kept.index(k)]
            for axis, j in enumerate(kept):
                axes[j] = core.shape[axis]
            full.append(core.reshape(axes))
        else:
            full.append(np.ones(axes, dtype=np.float32))
    return full


def complete(T, rng, settings=None, callback: Callable | None = None):
    """Network of a tensor with gaps, and its values everywhere.

    T (I_1, .., I_N) of floats, NaN where missing, settings `completion.Settings` -> Completed
    """
    settings = settings or completion.Settings()
    seen = ~np.isnan(T)
    if not seen.any():
        raise ValueError(
            "All entries of X are missing (NaN): there is nothing to learn from. "
            "Leave out empty tensors before fitting."
        )
    scale = units(T, seen, by_column=T.ndim == 2)
    present = _present(seen)
    # The completion reads a few digits; single precision halves its memory and its time.
    work = np.where(seen, scale.standard(T), 0.0).astype(np.float32)[np.ix_(*present)]
    mask = seen[np.ix_(*present)].astype(np.float32)
    compact = work.shape
    kept = [k for k, n in enumerate(compact) if n > 1]
    ordered: tuple[int, ...] = ()
    if len(kept) < 2 or not work.any():
        cores = [
            np.zeros([n if j == k else 1 for j in range(T.ndim)], dtype=np.float32)
            for k, n in enumerate(compact)
        ]
        values, loss, caveat = np.zeros_like(work), 0.0, None
    else:
        if settings.ordered is not None:
            ordered = tuple(kept.index(k) for k in settings.ordered if k in kept)
            settings = replace(settings, ordered=ordered)
        small = [compact[k] for k in kept]
        found = completion.complete(
            work.reshape(small), mask.reshape(small), rng, settings, _in_modes(callback, kept)
        )
        cores = _with_unit_modes(found.cores, kept, T.ndim)
        values, loss = found.values.reshape(compact), found.loss
        ordered, caveat = tuple(kept[k] for k in found.ordered), found.caveat
    for k, length in enumerate(T.shape):
        cores[k] = _spread_rows(cores[k], k, present[k], length, k in ordered)
        values = _spread_rows(values, k, present[k], length, k in ordered)
    if T.ndim == 2:
        # Columns differ in meaning: the mean of their rows says nothing of a column never seen.
        empty = ~seen.any(axis=0)
        values[:, empty], cores[1][:, empty] = 0.0, 0.0
    values = np.where(seen, T, scale.original(values, T.dtype)).astype(T.dtype)
    absent = tuple(np.setdiff1d(np.arange(n), p) for n, p in zip(T.shape, present, strict=True))
    return Completed(cores, values, scale, loss, absent, ordered, caveat)


def filled(T, rng, settings=None, callback=None):
    """T with its gaps filled as a completion fills them; observed entries are untouched.

    T (I_1, .., I_N) of floats, NaN where missing -> (I_1, .., I_N)
    """
    if not np.isnan(T).any():
        return T
    found = complete(T, rng, settings, callback)
    if found.caveat:
        warnings.warn(found.caveat, stacklevel=2)
    return found.values
