"""Density estimation with Born machines."""

import warnings
from numbers import Integral, Real

import jax
import numpy as np
from numpy.polynomial import legendre
from sklearn.base import BaseEstimator, DensityMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from sktn.embeddings import Legendre
from sktn.losses import negative_log_likelihood
from sktn.networks import born
from sktn.solvers import gradient, likelihood
from sktn.tables.categories import encode
from sktn.tables.marginals import fit_margins
from sktn.tables.reading import read_table
from sktn.tables.sites import chain_order
from sktn.tables.statistics import distinct_rows

# Floats that one block of rows may take (128 MB in float32).
_BLOCK_SIZE = 2**25

# Rows x entries of all cores per bond, up to which sweeps are the default: they then end about as
# soon as Adam does (benchmarks/density_sweeps.py), and beyond they take longer.
_LARGEST_SWEEP = 2**23

# Strength of the ridge where held-out rows do not choose it.
_ALPHA = 0.03

_log_norm = jax.jit(born.log_norm)
_log_squares = jax.jit(born.log_squares)
_log_marginals = jax.jit(born.log_marginals)
_left_environments = jax.jit(born.left_environments)
_right_environments = jax.jit(born.right_environments)
_left_step = jax.jit(born.left_step)
_local_matrices = jax.jit(born.local_matrices)


def born_loss(cores, batch, weight, context):
    """Negative log-likelihood of complete rows, relative to the reference densities, plus
    log(J / <psi, psi>), see :mod:`sktn.solvers.likelihood`.

    cores (n, D, d, D), batch: phi (b, n, d), weight (b,); context: mask, roots sqrt(g) (n, d)
    """
    # Padded components stay zero, whatever the optimiser adds.
    cores = cores * context["mask"][:, None, :, None]
    squares = born.log_squares(cores, batch["phi"])
    log_norm = born.log_norm(cores * context["roots"][:, None, :, None])
    return negative_log_likelihood(squares, log_norm, weight)


def born_loss_missing(cores, batch, weight, context):
    """`born_loss` of rows with missing values, which are integrated over: present (b, n)."""
    cores = cores * context["mask"][:, None, :, None]
    squares = born.log_marginals(cores, batch["phi"], batch["present"])
    log_norm = born.log_norm(cores * context["roots"][:, None, :, None])
    return negative_log_likelihood(squares, log_norm, weight)


def level_basis(shares):
    """Functions on levels that are orthonormal under their shares, the first one constant.

    shares (L,) with sum 1 -> (L, L), a row for every level
    """
    root = np.sqrt(shares)
    # Householder's reflection that takes the first unit vector to `root`.
    v = root.copy()
    v[0] += 1.0 if v[0] >= 0 else -1.0
    Q = np.eye(len(root)) - 2 * np.outer(v, v) / (v @ v)
    return -Q / np.where(root > 0, root, 1.0)[:, None] * (root > 0)[:, None]


def antiderivatives(degree):
    """int_{-1}^u phi_s phi_t du / 2 for normalised Legendre polynomials, as Legendre series.

    -> (degree + 1, degree + 1, 2 degree + 2)
    """
    table = np.zeros((degree + 1, degree + 1, 2 * degree + 2))
    for s in range(degree + 1):
        for t in range(degree + 1):
            product = legendre.legmul(np.eye(degree + 1)[s], np.eye(degree + 1)[t])
            integral = legendre.legint(product, lbnd=-1) * np.sqrt((2 * s + 1) * (2 * t + 1)) / 2
            table[s, t, : len(integral)] = integral
    return table


def invert_distribution(K, q):
    """u with int_{-1}^u phi^T K phi / int_{-1}^1 phi^T K phi = q, bisecting the exact integral.

    K (b, d, d), q (b,) -> (b,)
    """
    series = np.einsum("bst,stk->kb", K, antiderivatives(K.shape[1] - 1))
    target = q * legendre.legval(np.ones(len(q)), series, tensor=False)
    low, high = -np.ones(len(q)), np.ones(len(q))
    for _ in range(52):
        middle = (low + high) / 2
        below = legendre.legval(middle, series, tensor=False) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def column_indices(columns, names, n_columns):
    """Different columns given by index or by name: (k,) -> (k,) integers"""
    columns, names = np.asarray(columns).tolist(), list(names)
    unknown = [c for c in columns if c not in (names if isinstance(c, str) else range(n_columns))]
    if unknown:
        raise ValueError(
            f"columns must be indices in [0, {n_columns - 1}] or names in {names}, got {unknown}."
        )
    indices = np.array([names.index(c) if isinstance(c, str) else c for c in columns], dtype=int)
    if len(np.unique(indices)) < len(indices):
        raise ValueError(f"columns must not repeat: got {columns}.")
    return indices


class MPSDensityEstimator(DensityMixin, BaseEstimator):
    """Density of a table as a Born machine on a matrix product state.

    Every numeric column is mapped to u in (-1, 1) by a smooth distribution function with the
    density f_i, and

        p(x) = psi(u(x))^2 / <psi, psi> * prod_i f_i(x_i)

    with psi a matrix product state over normalised Legendre polynomials of u. The polynomials are
    orthonormal under f_i, so norms, marginals and conditionals are exact contractions [1]_.

    Parameters
    ----------
    bond_dim : int, default=10
        Largest bond dimension D.
    degree : int, default=6
        Largest degree of the polynomials.
    alpha : float or "auto", default="auto"
        Strength of a ridge in function space. The loss is the negative log-likelihood plus
        log(J / <psi, psi>), where J weighs the square of a coefficient of psi by the product of
        1 + alpha s^2 over its degrees s. "auto": "sweep" lowers the strength from 1 by halves, one
        sweep each, and held-out rows choose; otherwise 0.03.
    solver : {"auto", "sweep", "adam"}, default="auto"
        "sweep": Newton steps for one core after the other, or two, without a learning rate.
        "adam": mini-batches. "auto": "sweep" on tables of moderate size, "adam" on large ones and
        with an `optimizer`.
    truncation_tol : float, default=None
        Solver "sweep" with a number updates two neighbouring cores at a time and splits them by a
        singular value decomposition that may lose this share of the norm, so that every bond finds
        its own dimension, of at most `bond_dim`. None: one core at a time.
    feature_order : {"correlation", "given", "random"} or array-like, default="correlation"
        Order of the columns along the chain.
    learning_rate : float, default=0.02
    batch_size : int, default=100
    max_iter : int, default=200
        Epochs of "adam"; largest number of sweeps.
    early_stopping : bool, default=True
        Keep the parameters of highest likelihood on held-out rows, and stop when it has not risen
        for `n_iter_no_change` epochs or 3 sweeps. Without effect for fewer than 20 distinct rows.
    validation_fraction : float, default=0.15
    n_iter_no_change : int, default=20
    tol : float, default=1e-4
        Smallest improvement of the loss that counts, in an epoch or in a sweep at a given `alpha`.
    optimizer : optax.GradientTransformation, default=None
        None: Adam with warm-up and cosine decay of `learning_rate`.
    categorical_features : "from_dtype", array-like of {bool, int, str} or None, \
            default="from_dtype"
        As in :class:`~sklearn.ensemble.HistGradientBoostingClassifier`.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    cores_ : ndarray of shape (n_features, D, d, D)
        The chain, in the order `order_`, of norm 1.
    bond_dims_ : ndarray of shape (n_features + 1,)
        Its bond dimensions, those of its closed ends included.
    alpha_ : float
        Strength used.
    order_ : ndarray of shape (n_features,)
    margins_ : Margins
        The reference densities f_i.
    loss_curve_ : ndarray of shape (n_iter_,)
        Training loss: - log p relative to the product of the f_i, plus the penalty, so 0 means that
        nothing but the margins was learned.
    n_iter_ : int
        Epochs or sweeps.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    SMPOAnomalyDetector : Scores that need not be a density.
    sklearn.neighbors.KernelDensity : Kernel density estimation.
    sklearn.mixture.GaussianMixture : Mixtures of normal distributions.

    Notes
    -----
    Missing values are integrated over, in training and afterwards; so are unknown categories. For
    categorical columns p is a probability. A constant column has the scale 1.

    References
    ----------
    .. [1] Z.-Y. Han, J. Wang, H. Fan, L. Wang and P. Zhang, "Unsupervised generative modeling
       using matrix product states", Physical Review X 8, 031012 (2018).

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import MPSDensityEstimator
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=300)
    >>> X = np.column_stack([x, x + 0.3 * rng.normal(size=300)])
    >>> density = MPSDensityEstimator(max_iter=50, random_state=0).fit(X)
    >>> bool(np.diff(density.score_samples([[1.0, -1.0], [1.0, 1.0]]))[0] > 1)
    True
    >>> density.sample(3, random_state=0).shape
    (3, 2)
    """

    _parameter_constraints: dict = {
        "bond_dim": [Interval(Integral, 1, None, closed="left")],
        "degree": [Interval(Integral, 1, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "solver": [StrOptions({"auto", "sweep", "adam"})],
        "truncation_tol": [Interval(Real, 0, 1, closed="left"), None],
        "feature_order": [StrOptions({"correlation", "given", "random"}), "array-like"],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "optimizer": [HasMethods(["init", "update"]), None],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        bond_dim=10,
        *,
        degree=6,
        alpha="auto",
        solver="auto",
        truncation_tol=None,
        feature_order="correlation",
        learning_rate=0.02,
        batch_size=100,
        max_iter=200,
        early_stopping=True,
        validation_fraction=0.15,
        n_iter_no_change=20,
        tol=1e-4,
        optimizer=None,
        categorical_features="from_dtype",
        random_state=None,
    ):
        self.bond_dim = bond_dim
        self.degree = degree
        self.alpha = alpha
        self.solver = solver
        self.truncation_tol = truncation_tol
        self.feature_order = feature_order
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.optimizer = optimizer
        self.categorical_features = categorical_features
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Learn the density.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            NaN is a missing value.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : MPSDensityEstimator
        """
        if self.solver == "sweep" and self.optimizer is not None:
            raise ValueError("optimizer is used by solver='adam' only, but solver='sweep'.")
        X = read_table(self, X, reset=True)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        X, weight = distinct_rows(X, weight)
        rng = check_random_state(self.random_state)
        self.margins_ = fit_margins(X, weight, self.is_categorical_)
        u = self.margins_.transform(X)
        phi, present, mask = self._site_vectors(u, X.dtype)
        n, d = mask.shape
        self.order_ = chain_order(
            self.feature_order, np.arange(n), n, len(X), lambda rows: phi[rows, :, 1], rng
        )
        phi, present, mask = phi[:, self.order_], present[:, self.order_], mask[self.order_]
        train, held_out = self._split(len(X), rng)
        # Weights of mean 1, so that the loss is one per row.
        weight = (weight / weight.mean()).astype(X.dtype)
        cores = born.near_constant(rng, n, d, self.bond_dim, 0.3, X.dtype)
        degrees = np.tile(np.arange(d), (n, 1))
        # Functions on levels have no order among each other.
        categorical = [self.margins_.is_categorical(i) for i in self.order_]
        degrees[categorical] = np.minimum(degrees[categorical], 1)
        method = self._sweep if self._resolve_solver(phi.shape, present) == "sweep" else self._adam
        method(cores, phi, present, mask, degrees, weight, train, held_out, rng)
        self.n_iter_ = len(self.loss_curve_)
        return self

    def _resolve_solver(self, shape, present):
        if self.solver != "auto":
            return self.solver
        if self.optimizer is not None:
            return "adam"
        n_rows, n, d = shape
        # With missing values squares are sums, of as many terms as a bond has states.
        terms = 1 if present.all() else d * self.bond_dim
        return "sweep" if n_rows * n * d * self.bond_dim * terms <= _LARGEST_SWEEP else "adam"

    def _sweep(self, cores, phi, present, mask, degrees, weight, train, held_out, rng):
        n, D, d, _ = cores.shape
        dims = mask.sum(axis=1)
        ends = [1, *[D] * (n - 1), 1]
        start = [cores[k, : ends[k], :m, None, : ends[k + 1]] for k, m in enumerate(dims)]
        sites = []
        for k, m in enumerate(dims):
            x = phi[:, k, None, :m]
            gone = ~present[:, k]
            if gone.any():
                x = np.pad(x, ((0, 0), (0, m - 1), (0, 0)))
                x[gone] = np.eye(m)
            sites.append(x)
        live = np.zeros((2, len(weight)), weight.dtype)
        live[0, train], live[1, held_out] = weight[train], weight[held_out]
        if self.alpha == "auto" and len(held_out):
            alphas = 2.0 ** -np.arange(self.max_iter)
        else:
            alphas = np.full(self.max_iter, _ALPHA if self.alpha == "auto" else self.alpha)
        degrees = [s[:m].astype(phi.dtype) for s, m in zip(degrees, dims, strict=True)]
        result = likelihood.maximize(
            start,
            sites,
            *live,
            degrees,
            alphas.tolist(),
            tol=self.tol,
            two_site=self.truncation_tol is not None,
            max_bond_dim=D,
            truncation_tol=self.truncation_tol or 0.0,
        )
        self.bond_dims_ = np.array([1, *[core.shape[3] for core in result.cores]])
        D = self.bond_dims_.max()
        self.cores_ = np.zeros((n, D, d, D), phi.dtype)
        for padded, core in zip(self.cores_, result.cores, strict=True):
            l, m, _, r = core.shape
            padded[:l, :m, :r] = core[:, :, 0]
        self.alpha_, self.loss_curve_ = result.alpha, result.losses

    def _adam(self, cores, phi, present, mask, degrees, weight, train, held_out, rng):
        n, D, _, _ = cores.shape
        self.alpha_ = float(_ALPHA if self.alpha == "auto" else self.alpha)
        mask = mask.astype(phi.dtype)
        context = {"mask": mask, "roots": np.sqrt(1 + self.alpha_ * degrees**2).astype(phi.dtype)}
        batch, loss = {"phi": phi}, born_loss
        if not present.all():
            batch["present"], loss = present, born_loss_missing
        with jax.enable_x64(phi.dtype == np.float64):
            key = jax.random.key(rng.randint(2**31 - 1))
            validation = None
            if len(held_out):
                rows = {name: values[held_out] for name, values in batch.items()}
                validation = rows, weight[held_out], {"mask": mask, "roots": np.ones_like(mask)}
            result = gradient.minimize(
                loss,
                cores,
                {name: values[train] for name, values in batch.items()},
                weight[train],
                context,
                key,
                batch_size=self.batch_size,
                max_iter=self.max_iter,
                learning_rate=self.learning_rate,
                transformation=self.optimizer,
                validation=validation,
                n_iter_no_change=self.n_iter_no_change,
                tol=self.tol,
            )
            cores = np.asarray(result.params) * mask[:, None, :, None]
            log_norm = float(_log_norm(cores))
        self.cores_ = cores * np.exp(-log_norm / (2 * n)).astype(phi.dtype)
        self.bond_dims_ = np.array([1, *[D] * (n - 1), 1])
        self.loss_curve_ = result.losses
        if not result.finite:
            warnings.warn(
                "The loss is no longer finite; the last finite parameters were kept. Use a smaller "
                "learning_rate or float64 data.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _split(self, n_rows, rng):
        """Training and held-out rows."""
        rows = rng.permutation(n_rows)
        if not self.early_stopping or n_rows < 20:
            return rows, rows[:0]
        size = max(1, int(np.ceil(self.validation_fraction * n_rows)))
        return rows[size:], rows[:size]

    def _tables(self):
        """The local basis of every categorical column, None for numeric ones."""
        return [level_basis(s) if len(s) else None for s in self.margins_.shares]

    def _site_vectors(self, u, dtype):
        """Site vectors, which values are there, which components a site has.

        u (b, n) -> (b, n, d), (b, n), (n, d)
        """
        tables = self._tables()
        dims = [self.degree + 1 if t is None else len(t) for t in tables]
        present = ~np.isnan(u)
        phi = np.zeros((*u.shape, max(2, *dims)), dtype=dtype)
        polynomials = Legendre(self.degree)
        for i, table in enumerate(tables):
            there = present[:, i]
            if table is None:
                phi[there, i, : dims[i]] = polynomials.evaluate(u[there, i, None])
            else:
                phi[there, i, : dims[i]] = table[u[there, i].astype(int)]
        mask = np.arange(phi.shape[2]) < np.array(dims)[:, None]
        return phi, present, mask

    def _read(self, X):
        check_is_fitted(self)
        return read_table(self, X, reset=False)

    def _blocks(self, n_rows):
        n, D, d, _ = self.cores_.shape
        largest = max(1, _BLOCK_SIZE // (n * (d + 2 * D * D)))
        size = 1 << min(largest.bit_length() - 1, max(5, (n_rows - 1).bit_length()))
        return size, [slice(k, k + size) for k in range(0, n_rows, size)]

    def _in_chain_order(self, X, size):
        """Site vectors of a block of rows, padded to `size` by rows without values."""
        dtype = self.cores_.dtype
        padded = np.full((size, X.shape[1]), np.nan)
        padded[: len(X)] = X
        phi, present, _ = self._site_vectors(self.margins_.transform(padded), dtype)
        return phi[:, self.order_], present[:, self.order_]

    def score_samples(self, X):
        """Log-density of each row.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Missing values are integrated over: the log-density of the others is returned, 0 for a
            row without values.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
        """
        return self._log_density(self._read(X))

    def _log_density(self, X):
        size, blocks = self._blocks(len(X))
        out = self.margins_.log_density(X).sum(axis=1)
        with jax.enable_x64(self.cores_.dtype == np.float64):
            for rows in blocks:
                phi, present = self._in_chain_order(X[rows], size)
                if present[: len(X[rows])].all():
                    # Without anything to sum over, vectors do what matrices would.
                    logs = _log_squares(self.cores_, phi)
                else:
                    logs = _log_marginals(self.cores_, phi, present)
                logs = np.asarray(logs, np.float64)
                out[rows] += logs[: len(X[rows])]
        # A row at a zero of psi, or beyond the range of floating point.
        return np.maximum(out, np.finfo(np.float64).min)

    def score(self, X, y=None):
        """Mean log-density of the rows.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        y : Ignored

        Returns
        -------
        score : float
        """
        return float(np.mean(self.score_samples(X)))

    def marginal(self, X, columns):
        """Log-density of some columns, the others integrated over.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, len(columns))
            Their values, in this order.
        columns : array-like of int or str
            Indices or names of the columns, each at most once.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        columns = column_indices(
            columns, getattr(self, "feature_names_in_", []), self.n_features_in_
        )
        if self.encoder_ is None:
            X = check_array(X, dtype=np.float64, ensure_all_finite="allow-nan")
        else:
            X = check_array(X, dtype=object, ensure_all_finite=False)
        if X.shape[1] != len(columns):
            raise ValueError(
                f"X must have one column for each of the {len(columns)} in columns, got an array "
                f"of shape {X.shape}."
            )
        full = np.full((len(X), self.n_features_in_), np.nan, dtype=X.dtype)
        full[:, columns] = X
        if self.encoder_ is not None:
            full = encode(full, self.is_categorical_, self.encoder_)
        return self._log_density(full)

    def sample(self, n_samples=1, random_state=None):
        """Draw rows, independent and exactly from the density.

        Parameters
        ----------
        n_samples : int, default=1
        random_state : int, RandomState instance or None, default=None

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            With categorical columns an array of objects.
        """
        check_is_fitted(self)
        return self._decoded(
            self._drawn(np.full((n_samples, self.n_features_in_), np.nan), random_state)
        )

    def conditional_sample(self, X, random_state=None):
        """Fill missing values with draws from their distribution given the others.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        random_state : int, RandomState instance or None, default=None

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
        """
        return self._decoded(self._drawn(self._read(X), random_state))

    def impute(self, X):
        """Fill missing values with the median of their distribution given the others.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Categorical columns get their most probable level.
        """
        X = self._read(X)
        out = X.copy()
        size, blocks = self._blocks(len(X))
        with jax.enable_x64(self.cores_.dtype == np.float64):
            for rows in blocks:
                phi, present = self._in_chain_order(X[rows], size)
                left = _left_environments(self.cores_, phi, present)
                right = _right_environments(self.cores_, phi, present)
                for k, i in enumerate(self.order_):
                    gone = ~present[: len(X[rows]), k]
                    if gone.any():
                        K = np.asarray(_local_matrices(left[k], self.cores_[k], right[k]))
                        K = K[: len(gone)][gone].astype(np.float64)
                        out[np.flatnonzero(gone) + rows.start, i] = self._quantile(i, K, None)
        return self._decoded(out)

    def _drawn(self, X, random_state):
        rng = check_random_state(random_state)
        out = X.copy()
        size, blocks = self._blocks(len(X))
        n, D, _, _ = self.cores_.shape
        with jax.enable_x64(self.cores_.dtype == np.float64):
            for rows in blocks:
                b = len(X[rows])
                phi, present = self._in_chain_order(X[rows], size)
                right = _right_environments(self.cores_, phi, present)
                left = np.zeros((size, D, D), self.cores_.dtype)
                left[:, 0, 0] = 1
                for k, i in enumerate(self.order_):
                    gone = np.flatnonzero(~present[:b, k])
                    if len(gone):
                        K = np.asarray(_local_matrices(left, self.cores_[k], right[k]))
                        drawn = self._quantile(i, K[gone].astype(np.float64), rng.rand(len(gone)))
                        out[gone + rows.start, i] = drawn
                        padded = np.zeros((size, n))
                        padded[:b] = out[rows]
                        phi[:, k] = self._site_vectors(self.margins_.transform(padded), phi.dtype)[
                            0
                        ][:, i]
                    left = _left_step(left, self.cores_[k], phi[:, k])
        return out

    def _quantile(self, i, K, q):
        """Values of column i at the shares q of their distribution; None: median or mode.

        K (b, d, d), q (b,) or None -> (b,)
        """
        shares = self.margins_.shares[i]
        if len(shares) == 0:
            d = self.degree + 1
            q = np.full(len(K), 0.5) if q is None else q
            return self.margins_.invert(i, invert_distribution(K[:, :d, :d], q))
        table = level_basis(shares)
        L = len(table)
        p = shares * np.einsum("ls,bst,lt->bl", table, K[:, :L, :L], table)
        p = np.maximum(p, 0)
        if q is None:
            return np.argmax(p, axis=1)
        cumulated = np.cumsum(p, axis=1)
        return (cumulated <= (q * cumulated[:, -1])[:, None]).sum(axis=1).clip(max=L - 1)

    def _decoded(self, X):
        """Codes back to categories."""
        if self.encoder_ is None:
            return X
        out = X.astype(object)
        for j, levels in zip(
            np.flatnonzero(self.is_categorical_), self.encoder_.categories_, strict=True
        ):
            out[:, j] = np.asarray(levels, dtype=object)[X[:, j].astype(int)]
        return out

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
