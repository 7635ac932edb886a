"""What the spectra of unfoldings tell a search: the bonds that were planted, and those needed."""

import numpy as np

from sktn.networks import graph
from sktn.solvers.als import Stop, als
from sktn.structure import tomography

__all__ = ["exact", "gapped", "needed", "planted"]

# Ratio of singular values across a gap that noise does not make.
_GAP = 5.0


def needed(problem, measured):
    """What the unfoldings prove about networks at the target, or None where none was measured."""
    if not measured:
        return None
    # Squares are summed in the tensor's own precision: no proof by a hair.
    least = [tomography.epsilon_rank(v, 1.001 * problem.target) for _, v in measured]
    return tomography.Cuts(problem.X.shape, [s for s, _ in measured], least)


def exact(problem, measured):
    """Whether the error allows no lower ranks than those of the gaps.

    Where it does, a network as coarse as the error may be far smaller than the planted one.
    """
    for _, values in measured:
        rank, gap = tomography.gap_rank(values, problem.target)
        if gap > _GAP and rank > tomography.epsilon_rank(values, problem.target):
            return False
    return True


def gapped(measured, error):
    """Whether most spectra have a gap at a squared error, as those of a planted network have."""
    gaps = [tomography.gap_rank(values, error)[1] for _, values in measured]
    return bool(gaps) and float(np.mean(np.array(gaps) > _GAP)) >= 0.5


def planted(problem, measured, tries=6, restarts=15):
    """The cheapest bond matrix read off the unfoldings that ALS confirms.

    Spectra without a gap do not tell a rank; then the estimate is no more than a guess at a start,
    and there are better ones.

    measured list of (modes, squared singular values) -> State or None
    """
    X = problem.X
    subsets = [s for s, _ in measured]
    least = [tomography.epsilon_rank(v, problem.target) for _, v in measured]
    wide, gaps = zip(*(tomography.gap_rank(v, problem.target) for _, v in measured), strict=True)
    sure = np.array(gaps) > _GAP
    if not gapped(measured, problem.target):
        return None
    cuts = tomography.Cuts(problem.sizes, subsets, least)
    stop = Stop(target=problem.target, give_up=True, deadline=problem.deadline)
    best, limit = None, np.inf
    for ranks in dict.fromkeys((tuple(wide), tuple(least))):
        seed = np.maximum(1, np.rint(cuts.estimate(ranks))).astype(int)
        explained = tomography.explanations(
            tomography.Cuts(problem.sizes, subsets, ranks, sure, X.shape),
            problem.rng,
            deadline=problem.deadline,
        )
        left = tries
        for candidate in _cheapest_first(problem, cuts, explained[:2], seed):
            R = cuts.matrix(candidate)
            if left == 0 or problem.expired():
                break
            if cuts.parameters(candidate) >= limit or R.prod(axis=1).max() > 2000:
                continue
            left -= 1
            for _ in range(restarts if candidate in explained[:2] else 1):
                cores = graph.random_cores(X.shape, R, problem.rng, X.dtype)
                fit = als(X, cores, stop, norm2=problem.norm2, ridge=problem.ridge)
                state = problem.state(fit)
                if problem.met(state) or problem.expired():
                    break
            if problem.met(state):
                best, limit = state, state.size
                problem.note("tomography", state)
                break
    return best


def _cheapest_first(problem, cuts, explained, seed):
    """What explains the ranks, and if none of it is confirmed, what they do not forbid.

    -> iterator of ranks tuples
    """
    yield from explained
    for ranks in tomography.candidates(cuts, seed, deadline=problem.deadline):
        if ranks not in explained:
            yield ranks
