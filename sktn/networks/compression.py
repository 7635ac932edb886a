"""Sums of product states -> matrix product states: what turns a kernel expansion into a chain.

    f_c(x) = sum_m beta_mc prod_i <a_mi, x_i>   ->   the chain of bond dimension D nearest to it

in the Frobenius norm of the weight tensor. The start is randomised: the far side of every cut is
replaced by its contraction with a random chain (after Al Daas et al., "Randomized algorithms for
rounding in the tensor-train format", SIAM J. Sci. Comput. 2023). Sweeps then replace the random
chain by the far side's own best basis, and converge to the variational optimum. A sweep costs
about as much as contracting m rows with the chain: O(m n d D^2).

The constant path (all first components, which are 1) has bond index 0 of every core for itself:
the constant of f_c is then exactly readout[0, c, 0], which a ridge leaves free.
"""

from functools import partial

import jax
import jax.numpy as jnp

from sktn.networks.linalg import power_of_two_scale


@partial(jax.jit, static_argnames=("bond_dim", "sweeps"))
def compress(terms, beta, key, bond_dim, sweeps=3):
    """Chain of isometries nearest to a sum of product states.

    terms a (h, 2, m, d) folded as in `mps.fold_inputs`, beta (m, c)
    -> arms (h, 2, D, d, D), readout (D, c, D), captured share of the squared norm of f without
       its constant () given the full one by the caller: here the squared norm of the readout
    """
    h, _, m, d = terms.shape
    D, sketch = bond_dim, bond_dim + 8
    keys = jax.random.split(key, 3)
    random_cores = jax.random.normal(keys[0], (h, 2, sketch, d, sketch), terms.dtype)
    far = _absorb_all(jnp.ones((2, m, sketch), terms.dtype), random_cores, terms)
    mixing = jax.random.normal(keys[1], (2, sketch, beta.shape[1], sketch), terms.dtype)
    # What arm 0 sees beyond the output is arm 1 times beta, and the other way round.
    far = jnp.einsum("tmk,mc,tkcj->tmj", far[::-1], beta, mixing)
    random_cores = jax.random.normal(keys[2], (h, 2, sketch, d, sketch), terms.dtype)

    def sketch_site(far, site):
        x, G = site
        far = _normalise(jnp.einsum("tmk,tksj,tms->tmj", far, G, x))
        return far, far

    # far_sides[k] is what lies beyond site k, seen from the end of the arm.
    _, beyond = jax.lax.scan(sketch_site, far, (terms[1:], random_cores[1:]), reverse=True)
    arms, near = _grow(terms, jnp.concatenate([beyond, far[None]]), D)

    for _ in range(sweeps):
        # (far arm x beta), flattened: (2, m, c D).
        far = (near[-1, ::-1][:, :, None, :] * beta[:, :, None]).reshape(2, m, -1)
        far = far @ _right_basis(jnp.swapaxes(near[-1], 1, 2) @ far, D)

        def far_basis(far, site):
            x, states = site
            Y = (x[..., :, None] * far[..., None, :]).reshape(2, m, -1)
            far = Y @ _right_basis(jnp.swapaxes(states, 1, 2) @ Y, D)
            return far, far

        # near[k] holds the states after site k: a cut lies between near[k-1] and site k.
        _, beyond = jax.lax.scan(far_basis, far, (terms[1:], near[:-1]), reverse=True)
        arms, near = _grow(terms, jnp.concatenate([beyond, far[None]]), D)

    return arms, jnp.einsum("ml,mc,mr->lcr", near[-1, 0], beta, near[-1, 1])


def _right_basis(matrix, rank):
    """The leading right singular vectors, (t, k, j) -> (t, j, rank), zero-padded."""
    Vt = jnp.linalg.svd(matrix, full_matrices=False)[2][:, :rank]
    return jnp.pad(jnp.swapaxes(Vt, 1, 2), ((0, 0), (0, 0), (0, rank - Vt.shape[1])))


def _normalise(x):
    return x / power_of_two_scale(x, axis=(1, 2))


def _absorb_all(vectors, cores, terms):
    def absorb(vectors, site):
        core, x = site
        return _normalise(jnp.einsum("tmk,tksj,tms->tmj", vectors, core, x)), None

    return jax.lax.scan(absorb, vectors, (cores, terms))[0]


def _grow(terms, beyond, D):
    """One pass from the ends to the output: at every site the D directions that matter most to
    what lies beyond it, the constant path among them.

    terms (h, 2, m, d), beyond (h, 2, m, j) -> arms (h, 2, D, d, D), states (h, 2, m, D)
    """
    _, _, m, d = terms.shape
    start = jnp.zeros((2, m, D), terms.dtype).at[:, :, 0].set(1)

    def site(states, xs):
        x, far = xs
        Y = (states[:, :, :, None] * x[:, :, None, :]).reshape(2, m, D * d)
        overlap = jnp.swapaxes(Y, 1, 2) @ far
        # Row 0 is the constant path, kept exactly: the others are chosen orthogonal to it.
        U, s, _ = jnp.linalg.svd(overlap.at[:, 0].set(0), full_matrices=False)
        U, s = U[:, :, : D - 1], s[:, : D - 1]
        # Directions that carry nothing stay zero, so that they do not count as bond dimension.
        eps = jnp.finfo(s.dtype).eps
        U = jnp.where((s > 4 * eps * s[:, :1])[:, None], U, 0).at[:, 0].set(0)
        U = jnp.pad(U, ((0, 0), (0, 0), (1, D - 1 - U.shape[2]))).at[:, 0, 0].set(1)
        states = Y @ U
        return states, (U.reshape(2, D, d, D), states)

    return jax.lax.scan(site, start, (terms, beyond))[1]
