"""Training a chain for classification: the loss, the choice of its strength, parameters in and
out of an estimator. Between the solvers, which know arrays only, and the estimators."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.model_selection import StratifiedKFold, train_test_split

from sktn.basis import embed
from sktn.initializers import STARTS
from sktn.losses import cross_entropy
from sktn.networks import mps
from sktn.solvers import compressed

# The strengths that alpha="auto" chooses from, strongest first.
ALPHAS = tuple(float(a) for a in 10.0 ** np.arange(0.5, -3.6, -0.5))


def chain_loss(params, batch, weight, context):
    """Cross-entropy plus the ridge in function space, summed over the k networks of an ensemble.

    params: arms (k, h, 2, D, d, D), readout (k, D, c, D); batch: coords (b, n, channels),
    labels (b,); weight (b,); context: basis, index (k, h, 2), g (n, d), ridge = alpha / sum of all
    weights. The arms are those for weighted inputs phi / sqrt(g): there all entries are of one
    size, which an optimiser with one learning rate needs, and J is the plain squared norm.
    """
    phi = embed(context["basis"], batch["coords"]) / jnp.sqrt(context["g"])
    ones = jnp.ones((*context["index"].shape[1:], phi.shape[-1]), phi.dtype)

    def one(arms, readout, index):
        out, log_scale = mps.contract_arms(arms, readout, mps.fold_inputs(phi, index))
        loss = cross_entropy(out * jnp.exp(log_scale)[:, None], batch["labels"], weight)
        penalty = mps.mean_and_penalty(arms, readout, ones)[1]
        # One score stands for two, see `losses.logits`.
        halved = 0.5 if readout.shape[1] == 1 else 1.0
        return loss + context["ridge"] * halved * penalty

    return jax.vmap(one)(params["arms"], params["readout"], context["index"]).sum()


def choose_alpha(basis, coords, g, labels, n_classes, weight, rng, alphas=ALPHAS, max_rows=3000):
    """The strength of smallest out-of-fold log-loss in the convex limit: all strengths and folds in
    one lockstep solve, in float32, on at most `max_rows` rows.

    coords (N, n, k), g (n, d), labels (N,), weight (N,) -> float
    """
    rows = np.flatnonzero(weight > 0)
    if len(rows) > max_rows:
        rows = np.sort(rng.choice(rows, max_rows, replace=False))
    folds = stratified_folds(labels[rows], 5 if len(rows) < 600 else 3, rng)
    if folds is None:
        return 0.1
    losses = search_losses(
        basis, coords[rows], g, labels[rows], n_classes, weight[rows], folds, alphas, 500, rng
    )[1]
    return float(alphas[int(np.argmin(losses))])


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


def search_losses(basis, coords, g, labels, n_classes, weight, folds, alphas, max_landmarks, rng):
    """`solvers.compressed.search` in float32, design included: log-probabilities (A, N, n_classes)
    and log-losses (A,) of every strength."""
    basis, coords, g = jax.tree.map(_to_float32, (basis, coords, g))
    landmarks = compressed.choose_landmarks(weight, max_landmarks, rng)
    design = compressed.make_design(basis, coords, g, landmarks)
    return compressed.search(design, labels, n_classes, weight, folds, alphas)


def _to_float32(leaf):
    leaf = np.asarray(leaf)
    return leaf.astype(np.float32) if leaf.dtype.kind == "f" else leaf


def split_rows(labels, fraction, rng):
    """Training and held-out rows, stratified where every class allows it."""
    rows = np.arange(len(labels))
    counts = np.bincount(labels)
    n_held_out = max(1, int(np.ceil(fraction * len(rows))))
    stratify = labels if counts[counts > 0].min() > 1 and n_held_out >= len(counts) else None
    if len(rows) < 2:
        raise ValueError("early_stopping=True needs at least 2 rows.")
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


def chain_context(basis, g, alpha, total_weight, indices, dtype):
    ridge = np.asarray(alpha / max(total_weight, 1e-300), dtype)
    return {"basis": basis, "g": g, "index": indices, "ridge": ridge}


def initial_params(rng, basis, indices, bond_dim, n_classes, dtype, init="constant"):
    """The start of every network of an ensemble, for weighted inputs.

    `init`: a name in `initializers.STARTS`, or a function of the same signature.
    """
    init = init if callable(init) else STARTS[init]
    n, d = basis.mask.shape
    mask = np.concatenate([basis.mask, np.eye(1, d, dtype=basis.mask.dtype)])
    c = 1 if n_classes == 2 else n_classes
    starts = [init(rng, n, bond_dim, c, mask[index], dtype) for index in indices]
    arms, readout = (np.stack(part) for part in zip(*starts, strict=True))
    return {"arms": arms, "readout": readout}
