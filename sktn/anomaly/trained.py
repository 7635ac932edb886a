"""The trained operator of an anomaly detector: table -> local basis -> spaced MPO."""

import warnings
from dataclasses import replace
from numbers import Integral, Real

import jax
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from sktn.anomaly.base import Solution
from sktn.anomaly.solvers import Adam, Sweep
from sktn.anomaly.spaced import TrainedOperator, by_blocks, log_norms, output_mask
from sktn.embeddings import EMBEDDINGS, make_embedding
from sktn.losses import quadratic_log_norm, relu_log_frobenius
from sktn.networks import mpo, smpo
from sktn.solvers import born_sweep, gradient
from sktn.solvers.sweep import Split
from sktn.tables.basis import embed, fit_basis
from sktn.tables.column_fit import fit_columns
from sktn.tables.sites import Sites

# Numbers that the features of all sites take, up to which sweeps are the default. They are faster
# than Adam at any size (benchmarks/detector_sweeps.py), but hold what they know of all rows.
_LARGEST_SWEEP = 2**27


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


class TrainedSMPO(BaseEstimator):
    """A spaced matrix product operator trained by gradients or sweeps, as published [1]_:

        mean_b (log ||P Phi(x_b)||^2 - 1)^2 + alpha relu(log ||P||_F^2) .

    Parameters
    ----------
    start : {"identity", "random"}, default="identity"
        Where training starts.
    bond_dim : int, default=10
        Bond dimension of the operator.
    output_dim : int, default=None
        Dimension of an output leg. None: that of the local basis.
    spacing : int, default=None
        An output leg on every `spacing`-th site. None: a single leg in the middle of the chain.
    first_output : int, default=None
        The first site with a leg. None: 0, or the middle for a single leg.
    score : {"one-sided", "two-sided"}, default="one-sided"
        "one-sided": log ||P Phi(x)||^2, since P annihilates what is not typical. "two-sided": minus
        the squared distance of log ||P Phi(x)||^2 from 1, its value on typical rows [1]_.
    embedding : str, embedding or callable, default="trigonometric"
        Local basis, see :mod:`sktn.embeddings`.
    degree : int, default=1
        Degree of the local basis; the number of frequencies for "trigonometric".
    scaling : {"minmax", "standard", "quantile", "none"}, default="minmax"
        How columns reach the local basis.
    feature_order : {"given", "correlation", "random"} or array-like, default="given"
        Order of the columns along the chain.
    alpha : float, default=1.0
        Strength of the norm penalty.
    solver : "auto", Sweep or Adam, default="auto"
        "auto": :class:`Sweep` on tables of moderate size, :class:`Adam` on large ones.

    References
    ----------
    .. [1] J. Wang, C. Roberts, G. Vidal and S. Leichenauer, "Anomaly detection with tensor
       networks", arXiv:2006.02516 (2020).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sktn import SMPOAnomalyDetector
    >>> from sktn.anomaly import TrainedSMPO
    >>> X = load_iris().data
    >>> detector = SMPOAnomalyDetector(operator=TrainedSMPO(bond_dim=2), random_state=0).fit(X[:50])
    >>> bool(detector.score_samples(X[:50]).mean() > detector.score_samples(X[50:]).mean())
    True
    """

    _parameter_constraints: dict = {
        "start": [StrOptions({"identity", "random"})],
        "bond_dim": [Interval(Integral, 1, None, closed="left")],
        "output_dim": [Interval(Integral, 1, None, closed="left"), None],
        "spacing": [Interval(Integral, 1, None, closed="left"), None],
        "first_output": [Interval(Integral, 0, None, closed="left"), None],
        "score": [StrOptions({"one-sided", "two-sided"})],
        "embedding": [StrOptions(set(EMBEDDINGS) - {"mixed"}), callable, HasMethods("evaluate")],
        "degree": [Interval(Integral, 1, None, closed="left")],
        "scaling": [StrOptions({"minmax", "standard", "quantile", "none"})],
        "feature_order": [StrOptions({"given", "correlation", "random"}), "array-like"],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "solver": [StrOptions({"auto"}), Sweep, Adam],
    }

    def __init__(
        self,
        *,
        start="identity",
        bond_dim=10,
        output_dim=None,
        spacing=None,
        first_output=None,
        score="one-sided",
        embedding="trigonometric",
        degree=1,
        scaling="minmax",
        feature_order="given",
        alpha=1.0,
        solver="auto",
    ):
        self.start = start
        self.bond_dim = bond_dim
        self.output_dim = output_dim
        self.spacing = spacing
        self.first_output = first_output
        self.score = score
        self.embedding = embedding
        self.degree = degree
        self.scaling = scaling
        self.feature_order = feature_order
        self.alpha = alpha
        self.solver = solver

    def suspicion(self, rows, rng):
        """None: training rows are scored like any others."""
        return None

    def solve(self, rows, rng, n_members):
        """Operators that differ in their starts and, from the second on, in their orders.

        rows Rows -> Solution
        """
        if self.solver != "auto":
            self.solver._validate_params()
        columns, basis, coords = _sites(self, rows)
        legs, outs = _legs(self, *basis.mask.shape)
        mask = output_mask(len(basis.mask), outs, legs)
        operators, results = [], []
        for k in range(n_members):
            order = (
                Sites(columns, basis, coords, None).with_order(self.feature_order, rng).order
                if k == 0
                else rng.permutation(len(mask))
            )
            with jax.enable_x64(coords.dtype == np.float64):
                key = jax.random.key(rng.randint(2**31 - 1))
                cores = _start(self.start, rng, mask, basis, order, self.bond_dim, coords)
                operator = TrainedOperator(
                    columns, basis, cores, order, legs, self.score == "two-sided"
                )
                result = self._optimise(operator, coords, rows.weight, key)
            operators.append(replace(operator, cores=_masked(result.params, mask)))
            results.append(result)
        _warn_of_divergence(results)
        losses = results[0].losses
        return Solution(
            operators,
            np.array([operator.log_norms(rows.X) for operator in operators]),
            np.zeros(n_members, int),
            {
                "bond_dims_": operators[0].bond_dims,
                "loss_curve_": losses,
                "n_iter_": len(losses),
            },
            [None] * n_members,
        )

    def update(self, operators, rows, rng, stream):
        """One epoch of gradient steps over more rows: -> operators, stream"""
        solver = self.solver if isinstance(self.solver, Adam) else Adam()
        results = []
        for operator, state in zip(operators, stream, strict=True):
            coords = operator.columns.transform(rows.X.astype(operator.cores.dtype, copy=False))
            with jax.enable_x64(coords.dtype == np.float64):
                key = jax.random.key(rng.randint(2**31 - 1))
                objective = _objective(operator, coords, rows.weight, self.alpha)
                training = _training(solver)._replace(max_iter=1, chunk=1)
                # A schedule over epochs has no meaning for a stream of unknown length.
                steps = gradient.CONSTANT_RATE
                found = gradient.minimize(
                    objective, operator.cores, key, training, steps=steps, state=state
                )
                results.append(found)
        _warn_of_divergence(results)
        operators = [
            replace(operator, cores=_masked(result.params, operator.output_mask))
            for operator, result in zip(operators, results, strict=True)
        ]
        return operators, [jax.tree.map(np.asarray, result.state) for result in results]

    def _optimise(self, operator, coords, weight, key):
        solver = self.solver
        if solver == "auto":
            solver = Sweep() if _sweeps_fit(operator, len(coords)) else Adam()
        if isinstance(solver, Sweep):
            return _sweep(operator, coords, weight, self.alpha, solver)
        objective = _objective(operator, coords, weight, self.alpha)
        return gradient.minimize(objective, operator.cores, key, _training(solver))


def _sites(value, rows):
    """The columns, their local basis and the training coordinates."""
    embedding = make_embedding(value.embedding, value.degree)
    columns = fit_columns(
        rows.X,
        sample_weight=rows.weight,
        scaling=value.scaling,
        categorical=rows.categorical,
        domain=embedding.domain,
        group=getattr(embedding, "group", 1),
    )
    coords = columns.transform(rows.X)
    # The embedding's own vectors: unit vectors in the published method, whose Frobenius norm is a
    # mean over all states. Orthonormal ones would make it a mean over rows with shuffled columns.
    basis = fit_basis(columns, coords, embedding, sample_weight=rows.weight, orthonormalize=False)
    return columns, basis, coords


def _legs(value, n, d):
    """Sites with an output leg (k,), dimension of a leg."""
    first = value.first_output
    if first is not None and first >= n:
        raise ValueError(
            f"first_output={first} is beyond the end of the chain: it has {n} sites "
            f"(columns that are not constant), so first_output must be below {n}."
        )
    if first is None:
        first = 0 if value.spacing else n // 2
    return smpo.output_sites(n, value.spacing or n, first), value.output_dim or d


def _start(init, rng, mask, basis, order, bond_dim, coords):
    """A start with a little noise everywhere, scaled to log ||P Phi||^2 = 1 on average."""
    n, d = basis.mask.shape
    # NumPy, since compiling a random number generator takes longer than drawing the numbers.
    cores = rng.standard_normal((n, bond_dim, d, mask.shape[1], bond_dim)) / np.sqrt(d * bond_dim)
    if init == "identity":
        cores = smpo.identity(mask, basis.mean[order], bond_dim) + 0.3 * cores
    cores = (cores * mask[:, None, None, :, None]).astype(coords.dtype)
    norms = by_blocks(log_norms, basis, cores, order, coords[:1000])
    level = norms[np.isfinite(norms)].mean() if np.isfinite(norms).any() else 1.0
    return cores * np.exp((1 - level) / (2 * n)).astype(coords.dtype)


def _objective(operator, coords, weight, alpha):
    """`operator_loss` on all rows."""
    _n, d = operator.basis.mask.shape
    dtype = coords.dtype
    context = {
        "basis": operator.basis,
        "order": operator.order,
        "mask": operator.output_mask.astype(dtype),
        "metric": (np.eye(d) * operator.basis.mask[operator.order][:, None, :]).astype(dtype),
        "alpha": np.asarray(alpha, dtype),
    }
    return gradient.Objective(operator_loss, coords, weight.astype(dtype), context)


def _training(solver):
    return gradient.Training(
        batch_size=solver.batch_size,
        max_iter=solver.max_iter,
        learning_rate=solver.learning_rate,
        transformation=solver.optimizer,
        n_iter_no_change=solver.n_iter_no_change,
        tol=solver.tol,
    )


def _sweeps_fit(operator, n_rows):
    # Left of a leg the squares of its outputs are summed, up to as many as a bond has states.
    n, D, d, o, _ = operator.cores.shape
    return n_rows * n * d * D * min(o ** len(operator.legs), D) <= _LARGEST_SWEEP


def _sweep(operator, coords, weight, alpha, solver):
    """The loss of `operator_loss` by sweeps over all rows."""
    mask = operator.output_mask
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
        split=None if solver.truncation_tol is None else Split(D, solver.truncation_tol),
        max_sweeps=solver.max_iter,
        tol=solver.tol,
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
        rose=False,
        state=None,
    )


def _masked(cores, mask):
    cores = np.asarray(cores)
    return cores * mask[:, None, None, :, None].astype(cores.dtype)


def _warn_of_divergence(results):
    if not all(result.finite for result in results):
        warnings.warn(
            "The loss is no longer finite; the last finite parameters were kept. Use a smaller "
            "learning_rate or float64 data.",
            ConvergenceWarning,
            stacklevel=4,
        )
    if any(result.rose for result in results):
        warnings.warn(
            "The loss rose in training: the best epoch is taken. Use a smaller learning_rate.",
            ConvergenceWarning,
            stacklevel=4,
        )
