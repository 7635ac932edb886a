"""Edge gates: every bond component gets a soft switch, annealed until it decides.

    TN(g) = sum_a g_a T_a on one bond,  g_a = sigmoid(w_a / tau),  tau(t) = tau_0 exp(-t / t_0)
    ||X - TN(g)||^2 = ||X||^2 - 2 b g + g D g,  D_ab = <T_a, T_b>,  b_a = <X, T_a>

One gate per component, not per edge: a gate at zero really lowers the bond dimension, and all gates
of a bond at zero remove the edge. D and b are closed forms of the environment, so that the switches
are trained without touching the tensor. The cores stay still while the gates decide: left free they
would rescale a component to undo its gate.
"""

import numpy as np

from sktn.networks import graph, normal
from sktn.structure import moves

__all__ = ["anneal", "bond_quadratic", "decide"]

# Width of a normal matrix above which the gates of its core cost seconds.
_WIDEST = 500


def bond_quadratic(core, gram, projection, k, bond):
    """D_ab = <T_a, T_b> and b_a = <X, T_a> of the components of one bond of core k.

    core N axes, gram (P_k, P_k), projection (I_k, P_k) -> D (R, R), b (R,)
    """
    moved = np.moveaxis(core, k, 0)
    G = moved.reshape(moved.shape[0], -1).astype(np.float64)
    position = bond if bond < k else bond - 1
    shape = moved.shape[1:]
    before, after = int(np.prod(shape[:position])), int(np.prod(shape[position + 1 :]))
    weighted = ((G.T @ G) * gram).reshape(before, shape[position], after, before, -1, after)
    D = weighted.sum(axis=(0, 2, 3, 5))
    b = (G * projection).sum(axis=0).reshape(before, shape[position], after).sum(axis=(0, 2))
    return D, b


def decide(D, b, price, *, entropy=0.05, steps=60, tau=1.0, decay=20.0, rate=0.5):
    """Gates of one bond under the data term, a price per open gate, and an entropy penalty.

    L(g) = g D g - 2 b g + price sum_a g_a + entropy sum_a H(g_a): gates are not negative, so the
    price is the l1 norm of the bond's diagonal. Steps are scaled by the diagonal of D, so that they
    mean the same for strong and weak bonds.

    D (R, R), b (R,), price float -> (R,) in (0, 1)
    """
    w = np.full(len(b), 2.0)
    unit = np.maximum(np.diag(D), price) + 1e-300
    for step in range(steps):
        temperature = tau * np.exp(-step / decay)
        g = 1.0 / (1.0 + np.exp(-np.clip(w / temperature, -40, 40)))
        # dH/dg = log((1 - g) / g): with a positive weight it pushes g away from one half.
        force = 2.0 * (D @ g - b) + price
        force = force / unit + entropy * np.log((1.0 - g + 1e-9) / (g + 1e-9))
        # The sigmoid's slope is dropped: it would freeze a gate just where it must change its mind.
        w = np.clip(w - rate * temperature * force, -4.0, 4.0)
    return 1.0 / (1.0 + np.exp(-np.clip(w / temperature, -40, 40)))


def anneal(problem, state, *, rounds=4, sweeps=3, **schedule):
    """Let gates of all bonds close together, then refit; the price of a parameter rises by round.

    A parameter is worth about error / size: along good networks the squared error falls like a
    power of the size near -1. Rounds end when the target would be lost.

    State -> State that meets the target, if the given one did
    """
    best = state
    for turn in range(rounds):
        value = 0.5 * (turn + 1) / rounds * problem.target / max(best.size, 1)
        order = len(best.cores)
        R = graph.bond_dims(best.cores)
        if problem.expired() or R.prod(axis=1).max() > _WIDEST:
            break
        # Unit cores cannot overflow; the scale of the network comes back in double precision.
        norms = [max(float(np.linalg.norm(core)), 1e-300) for core in best.cores]
        unit = [(c / n).astype(c.dtype) for c, n in zip(best.cores, norms, strict=True)]
        scale, grams, projections = float(np.prod(norms)), [], []
        for k in range(order):
            A, B = normal.normal_equations(problem.X, unit, k)
            grams.append(A.astype(np.float64))
            projections.append(B.astype(np.float64))
        paid = graph.core_sizes(problem.sizes, R)
        cores, closed = best.cores, 0
        for i in range(order):
            for j in range(i + 1, order):
                if R[i, j] == 1:
                    continue
                Xi, Xj, _ = moves.local_gauge(unit, grams, i, j)
                core, gram, projection = _in_gauge(unit[i], grams[i], projections[i], i, j, Xi, Xj)
                D, b = bond_quadratic(core, gram, projection, i, j)
                D, b = D * scale**2, b * scale
                price = value * (paid[i] + paid[j]) / R[i, j]
                open_ = decide(D, b, price, **schedule) > 0.5
                if not open_.any():
                    open_[np.argmax(np.diag(D))] = True
                drop = np.flatnonzero(~open_)
                if len(drop):
                    cores = moves.remove_component(cores, (i, j), drop, (Xi, Xj))
                    closed += len(drop)
        if not closed:
            continue
        trial = problem.fit(cores, 8 * sweeps, tol=1e-3)
        if not problem.met(trial):
            break
        best = trial
        problem.note("gates", best)
    return best


def _in_gauge(core, gram, projection, k, bond, mine, theirs):
    """A core, its environment's Gram matrix and X's projection after a change of bond gauge."""
    shape = list(core.shape)
    core = np.moveaxis(np.tensordot(core, mine, (bond, 0)), -1, bond)
    position = bond if bond < k else bond - 1
    bonds = shape[:k] + shape[k + 1 :]
    before, after = int(np.prod(bonds[:position])), int(np.prod(bonds[position + 1 :]))
    r, new = bonds[position], mine.shape[1]
    gram = gram.reshape(before, r, after, before, r, after)
    gram = np.einsum("arbcqd,rs->asbcqd", gram, theirs, optimize=True)
    gram = np.einsum("asbcqd,qt->asbctd", gram, theirs, optimize=True)
    projection = projection.reshape(-1, before, r, after)
    projection = np.einsum("narb,rs->nasb", projection, theirs)
    width = before * new * after
    return core, gram.reshape(width, width), projection.reshape(-1, width)
