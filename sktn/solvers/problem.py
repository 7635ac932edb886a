"""What every solver of a chain takes, and what it gives back."""

import time
from dataclasses import dataclass, replace
from functools import cached_property

import jax
import numpy as np

from sktn.tables.basis import Basis, embed
from sktn.tables.spectra import components_up_to, selected, up_to

# Rows that are embedded at a time at most, and numbers in their vectors: they stay in the cache.
_BLOCK_ROWS, _BLOCK_NUMBERS = 4096, 2**21

# A ridge of so many times the rows' weight leaves coefficients below all digits of a score.
_STRONGEST = 1e12

# What rows may say of a component that is left out, in what the ridge says.
_NEGLIGIBLE = 0.01

# Up to here every row is a landmark by default.
_FEW_ROWS = 1000


@dataclass(frozen=True, eq=False)
class ChainProblem:
    """A loss of the scores of rows, and the ridge in function space:

        min_W  sum_i w_i loss(f_i(W), i) + alpha ridge_share J(W) ,

        J(W) = sum_c sum_{s != 0} [prod_i g_i(s_i)] W_c[s]^2 ,  g_i(0) = 1 .

    Solvers work with the weighted site vectors a_is = phi_is / sqrt(g_is), in which J is the plain
    squared norm of what is not constant.

    Attributes
    ----------
    basis : Basis
    coords : ndarray of shape (N, n, channels), or LazyCoordinates
    loss : see :mod:`sktn.losses`
    target : ndarray of shape (N,) or (N, c)
    weight : ndarray of shape (N,)
    penalty : ndarray of shape (n, d)
        g, see :func:`sktn.tables.penalty.penalty_weights`.
    alpha : float or None
    max_order : int or None
        Sites that have a say in one part of a score, at most; None: all.
    """

    basis: Basis
    coords: np.ndarray
    loss: object
    target: np.ndarray
    weight: np.ndarray
    penalty: np.ndarray
    alpha: float | None = None
    max_order: int | None = None

    @property
    def n_rows(self):
        return len(self.coords)

    @property
    def n_sites(self):
        return len(self.penalty)

    @property
    def n_scores(self):
        return self.loss.n_scores(self.target)

    @property
    def dtype(self):
        return self.coords.dtype

    @property
    def strength(self):
        """What multiplies half of J."""
        return 2 * self.alpha * self.loss.ridge_share

    @cached_property
    def total_weight(self):
        return float(self.weight.sum())

    @cached_property
    def roots(self):
        """sqrt(g): (n, d)"""
        return np.sqrt(self.penalty)

    def take(self, rows):
        """The problem on some rows only."""
        return replace(
            self, coords=self.coords[rows], target=self.target[rows], weight=self.weight[rows]
        )

    def with_alpha(self, alpha):
        """The problem with a strength, at most one that leaves nothing but the constant."""
        return replace(self, alpha=min(alpha, _STRONGEST * self.total_weight))

    def with_penalty(self, penalty):
        return replace(self, penalty=penalty.astype(self.dtype, copy=False))

    def without_negligible(self, alpha):
        """The problem up to the degree of every site beyond which all rows together say less than a
        hundredth of what a ridge of strength alpha does."""
        charge = np.float64(max(_NEGLIGIBLE * alpha * self.loss.ridge_share, np.finfo(float).tiny))
        with np.errstate(over="ignore"):
            telling = self.penalty <= self.total_weight / charge
        largest = np.where(telling, np.asarray(self.basis.degrees), 0).max(axis=1)
        largest = np.maximum(largest, 1)
        if (largest >= np.asarray(self.basis.degrees).max(axis=1)).all():
            return self
        chosen = components_up_to(self.basis, largest)
        penalty = selected(self.penalty, chosen, 1.0, max(map(len, chosen)))
        return replace(self, basis=up_to(self.basis, largest), penalty=penalty)

    def astype(self, dtype):
        """Floating-point arrays in another precision."""

        def cast(array):
            return array.astype(dtype, copy=False) if array.dtype.kind == "f" else array

        arrays = {name: cast(getattr(self, name)) for name in ("coords", "target", "penalty")}
        return replace(self, basis=jax.tree.map(cast, self.basis), **arrays)

    def in_working_precision(self):
        """The problem in the precision in which its minimum is looked for.

        Few rows take no time, and keep all digits: weights are repetitions there, and executors
        agree, to rounding."""
        if not self.loss.single_precision or self.n_rows <= _FEW_ROWS:
            return self
        return replace(self.astype(np.float32), weight=self.weight.astype(np.float32))

    def vectors(self, rows):
        """Weighted site vectors of some rows: (len(rows), n, d), where they are large each site's
        in one piece of memory"""
        coords = self.coords[rows]
        parts = self._parts(len(coords))
        if len(parts) <= 1:
            return embed(self.basis, coords) / self.roots
        found = np.empty((self.n_sites, len(coords), self.penalty.shape[1]), self.dtype)
        for part in parts:
            a = embed(self.basis, coords[part]) / self.roots
            found[:, part] = a.transpose(1, 0, 2)
        return found.transpose(1, 0, 2)

    def _parts(self, n_rows):
        """Rows in blocks: slices"""
        size = max(1, min(_BLOCK_ROWS, _BLOCK_NUMBERS // max(1, self.penalty.size)))
        return [slice(start, start + size) for start in range(0, n_rows, size)]

    def blocks(self):
        """Weighted site vectors in blocks of rows: slice, (b, n, d)"""
        for rows in self._parts(self.n_rows):
            yield rows, self.vectors(rows)

    def inputs(self, arm_orders):
        """Weighted site vectors of the two arms, (p, N, d) each: what sweeps work on."""
        d = self.penalty.shape[1]
        arms = [np.empty((len(order), self.n_rows, d), self.dtype) for order in arm_orders]
        for rows, a in self.blocks():
            for arm, order in zip(arms, arm_orders, strict=True):
                arm[:, rows] = a[:, order].transpose(1, 0, 2)
        return arms

    def mean_loss(self, scores):
        """Loss per unit of weight: scores (..., N, c) -> (...,)"""
        values = self.loss.values(scores, self.target)
        return values.astype(np.float64) @ (self.weight / self.total_weight)


@dataclass(frozen=True, eq=False)
class Solution:
    """What a solver of chains returns.

    Attributes
    ----------
    networks : list of MPS
        For site vectors phi.
    losses : ndarray
        Penalised training loss per unit of weight, as it fell, of the first network (of the sum of
        all where they train together).
    truncation_error : float or None
        Share of the squared norm of the convex solution that the bond dimension cut off.
    converged, finite : bool
        Whether the loss had settled, and whether it stayed finite.
    held_out : ndarray of int or None
        Rows that took no part, where the solver held some out.
    alpha : float or None
        The strength, where the solver changed it.
    state : object
        To go on from.
    """

    networks: list
    losses: np.ndarray
    truncation_error: float | None = None
    converged: bool = True
    finite: bool = True
    held_out: np.ndarray | None = None
    alpha: float | None = None
    state: object = None


class Clock:
    """Time since the start of a fit, its limit, and a line for every stage.

    seconds : float or None, verbose : whether to print
    """

    def __init__(self, seconds=None, verbose=False):
        self._start, self._seconds, self._verbose = time.monotonic(), seconds, verbose

    def elapsed(self):
        return time.monotonic() - self._start

    def over(self):
        """Whether the time is up: solvers then keep the best they have."""
        return self._seconds is not None and self.elapsed() > self._seconds

    def left(self):
        """Seconds that are left, None without a limit."""
        return None if self._seconds is None else self._seconds - self.elapsed()

    def say(self, stage):
        if self._verbose:
            print(f"[{self.elapsed():7.2f} s] {stage}", flush=True)
