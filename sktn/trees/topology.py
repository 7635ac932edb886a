"""Which tree: given, or the best of a few by what they make of the convex limit."""

from copy import deepcopy
from numbers import Integral

import numpy as np
from scipy.stats import norm

from sktn.chains.folds import search_rows
from sktn.chains.selection import gain
from sktn.networks import topology
from sktn.networks.tree import contract
from sktn.solvers import convex, convex_tree
from sktn.solvers.newton import Effort
from sktn.structure.dendrogram import found_tree
from sktn.tables.features import feature_indices

#: Topologies by name.
NAMES = ("auto", "found", "halves", "chain", "grid")
# Rows and landmarks on which trees are compared: as many as tell strengths apart.
_ROWS, _LANDMARKS = 3000, 200
# Of pairs of more columns too many spectra would have to be looked at.
_MOST_SITES = 100
_EFFORT = Effort(tol=1e-4)


def named_candidates(name, plan, shape, columns):
    """Trees that need no look at the target, by name: none for "found", all there are for "auto".

    plan: its first order (n,) and output site; shape: of the rows, where they are tensors -> dict
    """
    order = plan.orders[0]
    known = {
        "chain": topology.chain_topology(order, plan.output_site),
        "halves": topology.halved(order),
    }
    if shape is not None:
        grid = topology.from_nested(topology.grid_topology(shape))
        known["grid"] = topology.pruned(grid, columns.kept)
    elif name == "grid":
        raise ValueError(
            "topology='grid' needs tensors, X of shape (n_samples, I_1, ..., I_k), and X is a "
            "table: reshape it, or pass topology=grid_topology((I_1, ..., I_k))."
        )
    return known if name == "auto" else {kind: known[kind] for kind in known if kind == name}


def choose(candidates, problem, target, bond_dim, plan):
    """The only candidate; the tree that is found where there is none; of several and that one the
    best, where rows that had no say in it are told better than by the chain, whose nodes cost
    least, by a standard error, or by what of several is as seldom by chance.

    candidates: of :func:`named_candidates`, problem ChainProblem, target: what deals the folds,
    plan: its `rng` and `clock` -> merges
    """
    # What is drawn here does not change the chain: it is that of MPSClassifier.
    rng, clock, n = deepcopy(plan.rng), plan.clock, problem.n_sites
    if n < 3:  # there is one tree
        return topology.halved(plan.orders[0])
    if len(candidates) == 1:
        return next(iter(candidates.values()))
    rows = search_rows(problem.weight, _ROWS, rng)
    part = problem.take(rows)
    if not candidates:
        return found_tree(*_product_states(*_limit(part, rng)))
    folds = None if clock.over() else target.folds(rows, problem.coords[rows], rng)
    if folds is None:
        return candidates["chain"]
    learned, judged = (part.take(np.flatnonzero(own)) for own in (folds != 0, folds == 0))
    design, limit = _limit(learned, rng)
    if n <= _MOST_SITES:
        candidates["found"] = found_tree(*_product_states(design, limit))
    seed, losses = rng.randint(2**31 - 1), {}
    vectors = judged.vectors(slice(None)).transpose(1, 2, 0)
    for kind, merges in candidates.items():
        noise = np.random.default_rng(seed)
        found = convex_tree.fit_tree(learned, design, limit, (merges, bond_dim), noise, _EFFORT)
        scores = contract(found.networks[0], vectors)
        losses[kind] = judged.loss.values(scores, judged.target).astype(np.float64)
    share = np.asarray(judged.weight, np.float64) / judged.total_weight
    means = {kind: float(share @ values) for kind, values in losses.items()}
    clock.say("held-out losses of trees: " + ", ".join(f"{k} {v:.4f}" for k, v in means.items()))
    best = min(means, key=means.get)
    mean, error = gain(losses["chain"], losses[best], share)
    # One that is no better seems so by a standard error in a sixth of all cases, and the best of
    # several may do so as seldom.
    chance = norm.sf(1) / (len(means) - 1)
    return candidates[best if mean > norm.isf(chance) * error else "chain"]


def _limit(problem, rng):
    """The convex limit on few landmarks: -> Design, what :func:`convex_tree.solve_limit` gives"""
    landmarks = convex.choose_landmarks(problem.weight, _LANDMARKS, rng)
    design = convex.make_design(problem, landmarks)
    return design, convex_tree.solve_limit(problem, design, _EFFORT)


def _product_states(design, limit):
    """The weight tensor as a sum: n arrays (m, d), coefficients (m, c)"""
    return list(design.landmarks.transpose(1, 0, 2)), design.V @ limit[0][:-1]


def read_topology(given, columns, names):
    """A tree that is given, over the sites of a table.

    given: nested tuples of columns, or a linkage matrix; columns `Columns`; names (n_columns,)
    -> merges
    """
    n = columns.n_columns
    if isinstance(given, np.ndarray) and given.ndim == 2:
        merges = topology.from_linkage(given)
        valid = len(merges) == n - 1
    else:
        merges = topology.from_nested(_numbered(given, names))
        valid = True
    if not valid or not np.array_equal(topology.sites_of(merges), np.arange(n)):
        raise ValueError(
            f"topology must be one of {NAMES}, nested tuples with each of the {n} columns of X "
            f"once, or a linkage matrix of {n - 1} rows; got {given!r}."
        )
    return topology.pruned(merges, columns.kept)


def _numbered(tree, names):
    """Nested tuples with numbers instead of names."""
    if isinstance(tree, str):
        return int(feature_indices([tree], names)[0])
    if isinstance(tree, Integral):
        return int(tree)
    return tuple(_numbered(part, names) for part in tree)
