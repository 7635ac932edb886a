"""The search over a tensor and its foldings: quick networks of several, one of them finished."""

from dataclasses import dataclass, replace

from sktn.structure import rg
from sktn.structure.folding import Folding, fold
from sktn.structure.refolding import refold, remake

__all__ = ["search"]

# Networks so much larger than the smallest are not split further: what splits save differs by less.
_RIVAL = 1.2


@dataclass(frozen=True)
class _Network:
    """A network on a folded tensor.

    folding of the tensor, cores on the folded one
    """

    folding: Folding
    cores: list

    @property
    def size(self):
        return sum(core.size for core in self.cores)


def search(task, settings):
    """The smallest network found of a tensor or of a folding of it.

    The tensor as it is comes first; the cores of its network are split, one after the other. The
    folding that the spectra ask for leads elsewhere, and is searched from its trees. The last, dear
    phase is for the smallest.

    task with X (I_1, .., I_N) of norm 1 -> Folding, cores
    """
    flat = Folding(tuple((n,) for n in task.X.shape))
    planted, exact = rg.read(task, settings)
    if exact:  # Its cores may fall apart, but nothing else can be much smaller.
        best = _refolded(task, _Network(flat, planted))
        return best.folding, best.cores
    settings = replace(settings, gaps=False)
    sooner = first = replace(task, deadline=task.deadline.half(), known=planted)
    folding, tree = fold(task.X, task.target, task.deadline)
    starts = replace(settings, stage="starts")
    alone = settings if folding.trivial else starts
    best = _refolded(task, _Network(flat, rg.search(sooner, alone)))
    if not folding.trivial and not task.deadline.expired():
        sooner = replace(task, deadline=task.deadline.half())
        other = _searched(sooner, replace(starts, ceiling=best.size), _Network(folding, tree))
        if other.size < _RIVAL * best.size:
            best = min(best, _refolded(task, other), key=_size)
    # A search that half of the time has cut off goes on in the other half.
    cut_off = first.deadline.expired()
    finished = folding.trivial and best.folding.trivial and not cut_off
    if not finished and not task.deadline.expired():
        last = _searched(task, replace(settings, stage="finish"), best)
        best = min(best, _refolded(task, last), key=_size)
    return best.folding, best.cores


def _size(network):
    return network.size


def _folded(task, folding):
    """The task of the folded tensor; its history names the modes of the tensor."""
    own = [k for k, lengths in enumerate(folding.factors) for _ in lengths]

    def history(entry):
        bond = entry["bond"]
        task.history({**entry, "bond": None if bond is None else tuple(own[k] for k in bond)})

    return replace(task, X=task.X.reshape(folding.shape), history=history)


def _searched(task, settings, start):
    """The search on a folding, from a network on it."""
    folded = replace(_folded(task, start.folding), start=start.cores)
    return _Network(start.folding, rg.search(folded, settings))


def _refolded(task, network):
    quiet = replace(task, history=lambda entry: task.history({**entry, "bond": None}))
    return _Network(*remake(quiet, *refold(quiet, network.folding, network.cores)))
