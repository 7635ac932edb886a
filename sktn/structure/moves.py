"""Closed-form scores of structural moves: what a bond component is worth, kept or added."""

from dataclasses import dataclass

import numpy as np

from sktn.networks import graph, normal
from sktn.solvers.als import solve_core

__all__ = [
    "Removal",
    "append_slices",
    "growth",
    "local_gauge",
    "partial_trace",
    "removals",
    "remove_component",
]


# Width of a normal matrix whose inverse takes a second: wider cores are cut from their other side.
_WIDEST = 1500


def growth(residual, cores, i, j, width, rng, half_steps=2):
    """Best new slices of bond ij against a residual, by alternating half-steps.

    Each half-step solves one side's slices exactly, the other side's fixed: a power iteration in
    the metric of the environment. The decrease returned is exact for the slices returned.

    residual (I_1, .., I_N), width number of slices
    -> slices of core i, slices of core j (bond axis ``width`` long), decrease of ||residual||^2
    """
    trial = list(cores)
    shape = list(cores[i].shape)
    shape[j] = width
    trial[i] = rng.standard_normal(shape).astype(residual.dtype)
    shape = list(cores[j].shape)
    shape[i] = width
    trial[j] = np.zeros(shape, dtype=residual.dtype)
    gain = 0.0
    for step in range(half_steps):
        k = (j, i)[step % 2]
        A, B = normal.normal_equations(residual, trial, k)
        G = solve_core(A, B, np.zeros_like(B, dtype=np.float64), 1e-7)
        gain = float(2.0 * np.vdot(B, G) - np.vdot(G @ A.astype(np.float64), G))
        trial[k] = graph.folded(G.astype(residual.dtype), trial[k].shape, k)
    return trial[i], trial[j], max(gain, 0.0)


def append_slices(cores, i, j, first, second):
    """Widen bond ij by the given slices of both cores."""
    cores = list(cores)
    cores[i] = np.concatenate([cores[i], first], axis=j)
    cores[j] = np.concatenate([cores[j], second], axis=i)
    return cores


def local_gauge(cores, grams, i, j):
    """Matrices that bring bond ij to its local singular value gauge.

    The Gram matrices of the two half-networks on the bond are partial traces of the environments;
    in the gauge of their singular value decomposition, a component's weight is its own. On trees
    this is the Schmidt decomposition; on loops it is the best basis that looks at one bond only.
    Where a core is so wide that its environment's Gram matrix is not at hand (None), the core on
    the other side stands for all that is behind the bond.

    grams N arrays (P_k, P_k) -> (R, R'), (R, R') with X_i X_j^T = 1, weights (R',)
    """
    factors = []
    for seen, behind in ((j, i), (i, j)):  # what core `seen` sees through the bond
        if grams[seen] is None:
            flat = np.moveaxis(cores[behind], seen, 0).reshape(cores[behind].shape[seen], -1)
            gram = (flat @ flat.T).astype(np.float64)
        else:
            gram = partial_trace(grams[seen], cores[seen], seen, behind)
        values, vectors = np.linalg.eigh(gram)
        values = np.maximum(values, 1e-12 * max(values[-1], 1e-300))
        factors.append((np.sqrt(values), vectors))
    (a, U), (b, V) = factors
    P, weights, _ = np.linalg.svd((a[:, None] * (U.T @ V)) * b)
    # A dead component has no gauge of its own; an exact inverse keeps the network unchanged.
    root = np.sqrt(np.maximum(weights, 1e-8 * max(weights[0], 1e-300)))
    return (U / a) @ P * root, (U * a) @ P / root, weights


def unit_grams(cores):
    """Gram matrices of the environments of all cores, and the factor left out of each.

    Where single precision overflows or vanishes, as it does for cores that have grown against each
    other, the matrices are those of cores of norm one in double precision. A core too wide for its
    matrix to be inverted in a second gets None.

    cores N arrays -> N arrays (P_k, P_k) or None, (N,)
    """
    grams, level = [None] * len(cores), np.ones(len(cores))
    for k, core in enumerate(cores):
        if core.size // core.shape[k] > _WIDEST:
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            gram = normal.sketched_gram(cores, k).astype(np.float64)
        if not np.isfinite(gram).all() or not np.trace(gram) > 0.0:
            unit = [core.astype(np.float64) for core in cores]
            norms = [max(float(np.linalg.norm(core)), 1e-300) for core in unit]
            unit = [core / norm for core, norm in zip(unit, norms, strict=True)]
            gram = normal.sketched_gram(unit, k)
            with np.errstate(over="ignore"):
                level[k] = np.prod(np.delete(norms, k) ** 2)
        grams[k] = gram
    return grams, level


def partial_trace(gram, core, k, bond):
    """The Gram matrix of core k's environment on one bond, the others traced out.

    gram (P_k, P_k), core k N axes -> (R, R)
    """
    shape = tuple(s for axis, s in enumerate(core.shape) if axis != k)
    position = bond if bond < k else bond - 1
    before = int(np.prod(shape[:position]))
    after = int(np.prod(shape[position + 1 :]))
    full = gram.reshape(before, shape[position], after, before, shape[position], after)
    return np.einsum("xayxby->ab", full, dtype=np.float64)


@dataclass(frozen=True)
class Removal:
    """One component of one bond, in that bond's gauge, and what losing it costs.

    bond (i, j), component int, cost increase of the squared error after core ``solve`` is re-solved
    """

    bond: tuple
    component: int
    cost: float
    solve: int
    saved: int


def gauge_bond(cores, i, j, Xi, Xj):
    """Insert X_i X_j^T = 1 on bond ij."""
    cores = list(cores)
    dtype = cores[i].dtype
    cores[i] = np.moveaxis(np.tensordot(cores[i], Xi, (j, 0)), -1, j).astype(dtype)
    cores[j] = np.moveaxis(np.tensordot(cores[j], Xj, (i, 0)), -1, i).astype(dtype)
    return cores


def removals(cores, sizes, bonds=None):
    """Cost of removing every bond component, exact once the core beside it is solved again.

    With A the Gram matrix of core i's environment, dropping the columns G_a of its unfolding that
    belong to component a of a bond and re-solving the others costs tr(G_a [(A^-1)_aa]^-1 G_a^T).
    (Rescaling the other components alone is the special case 1 / (D^-1)_aa with
    D_ab = <T_a, T_b>.) Factor magnitudes would not do: they change with the gauge.

    cores N arrays, sizes (N,) lengths that are paid for -> gauged cores per bond, list of Removal
    """
    order = len(cores)
    R = graph.bond_dims(cores)
    if bonds is None:
        bonds = [(i, j) for i in range(order) for j in range(i + 1, order) if R[i, j] > 1]
    grams, level = unit_grams(cores)
    paid = graph.core_sizes(sizes, R)
    result, gauges = [], {}
    inverses = {}
    for i, j in bonds:
        if grams[i] is None and grams[j] is None:
            continue
        Xi, Xj, _ = local_gauge(cores, grams, i, j)
        gauges[i, j] = (Xi, Xj)
        wide = [np.inf if grams[k] is None else len(grams[k]) for k in (i, j)]
        k, other, mine = (i, j, Xi) if wide[0] <= wide[1] else (j, i, Xj)
        if k not in inverses:
            A = grams[k].copy()
            A.flat[:: A.shape[0] + 1] += 1e-10 * np.trace(A) / A.shape[0] + 1e-300
            inverses[k] = np.linalg.inv(A)
        shape = tuple(s for axis, s in enumerate(cores[k].shape) if axis != k)
        position = other if other < k else other - 1
        before, after = int(np.prod(shape[:position])), int(np.prod(shape[position + 1 :]))
        r = shape[position]
        # The environment of core k changes with the other side's gauge, its inverse with mine.
        inverse = inverses[k].reshape(before, r, after, before, r, after)
        G = graph.unfolded(cores[k], k).astype(np.float64).reshape(-1, before, r, after)
        G = np.einsum("nbra,rs->snba", G, mine).reshape(r, -1, before * after)
        half = np.einsum("bracqd,rs->sbacqd", inverse, mine, optimize=True)
        block = np.einsum("sbacqd,qs->sbacd", half, mine, optimize=True)
        block = block.reshape(r, before * after, before * after)
        saved = paid[i] // R[i, j] + paid[j] // R[i, j]
        for a in range(r):
            solved = np.linalg.solve(block[a], G[a].T)
            cost = float(np.vdot(G[a].T, solved)) * level[k]
            result.append(Removal((i, j), a, max(cost, 0.0), k, int(saved)))
    return gauges, result


def remove_component(cores, bond, components, gauge):
    """Drop components of a bond in its gauge.

    components list of int, gauge (X_i, X_j) -> N arrays
    """
    i, j = bond
    cores = gauge_bond(cores, i, j, *gauge)
    cores[i] = np.delete(cores[i], components, axis=j)
    cores[j] = np.delete(cores[j], components, axis=i)
    return cores
