"""Chains by gradients: the loss of all cores at once, and networks in and out of its parameters."""

import jax
import jax.numpy as jnp
import numpy as np

from sktn import losses
from sktn.networks import folding, mps
from sktn.solvers import gradient
from sktn.tables.basis import embed


def chain_loss(params, batch, weight, context):
    """The mean loss of the scores plus the ridge in function space, summed over the k networks of
    an ensemble.

    params: arms (k, h, 2, D, d, D), readout (k, D, c, D); batch: coords (b, n, channels), target
    (b, ...); weight (b,); context: basis, index (k, h, 2), roots sqrt(g) (n, d), ridge = alpha
    ridge_share / sum of all weights, loss. The arms are those for weighted inputs phi / sqrt(g):
    there all entries are of one size, which an optimiser with one learning rate needs, and J is the
    plain squared norm.
    """
    phi = embed(context["basis"], batch["coords"]) / context["roots"]
    ones = jnp.ones((*context["index"].shape[1:], phi.shape[-1]), phi.dtype)

    def one(arms, readout, index):
        out, log_scale = mps.contract_arms(arms, readout, folding.fold_inputs(phi, index))
        scores = out * jnp.exp(log_scale)[:, None]
        value = losses.weighted_mean(context["loss"].values(scores, batch["target"]), weight)
        penalty = mps.mean_and_penalty(arms, readout, ones)[1]
        return value + context["ridge"] * penalty

    return jax.vmap(one)(params["arms"], params["readout"], context["index"]).sum()


def context_of(problem, orders, output_site):
    """What `chain_loss` needs beyond parameters and rows."""
    index = np.stack([folding.site_index(problem.n_sites, output_site, order) for order in orders])
    ridge = problem.alpha * problem.loss.ridge_share / max(problem.total_weight, 1e-300)
    return {
        "basis": problem.basis,
        "index": index,
        "roots": problem.roots,
        "ridge": np.asarray(ridge, problem.dtype),
        "loss": jax.tree.map(lambda number: np.asarray(number, problem.dtype), problem.loss),
    }


def rows_of(problem):
    """The batch of all rows."""
    return {"coords": np.asarray(problem.coords), "target": problem.target}


def objective(problem, context):
    """`chain_loss` on all rows."""
    return gradient.Objective(chain_loss, rows_of(problem), problem.weight, context)


def params_of(networks, problem, bond_dim):
    """Parameters of `chain_loss` from networks for site vectors phi."""
    padded = [network.scaled(problem.roots).padded(bond_dim) for network in networks]
    arms, readout = (np.stack(part) for part in zip(*padded, strict=True))
    return {"arms": arms, "readout": readout}


def networks_of(params, orders, output_site, problem):
    """Inverse of `params_of`."""
    params = jax.tree.map(np.asarray, params)
    networks = []
    for arms, readout, order in zip(params["arms"], params["readout"], orders, strict=True):
        index = folding.site_index(len(order), output_site, order)
        arms, readout = folding.absorb_padding(arms, readout, index, len(order))
        network = mps.from_padded(arms, readout, order, output_site)
        networks.append(network.scaled(1 / problem.roots))
    return networks


def started(start, rng, problem, orders, output_site, bond_dim):
    """Parameters from a function of `initializers`, for every network of an ensemble."""
    n, d = problem.basis.mask.shape
    mask = np.concatenate([problem.basis.mask, np.eye(1, d, dtype=problem.basis.mask.dtype)])
    starts = [
        start(
            rng,
            n,
            bond_dim,
            problem.n_scores,
            mask[folding.site_index(n, output_site, order)],
            problem.dtype,
        )
        for order in orders
    ]
    arms, readout = (np.stack(part) for part in zip(*starts, strict=True))
    return {"arms": arms, "readout": readout}


def held_out_batch(problem):
    """Rows, weights and context of a validation: padded to a multiple of 64 rows, so that folds of
    nearly one size share a program."""
    size = -(-problem.n_rows // 64) * 64
    return gradient.pad_rows((rows_of(problem), problem.weight), problem.n_rows, size)
