"""The trained operator of an anomaly detector: table -> local basis -> spaced MPO."""

from dataclasses import dataclass

import jax
import numpy as np

from sktn.embeddings import make_embedding
from sktn.losses import quadratic_log_norm, relu_log_frobenius
from sktn.networks import mpo, smpo
from sktn.solvers import born_sweep, gradient
from sktn.tables.basis import Basis, embed, fit_basis
from sktn.tables.columns import Columns, fit_columns
from sktn.tables.sites import order_sites

# Floats that one block of rows may take in a forward pass (128 MB in float32).
_BLOCK_SIZE = 2**25

# Numbers that the features of all sites take, up to which sweeps are the default. They are faster
# than Adam at any size (benchmarks/density_sweeps.py), but hold what they know of all rows.
_LARGEST_SWEEP = 2**27

# Bond dimension where the user names none.
_BOND_DIM = 10


@dataclass(frozen=True, eq=False)
class TrainedOperator:
    """A spaced MPO on the columns of a table.

    Attributes
    ----------
    columns : Columns
    basis : Basis
    cores : ndarray of shape (n, D, d, o, D)
    order : ndarray of shape (n,)
        Sites of the table along the chain.
    legs : ndarray
        Positions along the chain that have an output leg.
    """

    columns: Columns
    basis: Basis
    cores: np.ndarray
    order: np.ndarray
    legs: np.ndarray

    @property
    def bond_dims(self):
        """Bonds in use, with the closed ends: (n + 1,)"""
        used = np.any(self.cores != 0, axis=(1, 2, 3)).sum(axis=1)
        return np.array([1, *used[:-1], 1])

    def log_norms(self, X):
        """log ||P Phi(x)||^2: X (b, n_columns) -> (b,) in float64"""
        # A state that P maps to 0 stays comparable, and several of them can be averaged.
        norms = self._by_blocks(_log_norms, X).astype(np.float64)
        return np.maximum(norms, np.finfo(np.float32).min)

    def log_norms_without(self, X, j):
        """`log_norms` if column j were missing: X (b, n_columns) -> (b,)"""
        hidden = X.copy()
        hidden[:, j] = np.nan
        return self.log_norms(hidden)

    def transform(self, X):
        """Distributions of the output legs: X (b, n_columns) -> (b, legs * o)"""
        p = self._by_blocks(_leg_distributions, X)[:, self.legs]
        return p.reshape(len(p), -1)

    def _by_blocks(self, function, X):
        """Apply a compiled function to rows in blocks of bounded memory, of few sizes."""
        coords = self.columns.transform(X.astype(self.cores.dtype, copy=False))
        n, D, d, o, _ = self.cores.shape
        largest = max(1, _BLOCK_SIZE // (n * (d + D * D) + 4 * o * D * D))
        block = 1 << min(largest.bit_length() - 1, max(5, (len(coords) - 1).bit_length()))
        out = []
        with jax.enable_x64(self.cores.dtype == np.float64):
            for start in range(0, len(coords), block):
                rows = coords[start : start + block]
                padded = np.full((block, *rows.shape[1:]), np.nan, rows.dtype)
                padded[: len(rows)] = rows
                values = function(self.basis, self.cores, self.order, padded)
                out.append(np.asarray(values)[: len(rows)])
        return np.concatenate(out)


def operator_loss(cores, batch, weight, context):
    """mean_b (log ||P Phi(x_b)||^2 - 1)^2 + alpha relu(log ||P||_F^2).

    cores (n, D, d, o, D), batch (b, n, channels), weight (b,); context: basis, order (n,),
    mask (n, o), metric (n, d, d), alpha ()
    """
    # Padded outputs stay zero, whatever the optimiser adds.
    cores = cores * context["mask"][:, None, None, :, None]
    phi = embed(context["basis"], batch)[:, context["order"]]
    penalty = relu_log_frobenius(mpo.log_squared_frobenius(cores, context["metric"]))
    fit = quadratic_log_norm(mpo.log_squared_norms(cores, phi), weight)
    return fit + context["alpha"] * penalty


@jax.jit
def _log_norms(basis, cores, order, coords):
    return mpo.log_squared_norms(cores, embed(basis, coords)[:, order])


@jax.jit
def _leg_distributions(basis, cores, order, coords):
    return smpo.output_distributions(cores, embed(basis, coords)[:, order])


def fit(
    X,
    weight,
    rng,
    *,
    categorical,
    init,
    bond_dim,
    output_dim,
    spacing,
    first_output,
    embedding,
    degree,
    scaling,
    feature_order,
    members,
    alpha,
    solver,
    truncation_tol,
    training,
):
    """Train operators that differ in their starts and, from the second on, in their orders.

    X (b, n_columns), weight (b,) -> list of TrainedOperator, their log norms on the training rows
    (members, b), list of gradient.Result
    """
    embedding = make_embedding(embedding, degree)
    columns = fit_columns(
        X,
        sample_weight=weight,
        scaling=scaling,
        categorical=categorical,
        domain=embedding.domain,
        group=getattr(embedding, "group", 1),
    )
    coords = columns.transform(X)
    # The embedding's own vectors: unit vectors in the published method, whose Frobenius norm is a
    # mean over all states. Orthonormal ones would make it a mean over rows with shuffled columns.
    basis = fit_basis(columns, coords, embedding, sample_weight=weight, orthonormalize=False)
    n, d = basis.mask.shape
    if first_output is not None and first_output >= n:
        raise ValueError(
            f"first_output={first_output} is beyond the end of the chain: it has {n} sites "
            f"(columns that are not constant), so first_output must be below {n}."
        )
    first = first_output if first_output is not None else (0 if spacing else n // 2)
    legs = smpo.output_sites(n, spacing or n, first)
    o = output_dim or d
    mask = smpo.output_mask(n, spacing or n, first, o)
    operators, results = [], []
    for k in range(members):
        order = (
            order_sites(feature_order, columns, basis, coords, rng)
            if k == 0
            else rng.permutation(n)
        )
        with jax.enable_x64(coords.dtype == np.float64):
            key = jax.random.key(rng.randint(2**31 - 1))
            cores = _start(init, rng, mask, basis, order, bond_dim or _BOND_DIM, coords)
            start = TrainedOperator(columns, basis, cores, order, legs)
            if solver == "sweep" or (solver == "auto" and _sweeps_fit(start, len(coords))):
                result = _sweep(
                    start,
                    coords,
                    weight,
                    alpha,
                    truncation_tol,
                    training["max_iter"],
                    training["tol"],
                )
            else:
                result = _train(start, coords, weight, key, alpha, **training)
        operators.append(TrainedOperator(columns, basis, _masked(result.params, mask), order, legs))
        results.append(result)
    norms = np.array([operator.log_norms(X) for operator in operators])
    return operators, norms, results


def update(operator, X, weight, rng, alpha, state, training):
    """One epoch over more rows: -> TrainedOperator, gradient.Result"""
    coords = operator.columns.transform(X.astype(operator.cores.dtype, copy=False))
    with jax.enable_x64(coords.dtype == np.float64):
        key = jax.random.key(rng.randint(2**31 - 1))
        result = _train(
            operator,
            coords,
            weight,
            key,
            alpha,
            **{**training, "max_iter": 1},
            state=state,
            constant_rate=True,
            chunk=1,
        )
    cores = _masked(result.params, _mask(operator))
    operator = TrainedOperator(
        operator.columns, operator.basis, cores, operator.order, operator.legs
    )
    return operator, result


def _start(init, rng, mask, basis, order, bond_dim, coords):
    """A start with a little noise everywhere, scaled to log ||P Phi||^2 = 1 on average."""
    n, d = basis.mask.shape
    # NumPy, since compiling a random number generator takes longer than drawing the numbers.
    cores = rng.standard_normal((n, bond_dim, d, mask.shape[1], bond_dim)) / np.sqrt(d * bond_dim)
    if init == "identity":
        cores = smpo.identity(mask, basis.mean[order], bond_dim) + 0.3 * cores
    cores = (cores * mask[:, None, None, :, None]).astype(coords.dtype)
    norms = np.asarray(_log_norms(basis, cores, order, coords[:1000]))
    level = norms[np.isfinite(norms)].mean() if np.isfinite(norms).any() else 1.0
    return cores * np.exp((1 - level) / (2 * n)).astype(coords.dtype)


def _train(operator, coords, weight, key, alpha, *, batch_size, max_iter, learning_rate, **options):
    n, d = operator.basis.mask.shape
    dtype = coords.dtype
    context = {
        "basis": operator.basis,
        "order": operator.order,
        "mask": _mask(operator).astype(dtype),
        "metric": (np.eye(d) * operator.basis.mask[operator.order][:, None, :]).astype(dtype),
        "alpha": np.asarray(alpha, dtype),
    }
    return gradient.minimize(
        operator_loss,
        operator.cores,
        coords,
        weight.astype(dtype),
        context,
        key,
        batch_size=batch_size,
        max_iter=max_iter,
        learning_rate=learning_rate,
        **options,
    )


def _sweeps_fit(operator, n_rows):
    # Left of a leg the squares of its outputs are summed, up to as many as a bond has states.
    n, D, d, o, _ = operator.cores.shape
    return n_rows * n * d * D * min(o ** len(operator.legs), D) <= _LARGEST_SWEEP


def _sweep(operator, coords, weight, alpha, truncation_tol, max_sweeps, tol):
    """The loss of `operator_loss` by sweeps over all rows."""
    mask = _mask(operator)
    n, D, d, o, _ = operator.cores.shape
    phi = np.asarray(embed(operator.basis, coords))[:, operator.order]
    ends = [1, *[D] * (n - 1), 1]
    dims = operator.basis.mask[operator.order].sum(axis=1).astype(int)
    outs = mask.sum(axis=1).astype(int)
    cores = [operator.cores[k, : ends[k], : dims[k], : outs[k], : ends[k + 1]] for k in range(n)]
    objective = born_sweep.LogNorms(weight, alpha)
    result = born_sweep.sweep(
        cores,
        [phi[:, k, None, : dims[k]] for k in range(n)],
        objective,
        two_site=truncation_tol is not None,
        max_bond_dim=D,
        truncation_tol=truncation_tol or 0.0,
        max_sweeps=max_sweeps,
        tol=1000 * tol,
    )
    D = max(core.shape[3] for core in result.cores)
    found = np.zeros((n, D, d, o, D), coords.dtype)
    for padded, core in zip(found, result.cores, strict=True):
        l, s, t, r = core.shape
        padded[:l, :s, :t, :r] = core
    found *= np.exp(objective.log_scale(result.logs) / (2 * n))
    return gradient.Result(
        found,
        result.losses[1:],
        np.array([]),
        result.converged,
        bool(np.isfinite(result.losses).all()),
        None,
    )


def _mask(operator):
    n, _, _, o, _ = operator.cores.shape
    mask = np.zeros((n, o))
    mask[:, 0] = 1
    mask[operator.legs] = 1
    return mask


def _masked(cores, mask):
    cores = np.asarray(cores)
    return cores * mask[:, None, None, :, None].astype(cores.dtype)
