"""Which tree: given, or the best of a few by what it makes of the convex limit."""

from numbers import Integral

import numpy as np

from sktn.chains.folds import search_rows
from sktn.networks import topology as shapes
from sktn.solvers import convex, convex_tree
from sktn.solvers.newton import Effort
from sktn.structure.dendrogram import found_tree
from sktn.tables.features import feature_indices

#: Topologies by name.
NAMES = ("auto", "found", "halves", "chain")
# Rows and landmarks on which trees are compared: their losses differ by more than these can err.
_ROWS, _LANDMARKS = 3000, 200
# Of pairs of more columns too many spectra would have to be looked at.
_MOST_SITES = 100
_EFFORT = Effort(tol=1e-4)


def named_candidates(name, order):
    """Trees that need no look at the target, by name: order (n,) along a chain -> dict"""
    known = {
        "chain": lambda: shapes.chain_topology(order, len(order) // 2),
        "halves": lambda: shapes.halved(order),
    }
    wanted = known if name == "auto" else [name] if name in known else []
    return {kind: known[kind]() for kind in wanted}


def choose(name, problem, order, bond_dim, plan, tol):
    """The tree of a name; of several, the one with the least loss at the bond dimension, the chain,
    whose nodes cost least, where the others are not better by the share `tol`.

    problem ChainProblem, order (n,) of related columns, plan: its `rng` and `clock` -> merges
    """
    rng, clock = plan.rng, plan.clock
    candidates, n = named_candidates(name, order), problem.n_sites
    # Two sites, and three but for their names, make one tree.
    if len(candidates) == 1 or n < 3:
        return next(iter(candidates.values()), shapes.halved(order))
    part = problem.take(search_rows(problem.weight, _ROWS, rng))
    design = convex.make_design(part, convex.choose_landmarks(part.weight, _LANDMARKS, rng))
    limit = convex_tree.solve_limit(part, design, _EFFORT)
    if name == "found" or n <= _MOST_SITES:
        sites = list(design.landmarks.transpose(1, 0, 2))
        candidates["found"] = found_tree(sites, design.V @ limit[0][:-1])
    if len(candidates) == 1:
        return candidates["found"]
    seed, losses = rng.randint(2**31 - 1), {}
    for kind, merges in candidates.items():
        noise = np.random.default_rng(seed)
        tree = convex_tree.fit_tree(part, design, limit, (merges, bond_dim), noise, _EFFORT)
        losses[kind] = tree.losses[-1]
    clock.say("losses of trees: " + ", ".join(f"{k} {v:.5f}" for k, v in losses.items()))
    best = min(losses, key=losses.get)
    near = losses["chain"] - losses[best] <= tol * abs(losses[best])
    return candidates["chain" if near else best]


def read_topology(topology, columns, names):
    """A tree that is given, over the sites of a table.

    topology: nested tuples of columns, or a linkage matrix; columns `Columns`; names (n_columns,)
    -> merges
    """
    n = columns.n_columns
    if isinstance(topology, np.ndarray) and topology.ndim == 2:
        merges = shapes.from_linkage(topology)
        valid = len(merges) == n - 1
    else:
        merges = shapes.from_nested(_numbered(topology, names))
        valid = True
    if not valid or not np.array_equal(shapes.sites_of(merges), np.arange(n)):
        raise ValueError(
            f"topology must be one of {NAMES}, nested tuples with each of the {n} columns of X "
            f"once, or a linkage matrix of {n - 1} rows; got {topology!r}."
        )
    return shapes.pruned(merges, columns.kept)


def _numbered(tree, names):
    """Nested tuples with numbers instead of names."""
    if isinstance(tree, str):
        return int(feature_indices([tree], names)[0])
    if isinstance(tree, Integral):
        return int(tree)
    return tuple(_numbered(part, names) for part in tree)
