"""Starts of a chain."""

import jax
import jax.numpy as jnp


def near_constant(key, n_cores, bond_dim, n_outputs, mask, dtype, noise=0.3):
    """Identity on the constant component, small noise on the others: the constant function 0 with
    every gradient alive.

    The noise falls as 1 / sqrt(n D d), so that the plain squared norm of what is not constant
    starts at order one for any number of sites: 2,000 features start as finite as 4.

    mask (h, 2, d) -> arms (h, 2, D, d, D), readout (D, c, D)
    """
    key_arms, key_readout = jax.random.split(key)
    h, _, d = mask.shape
    D = bond_dim
    components = jnp.maximum(jnp.sum(mask, axis=-1, keepdims=True), 1)
    scale = mask * noise / jnp.sqrt(n_cores * D * components)
    arms = jax.random.normal(key_arms, (h, 2, D, d, D), dtype) * scale[:, :, None, :, None]
    arms = arms.at[:, :, :, 0, :].add(jnp.eye(D, dtype=dtype))
    readout = jax.random.normal(key_readout, (D, n_outputs, D), dtype) / D**0.5
    return arms.astype(dtype), readout.at[0, :, 0].set(0)
