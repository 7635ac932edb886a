"""Training a chain: losses, the choice of the strength, parameters in and out of an estimator.
Between the solvers, which know arrays only, and the estimators."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.model_selection import StratifiedKFold, train_test_split

from sktn import losses
from sktn.initializers import STARTS
from sktn.networks import mps
from sktn.solvers import convex_chain
from sktn.tables.basis import embed

# The strengths that alpha="auto" chooses from, strongest first.
ALPHAS = tuple(float(a) for a in 10.0 ** np.arange(0.5, -3.6, -0.5))


def chain_loss(params, batch, weight, context, *, loss):
    """A loss of the scores plus the ridge in function space, summed over the k networks of an
    ensemble. `CHAIN_LOSSES` holds one such function for every loss.

    params: arms (k, h, 2, D, d, D), readout (k, D, c, D); batch: coords (b, n, channels), target
    (b, ...); weight (b,); context: basis, index (k, h, 2), g (n, d), ridge = alpha / sum of all
    weights, shape: number that the loss takes. The arms are those for weighted inputs
    phi / sqrt(g): there all entries are of one size, which an optimiser with one learning rate
    needs, and J is the plain squared norm.
    """
    phi = embed(context["basis"], batch["coords"]) / jnp.sqrt(context["g"])
    ones = jnp.ones((*context["index"].shape[1:], phi.shape[-1]), phi.dtype)

    def one(arms, readout, index):
        out, log_scale = mps.contract_arms(arms, readout, mps.fold_inputs(phi, index))
        scores = out * jnp.exp(log_scale)[:, None]
        value = loss(scores, batch["target"], weight, context["shape"])
        penalty = mps.mean_and_penalty(arms, readout, ones)[1]
        return value + context["ridge"] * penalty

    return jax.vmap(one)(params["arms"], params["readout"], context["index"]).sum()


# Functions of a compiled program are compared by identity: one object for each loss.
CHAIN_LOSSES = {
    "cross_entropy": partial(chain_loss, loss=losses.cross_entropy),
    "squared_error": partial(chain_loss, loss=losses.squared_error),
    "huber": partial(chain_loss, loss=losses.huber),
    "pinball": partial(chain_loss, loss=losses.pinball),
    "poisson": partial(chain_loss, loss=losses.poisson),
}


def choose_alpha(basis, coords, g, objective, weight, rows, folds, rng, alphas):
    """The strength of smallest out-of-fold loss in the convex limit: all strengths and folds in one
    lockstep solve, in float32.

    coords (N, n, k), g (n, d), objective on N rows, weight (N,), rows: the indices that take part,
    folds (len(rows),) -> float, its out-of-fold scores (len(rows), c)
    """
    scores, found = search_losses(
        basis, coords[rows], g, objective.take(rows), weight[rows], folds, alphas, 500, rng
    )
    best = int(np.argmin(found))
    return float(alphas[best]), scores[best]


def search_rows(weight, max_rows, rng):
    """Rows of positive weight, a random choice of `max_rows` of them where there are more."""
    rows = np.flatnonzero(weight > 0)
    if len(rows) > max_rows:
        rows = np.sort(rng.choice(rows, max_rows, replace=False))
    return rows


def stratified_folds(labels, n_folds, rng):
    """A fold number for every row, or None when some class has a single row."""
    n_folds = min(n_folds, int(np.bincount(labels)[np.unique(labels)].min()))
    if n_folds < 2:
        return None
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=rng.randint(2**31 - 1))
    folds = np.empty(len(labels), dtype=int)
    for k, (_, held_out) in enumerate(splitter.split(labels, labels)):
        folds[held_out] = k
    return folds


def random_folds(n_rows, n_folds, rng):
    """A fold number for every row, folds of equal size, or None for a single row."""
    n_folds = min(n_folds, n_rows)
    return rng.permutation(np.arange(n_rows) % n_folds) if n_folds > 1 else None


def search_losses(basis, coords, g, objective, weight, folds, alphas, max_landmarks, rng):
    """`solvers.compressed.search` in float32, design included: scores (A, N, c) and losses (A,) of
    every strength."""
    basis, coords, g = jax.tree.map(_to_float32, (basis, coords, g))
    landmarks = convex_chain.choose_landmarks(weight, max_landmarks, rng)
    design = convex_chain.make_design(basis, coords, g, landmarks)
    return convex_chain.search(design, objective, weight, folds, alphas)


def search_chains(
    basis, coords, g, objective, weight, folds, alphas, index, bond_dim, limit, max_landmarks, rng
):
    """`solvers.compressed.search_chains` in float32, design included."""
    basis, coords, g = jax.tree.map(_to_float32, (basis, coords, g))
    landmarks = convex_chain.choose_landmarks(weight, max_landmarks, rng)
    design = convex_chain.make_design(basis, coords, g, landmarks)
    return convex_chain.search_chains(
        design,
        basis,
        coords,
        g,
        objective,
        weight,
        folds,
        alphas,
        index,
        bond_dim,
        limit,
        np.random.default_rng(rng.randint(2**31 - 1)),
    )


def _to_float32(leaf):
    leaf = np.asarray(leaf)
    return leaf.astype(np.float32) if leaf.dtype.kind == "f" else leaf


def split_rows(n_rows, fraction, labels, rng):
    """Training and held-out rows, stratified by labels where there are some and every class allows
    it."""
    if n_rows < 2:
        raise ValueError("early_stopping=True needs at least 2 rows.")
    rows, stratify = np.arange(n_rows), None
    n_held_out = max(1, int(np.ceil(fraction * n_rows)))
    if labels is not None:
        counts = np.bincount(labels)
        if counts[counts > 0].min() > 1 and n_held_out >= len(counts):
            stratify = labels
    return train_test_split(
        rows, test_size=n_held_out, stratify=stratify, random_state=rng.randint(2**31 - 1)
    )


def _input_scale(g, index):
    """sqrt(g) along the arms, 1 on padding sites: (h, 2, 1, d, 1)"""
    padded = np.concatenate([g, np.ones((1, g.shape[1]), g.dtype)])
    return np.sqrt(padded)[index][:, :, None, :, None]


def chain_params(networks, g):
    """Networks -> parameters of `chain_loss`, which are for weighted inputs."""
    return {
        "arms": np.stack([net["arms"] * _input_scale(g, net["index"]) for net in networks]),
        "readout": np.stack([net["readout"] for net in networks]),
    }


def chain_networks(params, indices, g):
    """Inverse of `chain_params`, with identities on the padding sites."""
    params = jax.tree.map(np.asarray, params)
    networks = []
    for arms, readout, index in zip(params["arms"], params["readout"], indices, strict=True):
        arms, readout = mps.absorb_padding(arms, readout, index, len(g))
        networks.append({"arms": arms / _input_scale(g, index), "readout": readout, "index": index})
    return networks


def chain_context(basis, g, ridge, total_weight, indices, shape, dtype):
    return {
        "basis": basis,
        "g": g,
        "index": indices,
        "ridge": np.asarray(ridge / max(total_weight, 1e-300), dtype),
        "shape": np.asarray(shape, dtype),
    }


def initial_params(rng, basis, indices, bond_dim, n_scores, dtype, init="constant"):
    """The start of every network of an ensemble, for weighted inputs.

    `init`: a name in `initializers.STARTS`, or a function of the same signature.
    """
    init = init if callable(init) else STARTS[init]
    n, d = basis.mask.shape
    mask = np.concatenate([basis.mask, np.eye(1, d, dtype=basis.mask.dtype)])
    starts = [init(rng, n, bond_dim, n_scores, mask[index], dtype) for index in indices]
    arms, readout = (np.stack(part) for part in zip(*starts, strict=True))
    return {"arms": arms, "readout": readout}
