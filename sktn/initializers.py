"""Starts of a chain. NumPy: a few random numbers are not worth a compilation.

All share one signature, so that each can be the `init` of an estimator:

    init(rng, n_cores, bond_dim, n_outputs, mask, dtype) -> arms (h, 2, D, d, D), readout (D, c, D)

with the arms of :mod:`sktn.networks.mps`, `mask` (h, 2, d) 1.0 for the components that a site has.
Sites with the constant component alone, padding among them, are the identity.
:func:`functools.partial` sets what a start needs beyond that.

`linear` and `near_constant` are the starts to train from. The others take their scale from a basis
of unit second moments, so that scores begin at order one for any number of sites; most of their
gradients are small on long chains, which is why `near_constant` is the default.

Examples
--------
>>> import numpy as np
>>> from sktn import initializers
>>> rng, mask = np.random.default_rng(0), np.ones((3, 2, 2))  # arms of three sites, d = 2
>>> arms, readout = initializers.near_constant(rng, 6, 4, 1, mask, np.float64)
>>> arms.shape, readout.shape
((3, 2, 4, 2, 4), (4, 1, 4))
"""

import numpy as np


def near_constant(rng, n_cores, bond_dim, n_outputs, mask, dtype, noise=0.3):
    """Identity on the constant component, small noise on the others: the constant function 0 with
    every gradient alive.

    mask (h, 2, d) -> arms (h, 2, D, d, D), readout (D, c, D)
    """
    vectors = np.zeros(mask.shape)
    vectors[..., 0] = 1
    return product_state(rng, n_cores, bond_dim, n_outputs, mask, dtype, vectors, noise)


def product_state(rng, n_cores, bond_dim, n_outputs, mask, dtype, vectors, noise=0.3):
    """D copies of the product state of `vectors`, A_i^s = v_is 1, and small noise.

    The noise falls as 1 / sqrt(n D d), so that the plain squared norm of what is not constant
    starts at order one for any number of sites: 2,000 features start as finite as 4.

    vectors (h, 2, d), mask (h, 2, d) -> arms (h, 2, D, d, D), readout (D, c, D)
    """
    scale = mask * noise / np.sqrt(n_cores * bond_dim * _components(mask))
    arms = _normal(rng, bond_dim, mask) * scale[:, :, None, :, None]
    arms[:, :, np.arange(bond_dim), :, np.arange(bond_dim)] += vectors * mask
    readout = rng.standard_normal((bond_dim, n_outputs, bond_dim)) / np.sqrt(bond_dim)
    readout[0, :, 0] = 0
    return arms.astype(dtype), readout.astype(dtype)


def identity(rng, n_cores, bond_dim, n_outputs, mask, dtype, noise=0.1):
    """The same identity on every component, A_i^s = 1 / sqrt(d_i), and noise.

    mask (h, 2, d) -> arms (h, 2, D, d, D), readout (D, c, D)
    """
    vectors = mask / np.sqrt(_components(mask))
    return product_state(rng, n_cores, bond_dim, n_outputs, mask, dtype, vectors, noise)


def copy(rng, n_cores, bond_dim, n_outputs, mask, dtype, noise=0.1):
    """The copy tensor, A_i^s[l, r] = 1 where l = s = r, and noise: a sum over k of the products of
    all k-th components.

    mask (h, 2, d) -> arms (h, 2, D, d, D), readout (D, c, D)
    """
    arms = noise * _gaussian_arms(rng, bond_dim, mask)
    k = np.arange(min(bond_dim, mask.shape[-1]))
    arms[:, :, k, k, k] += mask[..., k]
    return _finished(arms, rng, n_outputs, mask, dtype)


def gaussian(rng, n_cores, bond_dim, n_outputs, mask, dtype, scale=1.0):
    """Normal entries of variance scale^2 / (D d_i), which keep the size of the bond vectors.

    mask (h, 2, d) -> arms (h, 2, D, d, D), readout (D, c, D)
    """
    arms = scale * _gaussian_arms(rng, bond_dim, mask)
    return _finished(arms, rng, n_outputs, mask, dtype)


def isometric(rng, n_cores, bond_dim, n_outputs, mask, dtype):
    """Random isometries, sum_ls A[l, s, r] A[l, s, r'] = 1: the canonical form of a random chain.

    Gram-Schmidt on normal columns, which is uniform over the isometries (Mezzadri, Notices of the
    AMS 54, 2007); square ones are orthogonal matrices.

    mask (h, 2, d) -> arms (h, 2, D, d, D), readout (D, c, D)
    """
    arms = _gaussian_arms(rng, bond_dim, mask)
    D, d = arms.shape[2:4]
    Q, R = np.linalg.qr(arms.reshape(*arms.shape[:2], D * d, D))
    Q = Q * np.sign(np.diagonal(R, axis1=-2, axis2=-1))[..., None, :]
    # The rows of components that are not there are 0 but for rounding.
    Q = Q.reshape(arms.shape) * mask[:, :, None, :, None]
    return _finished(Q, rng, n_outputs, mask, dtype)


def ones(rng, n_cores, bond_dim, n_outputs, mask, dtype, noise=0.1):
    """All entries equal, 1 / (D sqrt(d_i)), and noise: bond dimension 1 until the noise has grown.

    mask (h, 2, d) -> arms (h, 2, D, d, D), readout (D, c, D)
    """
    scale = mask / (bond_dim * np.sqrt(_components(mask)))
    arms = noise * _gaussian_arms(rng, bond_dim, mask) + scale[:, :, None, :, None]
    return _finished(arms, rng, n_outputs, mask, dtype)


def zeros(rng, n_cores, bond_dim, n_outputs, mask, dtype, noise=0.1):
    """Noise around 0 alone. A product of n small numbers: for short chains only.

    mask (h, 2, d) -> arms (h, 2, D, d, D), readout (D, c, D)
    """
    return gaussian(rng, n_cores, bond_dim, n_outputs, mask, dtype, scale=noise)


def linear(rng, n_cores, bond_dim, n_outputs, mask, dtype, model, noise=0.0):
    """A linear model, f_c(x) = b_c + sum_is w_isc phi_is(x_i), exactly; needs D >= c + 1.

    Bond index 0 carries the constant, index 1 + c the partial sum of output c; with noise the
    others are those of `near_constant`.

    model: weights (h, 2, d, c) and intercept (c,), mask (h, 2, d)
    -> arms (h, 2, D, d, D), readout (D, c, D)
    """
    weights, intercept = model
    if bond_dim < n_outputs + 1:
        raise ValueError(
            f"A linear model of {n_outputs} outputs needs bond_dim >= {n_outputs + 1}, "
            f"got {bond_dim}."
        )
    arms, readout = near_constant(rng, n_cores, bond_dim, n_outputs, mask, dtype, noise)
    sums = slice(1, n_outputs + 1)
    arms[:, :, 0, :, sums] += (weights * mask[..., None]).astype(dtype)
    readout[...] *= noise
    for c in range(n_outputs):
        readout[0, c, 0] = intercept[c]
        readout[1 + c, c, 0] += 1
        readout[0, c, 1 + c] += 1
    return arms, readout


#: Starts that need nothing but their common arguments, by the names that estimators know.
STARTS = {
    "constant": near_constant,
    "identity": identity,
    "copy": copy,
    "gaussian": gaussian,
    "isometric": isometric,
    "ones": ones,
    "zeros": zeros,
}


def _components(mask):
    """Components of every site, (h, 2, 1)."""
    return np.maximum(np.sum(mask, axis=-1, keepdims=True), 1)


def _normal(rng, bond_dim, mask):
    h, _, d = mask.shape
    return rng.standard_normal((h, 2, bond_dim, d, bond_dim))


def _gaussian_arms(rng, bond_dim, mask):
    scale = mask / np.sqrt(bond_dim * _components(mask))
    return _normal(rng, bond_dim, mask) * scale[:, :, None, :, None]


def _finished(arms, rng, n_outputs, mask, dtype):
    """Identities where there is the constant alone, and a random readout."""
    D, d = arms.shape[2:4]
    alone = np.zeros((D, d, D))
    alone[:, 0] = np.eye(D)
    arms = np.where(mask.sum(axis=-1)[..., None, None, None] > 1, arms, alone)
    readout = rng.standard_normal((D, n_outputs, D)) / D
    return arms.astype(dtype), readout.astype(dtype)
