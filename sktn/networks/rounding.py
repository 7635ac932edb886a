"""Sums of product states -> matrix product states: what turns a kernel expansion into a chain.

    f_c(x) = sum_m beta_mc prod_i <a_mi, x_i>   ->   the chain of bond dimension D nearest to it

in the Frobenius norm of the weight tensor. The start is randomised: the far side of every cut is
replaced by its contraction with a random chain (after Al Daas et al., "Randomized algorithms for
rounding in the tensor-train format", SIAM J. Sci. Comput. 2023). Sweeps then replace the random
chain by the far side's own best basis, and converge to a variational optimum. A sweep costs
about as much as contracting m rows with the chain: O(m n d D^2).

The constant path (all first components, which are 1) has bond index 0 of every core for itself:
the constant of f_c is then exactly readout[0, c, 0], which a ridge leaves free.

NumPy, for the reasons of `solvers.convex`, its caller.
"""

import numpy as np


def compress(left, right, beta, bond_dim, rng, sweeps=3):
    """Chain of isometries nearest to a sum of product states.

    left (p, m, d), right (q, m, d): the site vectors left and right of the output, each in order
    from the end of the chain towards the output; beta (m, c)
    -> left arm (p, D, d, D), right arm (q, D, d, D), readout (D, c, D)
    """
    arms = [left, right]
    sketch = bond_dim + 8
    beyond_output = [_random_far_side(arms[1 - t], beta, sketch, rng) for t in (0, 1)]
    grown = []
    for arm, far in zip(arms, beyond_output, strict=True):
        far_sides = [far]
        for x in arm[:0:-1]:
            G = rng.standard_normal((x.shape[1], far.shape[1], sketch)).astype(x.dtype)
            far = _normalised(_absorb(far, G, x))
            far_sides.append(far)
        grown.append(_grow(arm, far_sides[::-1], bond_dim))
    for _ in range(sweeps):
        for t in (0, 1):
            states = grown[t][1]
            other = grown[1 - t][1][-1]
            far = (other[:, :, None] * beta[:, None, :]).reshape(len(beta), -1)
            far = far @ _right_basis(states[-1].T @ far, bond_dim)
            far_sides = [far]
            for x, state in zip(arms[t][:0:-1], states[-2:0:-1], strict=True):
                Y = _outer(x, far)
                far = Y @ _right_basis(state.T @ Y, bond_dim)
                far_sides.append(far)
            grown[t] = _grow(arms[t], far_sides[::-1], bond_dim)
    (left_arm, left_states), (right_arm, right_states) = grown
    l, r = left_states[-1], right_states[-1]
    D = bond_dim
    products = (l[:, :, None] * beta[:, None, :]).reshape(len(beta), -1)
    return left_arm, right_arm, (products.T @ r).reshape(D, -1, D)


def _outer(x, y):
    """Row-wise Kronecker product (m, i), (m, j) -> (m, i j)."""
    return (x[:, :, None] * y[:, None, :]).reshape(len(x), -1)


def _absorb(vectors, core, x):
    """sum_s (v A^s) x_s: vectors (m, k), core (d, k, j), x (m, d) -> (m, j)"""
    return _outer(x, vectors) @ core.reshape(-1, core.shape[2])


def _normalised(x):
    return x / max(float(np.abs(x).max()), np.finfo(x.dtype).tiny)


def _random_far_side(arm, beta, sketch, rng):
    """A random projection of (all of the other arm) x beta: (m, sketch)."""
    m = len(beta)
    far = np.ones((m, 1), beta.dtype)
    for x in arm:
        G = rng.standard_normal((x.shape[1], far.shape[1], sketch)).astype(beta.dtype)
        far = _normalised(_absorb(far, G, x))
    mixing = rng.standard_normal((beta.shape[1] * far.shape[1], sketch)).astype(beta.dtype)
    return _outer(beta, far) @ mixing


def _right_basis(matrix, rank):
    """The leading right singular vectors, (k, j) -> (j, at most rank)."""
    return np.linalg.svd(matrix, full_matrices=False)[2][:rank].T


def _grow(arm, far_sides, D):
    """One pass from the end to the output: at every site the D directions that matter most to
    what lies beyond it, the constant path among them.

    arm (p, m, d), far_sides: p arrays (m, j) -> cores (p, D, d, D), states: p + 1 arrays (m, D)
    """
    p, m, d = arm.shape
    states = [np.zeros((m, D), arm.dtype)]
    states[0][:, 0] = 1
    cores = np.zeros((p, D, d, D), arm.dtype)
    # An empty arm has one far side, and no site that looks at it.
    for k, (x, far) in enumerate(zip(arm, far_sides[:p], strict=True)):
        # Columns (l, s) of states that are zero need not be looked at.
        used = max(1, int(np.flatnonzero(np.any(states[k] != 0, axis=0)).max(initial=0)) + 1)
        Y = _outer(states[k][:, :used], x)
        overlap = Y.T @ far
        # Row 0 is the constant path, kept exactly: the others are chosen orthogonal to it.
        overlap[0] = 0
        U, s, _ = np.linalg.svd(overlap, full_matrices=False)
        # Directions that carry nothing stay zero, and do not count as bond dimension.
        U = U[:, : D - 1][:, s[: D - 1] > 4 * np.finfo(s.dtype).eps * max(s[0], 1e-30)]
        # A singular vector has no sign: its largest component is positive.
        U = U * np.sign(U[np.abs(U).argmax(axis=0), np.arange(U.shape[1])])
        core = np.zeros((used * d, D), arm.dtype)
        core[0, 0] = 1
        core[1:, 1 : 1 + U.shape[1]] = U[1:]
        cores[k, :used] = core.reshape(used, d, D)
        states.append(Y @ core)
    return cores, states
