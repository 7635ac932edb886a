"""Sums of product states -> matrix product states: what turns a kernel expansion into a chain.

    f_c(x) = sum_m beta_mc prod_i <a_mi, x_i>   ->   the chain of bond dimension D nearest to it

in the Frobenius norm of the weight tensor. The start is randomised: the far side of every cut is
replaced by its contraction with a random chain (after Al Daas et al., "Randomized algorithms for
rounding in the tensor-train format", SIAM J. Sci. Comput. 2023). Sweeps then replace the random
chain by the far side's own best basis, and converge to a variational optimum. A sweep costs
about as much as contracting m rows with the chain: O(m n d D^2).

The constant path (all first components, which are 1) has bond index 0 of every core for itself:
the constant of f_c is then exactly readout[0, c, 0], which a ridge leaves free.

Arrays with an axis of terms live where the executor computes, a device for many terms; cores and
the decompositions that choose them stay on the host.
"""

import numpy as np

from sktn.backend import executor_for, namespace
from sktn.networks.linalg import outer
from sktn.networks.trail import Trail

# Sweeps end when one adds less than this share to the squared norm that the chain keeps.
SETTLED = 0.05


def compress(left, right, beta, bond_dim, rng, sweeps=3):
    """Chain of isometries nearest to a sum of product states, after at most so many sweeps.

    left, right: p and q arrays (m, d), the site vectors left and right of the output, each in order
    from the end of the chain towards the output; beta (m, c)
    -> left arm (p, D, d, D), right arm (q, D, d, D), readout (D, c, D)
    """
    d = (*left, *right)[0].shape[1]
    run = executor_for(len(beta) * bond_dim * d)
    with run.precision(beta.dtype):
        arms, beta = [[run.put_rows(x) for x in arm] for arm in (left, right)], run.put_rows(beta)
        (left_arm, _), (right_arm, _), readout = _arms(run, arms, beta, bond_dim, rng, sweeps)
    shape = (-1, bond_dim, d, bond_dim)
    return left_arm.reshape(shape), right_arm.reshape(shape), readout


def _arms(run, arms, beta, bond_dim, rng, sweeps):
    """Cores and states of both arms, as of :func:`_grow`, and the readout.

    arms: lists of arrays (m, d), of the lengths p and q
    """
    sketch = bond_dim + 8
    beyond_output = [_random_far_side(run, arms[1 - t], beta, sketch, rng) for t in (0, 1)]
    grown = []
    for arm, far in zip(arms, beyond_output, strict=True):
        grown.append(_grow(run, arm, _random_far_sides(run, arm, far, sketch, rng), bond_dim))
    readout = _read_out(run, grown, beta)
    for _ in range(sweeps):
        for t in (0, 1):
            far = run.jit(outer)(grown[1 - t][1].last, beta)
            far_sides = _far_sides(run, arms[t], grown[t][1], far, bond_dim)
            grown[t] = _grow(run, arms[t], far_sides, bond_dim)
        before, readout = readout, _read_out(run, grown, beta)
        if varying(readout) - varying(before) <= SETTLED * varying(readout):
            break
    return *grown, readout


def _random_far_sides(run, arm, far, sketch, rng):
    """A random projection of what lies beyond every site, from that beyond the output: (m, j)
    -> Trail from the output to the end"""
    cores = []

    def step(k, far):
        return run.jit(absorbed)(far, cores[k], arm[-1 - k])

    found = _trail(far, step, len(arm))
    for k, x in enumerate(arm[:0:-1]):
        cores.append(_random_core(x, far, sketch, rng))
        far = step(k, far)
        found.append(far)
    return found


def _far_sides(run, arm, states, far, rank):
    """What lies beyond every site in its own best basis, the states (m, D) of the arm on this side
    of it given: they are let go. far (m, j): beyond the output -> Trail from the output to the end
    """
    bases = [far_basis(run, states.pop(), far, rank)]

    def step(k, far):
        return run.jit(times)(run.jit(outer)(arm[-1 - k], far), bases[k + 1])

    far = run.jit(times)(far, bases[0])
    found = _trail(far, step, len(arm))
    for x in arm[:0:-1]:
        far = run.jit(outer)(x, far)
        bases.append(far_basis(run, states.pop(), far, rank))
        far = run.jit(times)(far, bases[-1])
        found.append(far)
    return found


def _trail(first, step, n_states):
    return Trail(first, step, n_states, first.size * first.dtype.itemsize)


def _read_out(run, grown, beta):
    (_, l), (_, r) = grown
    return run.get(run.jit(readout_of)(l.last, beta, r.last))


def varying(readout):
    """The squared norm without the constant: readout (D, c, D) -> float"""
    readout = np.asarray(readout, np.float64)
    return float((readout**2).sum() - (readout[0, :, 0] ** 2).sum())


def readout_of(l, beta, r):
    """sum_m l_m beta_m r_m: l (m, D), beta (m, c), r (m, D) -> (D, c, D)"""
    return (outer(l, beta).T @ r).reshape(l.shape[1], -1, r.shape[1])


def _absorb(vectors, core, x):
    """sum_s (v A^s) x_s: vectors (m, k), core (d, k, j), x (m, d) -> (m, j)"""
    return outer(x, vectors) @ core.reshape(-1, core.shape[2])


def _normalised(x):
    xp = namespace(x)
    return x / xp.maximum(xp.abs(x).max(), float(np.finfo(x.dtype).tiny))


def absorbed(vectors, core, x):
    return _normalised(_absorb(vectors, core, x))


def _random_core(x, far, sketch, rng):
    return rng.standard_normal((x.shape[1], far.shape[1], sketch)).astype(x.dtype)


def _random_far_side(run, arm, beta, sketch, rng):
    """A random projection of (all of the other arm) x beta: (m, sketch)."""
    far = run.put_rows(np.ones((len(beta), 1), beta.dtype))
    for x in arm:
        far = run.jit(absorbed)(far, _random_core(x, far, sketch, rng), x)
    mixing = rng.standard_normal((beta.shape[1] * far.shape[1], sketch)).astype(beta.dtype)
    return run.jit(projected)(beta, far, mixing)


def projected(beta, far, mixing):
    return outer(beta, far) @ mixing


def reduced(run, state, far, rank):
    """far in its best basis: state (m, k), far (m, j) -> (m, at most rank)"""
    return run.jit(times)(far, far_basis(run, state, far, rank))


def far_basis(run, state, far, rank):
    """The leading right singular vectors of state^T far: state (m, k), far (m, j)
    -> (j, at most rank)"""
    matrix = run.get(run.jit(_products)(state, far))
    return np.linalg.svd(matrix, full_matrices=False)[2][:rank].T


def _products(state, far):
    return state.T @ far


def times(far, basis):
    return far @ basis


def _grow(run, arm, far_sides, D):
    """One pass from the end to the output: at every site the D directions that matter most to
    what lies beyond it, the constant path among them.

    arm: p arrays (m, d), far_sides: Trail of (m, j) from the output to the end
    -> cores (p, D d, D), states: Trail of p + 1 arrays (m, D)
    """
    m, dtype = len(far_sides.last), far_sides.last.dtype
    d = arm[0].shape[1] if arm else 1
    start, cores, used = np.zeros((m, D), dtype), np.zeros((len(arm), D * d, D), dtype), 1
    start[:, 0] = 1

    def step(k, state):
        Y = run.jit(outer)(state, arm[k])
        return run.jit(times)(Y, cores[k])

    state = run.put_rows(start)
    states = _trail(state, step, len(arm) + 1)
    for core, x in zip(cores, arm, strict=True):
        far = far_sides.pop()
        # Columns of states that are zero need not be looked at.
        Y, overlap = run.jit(seen, static=("used",))(state, x, far, used=used)
        U = leading(np.array(run.get(overlap)), D)
        core[0, 0] = 1
        core[1 : used * d, 1 : 1 + U.shape[1]] = U[1:]
        state = run.jit(times)(Y, core[: used * d])
        states.append(state)
        used = 1 + U.shape[1]
    return cores, states


def leading(overlap, D):
    """At most D - 1 directions that matter most, orthogonal to the constant path in row 0, which
    is kept beside them: overlap (k, j) -> (k, at most D - 1)"""
    overlap[0] = 0
    U, s, _ = np.linalg.svd(overlap, full_matrices=False)
    # Directions that carry nothing stay zero, and do not count as bond dimension.
    U = U[:, : D - 1][:, s[: D - 1] > 4 * np.finfo(s.dtype).eps * max(s[0], 1e-30)]
    # A singular vector has no sign: its largest component is positive.
    return U * np.sign(U[np.abs(U).argmax(axis=0), np.arange(U.shape[1])])


def seen(state, x, far, used):
    """The vectors that a core is multiplied by, and their products with what lies beyond.

    state (m, D), x (m, d), far (m, j) -> (m, used d), (used d, j)
    """
    Y = outer(state[:, :used], x)
    return Y, Y.T @ far
