"""What the spectra of unfoldings tell a search: the bonds that were planted, and those needed."""

from dataclasses import replace
from itertools import product

import numpy as np

from sktn.networks import graph
from sktn.solvers.als import Stop, als
from sktn.structure import tomography, tucker

__all__ = ["compacted", "denoised", "exact", "gapped", "needed", "planted"]

# Ratio of singular values across a gap that noise does not make.
_GAP = 5.0
# A bond of four or less that is one narrower costs every cut through it this share of its rank.
_NARROWER = 0.2
# Noise is told from few values: what is no further above its level may be noise all the same.
_SLACK = 1.5
# Share of the squared error allowed, beyond the gaps, that is noise; it hides the last of so many
# singular values.
_NOISE, _HIDDEN = 0.01, 15
# Structures that explain the ranks and are fitted, from how many random starts before the next has
# its turn (one in eight succeeds at order eight), and how many turns each has.
_EXPLAINED, _RESTARTS, _ROUNDS = 4, 15, 3
# Order up to which explanations are looked for with two triangles rerouted at once.
_TWICE = 5


def compacted(problem):
    """The tensor without what is beyond the gaps of its modes, as far as the error allows.

    A network of mode k's rank cannot follow what noise adds beyond it. Without that noise the
    tensor is small, and the gaps of its other unfoldings are wide.

    problem `steps.Problem` -> `steps.Problem` of the smaller tensor, factors N arrays (I_k, n_k)
    """
    X = problem.X.astype(np.float64)
    # A mode longer than all others together has directions without anything.
    full = [k for k, n in enumerate(X.shape) if n * n <= X.size]
    noise = min(tucker.leading(X, k)[0][-1] * X.shape[k] for k in full) / X.size  # of an entry
    core, factors, left = _without_noise(X, problem.target, noise, 1)
    if left < noise * core.size / 2:
        # Too little is left for the noise in what is kept: some was the tensor's.
        core, factors, left = _without_noise(X, problem.target, noise, 2)
    return replace(problem, X=core, target=left), factors


def _without_noise(core, target, noise, fewest):
    """A tensor without what is beyond the gaps of its modes, where these are some directions.

    noise: squared, of an entry -> core, factors N arrays (I_k, n_k), squared error that is left
    """
    factors, left = [], target
    for k in range(core.ndim):
        values, basis = tucker.leading(core, k)
        rank, gap = tomography.gap_rank(values, target)
        rank = max(rank, _above_noise(values, core.size, noise, target))
        dropped = float(values[rank:].sum())
        if gap <= _GAP or dropped > left or len(values) - rank < fewest:
            rank, dropped = len(values), 0.0
        left -= dropped
        factors.append(basis[:, :rank])
        core = tucker.along(core, k, factors[-1].T)
    return core, factors, left


def _above_noise(values, size, noise, target):
    """How many values are too large for noise, whose squared singular values end at

        s^2 (sqrt(m) + sqrt(n))^2

    (Marchenko and Pastur): the smallest ones of the tensor itself may lie beyond a gap.

    values (m,) squared, of an unfolding of size = m n entries, noise s^2 of an entry -> int
    """
    m = len(values)
    edge = noise * (np.sqrt(m) + np.sqrt(size / m)) ** 2
    return int(np.count_nonzero(values > max(_SLACK * edge, _NOISE * target)))


def denoised(values, target):
    """A spectrum without what is beyond its gap, where it has one, and the sum of that.

    values (m,) squared and falling, target squared error -> (m,), float
    """
    rank, gap = tomography.gap_rank(values, target)
    if gap <= _GAP:
        return values, 0.0
    return np.where(np.arange(len(values)) < rank, values, 0.0), float(values[rank:].sum())


def needed(problem, measured):
    """What the unfoldings prove about networks at the target, or None where none was measured."""
    if not measured:
        return None
    # Squares are summed in the tensor's own precision: no proof by a hair.
    least = [tomography.epsilon_rank(v, 1.001 * problem.target) for _, v in measured]
    subsets, spectra = zip(*measured, strict=True)
    return tomography.Cuts(problem.X.shape, subsets, least, spectra=spectra)


def exact(problem, measured):
    """Whether the error allows no lower ranks than those of the gaps.

    Where it does, a network as coarse as the error may be far smaller than the planted one. Ranks
    lower by so little that no bond can be narrower do not count.
    """
    for _, values in measured:
        rank, gap = tomography.gap_rank(values, problem.target)
        least = tomography.epsilon_rank(values, problem.target)
        if gap > _GAP and least <= (1.0 - _NARROWER) * rank:
            return False
    return True


def gapped(measured, error):
    """Whether most spectra have a gap at a squared error, as those of a planted network have."""
    gaps = [tomography.gap_rank(values, error)[1] for _, values in measured]
    return bool(gaps) and float(np.mean(np.array(gaps) > _GAP)) >= 0.5


def planted(problem, measured, tries=6):
    """The cheapest bond matrix read off the unfoldings that ALS confirms.

    Spectra without a gap do not tell a rank; then the estimate is no more than a guess at a start,
    and there are better ones.

    measured list of (modes, squared singular values) -> State or None
    """
    if not gapped(measured, problem.target):
        return None
    subsets = [s for s, _ in measured]
    least = [tomography.epsilon_rank(v, problem.target) for _, v in measured]
    wide, sure, large = _ranks(problem, measured, least)
    cuts = tomography.Cuts(problem.sizes, subsets, least)
    best, limit = None, np.inf
    # What a simple descent explains may be a wide bond that stands for two triangles.
    often = (False, True) if problem.X.ndim <= _TWICE else (False,)
    # A mode whose rank is below its length has the rank of its bonds: to take the length for what
    # is left of it leaves a dozen explanations where there is one.
    legs = dict.fromkeys((tuple(problem.sizes), problem.X.shape))
    for twice, ranks, lengths in product(often, dict.fromkeys((wide, tuple(least))), legs):
        if best is not None and (twice or lengths != tuple(problem.sizes)):
            continue
        told = tomography.Cuts(problem.sizes, subsets, ranks, sure, lengths, large)
        explained = tomography.explanations(
            told, problem.rng, deadline=problem.deadline, twice=twice
        )
        trials = [c for c in explained[:_EXPLAINED] for _ in range(_RESTARTS)] * _ROUNDS
        # If none of it is confirmed, what the ranks do not forbid.
        seed = np.maximum(1, np.rint(cuts.estimate(ranks))).astype(int)
        others = tomography.candidates(cuts, seed, deadline=problem.deadline)
        trials += [c for c in others if c not in explained][:tries]
        for candidate in trials:
            R = cuts.matrix(candidate)
            if problem.expired():
                break
            if cuts.parameters(candidate) >= limit or R.prod(axis=1).max() > 2000:
                continue
            state = _fitted(problem, R)
            if problem.met(state):
                best, limit = state, state.size
                problem.note("tomography", state)
                break
        if best is not None and exact(problem, measured):
            break  # Lower ranks would be those of the same bonds.
    return best


def _fitted(problem, R):
    """Bonds R from a random start: State."""
    stop = Stop(target=problem.target, give_up=True, deadline=problem.deadline)
    cores = graph.random_cores(problem.X.shape, R, problem.rng, problem.X.dtype)
    return problem.state(als(problem.X, cores, stop, norm2=problem.norm2, ridge=problem.ridge))


def _ranks(problem, measured, least):
    """Ranks at the gaps where there are any, and from which rank on they may fall short.

    -> ranks (n_subsets,), whether each is sure, rank
    """
    size, spectra = problem.X.size, [v for _, v in measured]
    wide, gaps = zip(*(tomography.gap_rank(v, problem.target) for v in spectra), strict=True)
    sure = np.array(gaps) > _GAP
    # Beyond the gap of an m x n unfolding of rank r noise has (m - r) (n - r) directions.
    left = np.array(
        [(len(v) - r) * (size / len(v) - r) for v, r in zip(spectra, wide, strict=True)]
    )
    beyond = np.array([float(v[r:].sum()) for v, r in zip(spectra, wide, strict=True)])
    told = sure & (left > 0)
    noise = float(np.median(beyond[told] / left[told])) if told.any() else 0.0
    above = [_above_noise(v, size, noise, problem.target) for v in spectra]
    ranks = tuple(np.where(sure, np.maximum(wide, above), least).tolist())
    noisy = beyond.max(where=told, initial=0.0) > _NOISE * problem.target
    return ranks, sure, _HIDDEN if noisy else tomography.LARGE
