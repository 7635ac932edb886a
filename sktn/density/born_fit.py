"""A Born machine learned from a table: sweeps along a falling ridge, stopped by held-out rows."""

from typing import NamedTuple

import numpy as np

from sktn.density import born_machine
from sktn.density.born_machine import BornMachine
from sktn.networks import born
from sktn.solvers import likelihood
from sktn.solvers.sweep import Split
from sktn.tables.sites import chain_order

# Strength of the ridge where held-out rows do not choose it.
_ALPHA = 0.03

# Sweeps without a better likelihood of the held-out rows after which the path ends.
_PATIENCE = 3

# Standard deviation of the noise of the first cores, which makes them differ from a constant.
_NOISE = 0.3

# Rows x entries of all cores per bond: beyond, the chain learns from so many random rows. Sweeps
# then take about half a minute on one core.
_LARGEST_CHAIN = 2**24


class Learned(NamedTuple):
    """machine; alpha: strength of its ridge; bond_dims (n + 1,); losses: after every sweep;
    held_out (b,): log ratios of the rows that were held out, NaN for the others"""

    machine: BornMachine
    alpha: float
    bond_dims: np.ndarray
    losses: np.ndarray
    held_out: np.ndarray


class Chain(NamedTuple):
    """What the sweeps of a Born machine take. start, sites: lists over the sites in the order of
    the chain, see `likelihood.path`; degrees: list of (d,); order (n,)"""

    start: list
    sites: list
    degrees: list
    order: np.ndarray


def fit_chain(u, shares, weight, fold, settings, rng):
    """u (b, n) with NaN for missing, shares: of the levels of every column, weight (b,), fold (b,):
    in which a row is held out, -1 for none -> Learned"""
    rows = affordable_rows(u, shares, settings, rng)
    chain = make_chain(u[rows], shares, weight[rows], settings, rng)
    n_sweeps, logs = choose_sweeps(chain, weight[rows], fold[rows], settings)
    step, losses = run_chain(chain, weight[rows], n_sweeps, settings)
    held_out = np.full(len(u), np.nan)
    held_out[rows] = logs
    machine = BornMachine(padded(step.cores), chain.order, settings.degree, shares)
    bond_dims = np.array([1, *[core.shape[3] for core in step.cores]])
    return Learned(machine, step.alpha, bond_dims, losses, held_out)


def affordable_rows(u, shares, settings, rng):
    """Random rows, all of them where sweeps over them are quick enough: -> (b',) ascending"""
    dims = born_machine.local_dims(settings.degree, shares)
    size = settings.bond_dim * dims.sum()
    if np.isnan(u).any():
        # Squares of what is missing are sums over the states of a bond and of a site.
        size *= settings.bond_dim * dims.max()
    n_rows = max(1, min(len(u), _LARGEST_CHAIN // int(size)))
    return np.sort(rng.permutation(len(u))[:n_rows])


def make_chain(u, shares, weight, settings, rng):
    """u (b, n), shares: of the levels of every column, weight (b,) -> Chain"""
    phi = born_machine.site_vectors(u, settings.degree, shares, u.dtype)
    _, n, d = phi.shape
    order = chain_order(
        settings.feature_order, np.arange(n), n, len(u), lambda rows: phi[rows, :, 1], rng, weight
    )
    D, dims = settings.bond_dim, born_machine.local_dims(settings.degree, shares)
    cores = born.near_constant(rng, n, d, D, _NOISE, u.dtype)
    ends = [1, *[D] * (n - 1), 1]
    start, sites, degrees = [], [], []
    for k, i in enumerate(order):
        m = dims[i]
        start.append(cores[k, : ends[k], :m, None, : ends[k + 1]])
        x, gone = phi[:, i, None, :m], np.isnan(u[:, i])
        if gone.any():
            # The sum over all functions.
            x = np.pad(x, ((0, 0), (0, m - 1), (0, 0)))
            x[gone] = np.eye(m)
        sites.append(x)
        s = np.arange(m)
        # Functions on levels have no order among each other.
        degrees.append((np.minimum(s, 1) if len(shares[i]) else s).astype(u.dtype))
    return Chain(start, sites, degrees, order)


def chain_path(chain, weight, settings, alphas):
    """Steps of the sweeps, see `likelihood.path`."""
    tol = settings.truncation_tol
    return likelihood.path(
        chain.start,
        chain.sites,
        weight / weight.max(),
        chain.degrees,
        alphas,
        tol=settings.tol,
        split=None if tol is None else Split(settings.bond_dim, tol),
    )


def strengths(settings, held_out):
    """The ridge of every sweep."""
    if settings.alpha == "auto" and held_out:
        return (2.0 ** -np.arange(settings.max_iter)).tolist()
    return [_ALPHA if settings.alpha == "auto" else float(settings.alpha)] * settings.max_iter


def choose_sweeps(chain, weight, fold, settings):
    """The number of sweeps after which held-out rows are most likely, and their logs then.

    fold (b,) -> int, None where nothing is held out, (b,) with NaN for rows that are not
    """
    held_out, curves, logs = np.full(len(weight), np.nan), [], []
    for k in range(fold.max() + 1):
        rows, seen = fold == k, []
        train = np.where(rows, 0, weight)
        for step in chain_path(chain, train, settings, strengths(settings, True)):
            seen.append(step.logs[rows].astype(np.float64))
            quality = [weight[rows] @ values for values in seen]
            if step.settled or len(seen) - np.argmax(quality) > _PATIENCE:
                break
        curves.append(quality)
        logs.append(seen)
    if not curves:
        return None, held_out
    # A path that ended early would have stayed where it was or become worse.
    longest = max(map(len, curves))
    total = sum(np.pad(curve, (0, longest - len(curve)), mode="edge") for curve in curves)
    best = int(np.argmax(total))
    for k, seen in enumerate(logs):
        held_out[fold == k] = seen[min(best, len(seen) - 1)]
    return best + 1, held_out


def run_chain(chain, weight, n_sweeps, settings):
    """The last step of so many sweeps on all rows, None: until the loss settles, and all losses."""
    losses = []
    for step in chain_path(chain, weight, settings, strengths(settings, n_sweeps is not None)):
        losses.append(step.loss)
        if len(losses) == n_sweeps or (n_sweeps is None and step.settled):
            break
    return step, np.array(losses)


def padded(cores):
    """list of (l, d, 1, r) -> (n, D, d, D)"""
    D = max(core.shape[3] for core in cores)
    out = np.zeros((len(cores), D, max(2, *(c.shape[1] for c in cores)), D), cores[0].dtype)
    for place, core in zip(out, cores, strict=True):
        l, m, _, r = core.shape
        place[:l, :m, :r] = core[:, :, 0]
    return out
