"""Matrix product states: contraction, norms and canonical forms, all by one scan over the sites.

A chain of n sites is one array `cores` (n, D, d, D), its axes left bond, physical, right bond,
padded with zeros to the largest bond dimension; both ends are closed with the first unit vector.
A model's output index sits on a core of its own, `readout` (D, c, D), between sites p-1 and p:

    f_c(x) = e_1 [prod_{i<p} A_i(x_i)] R_c [prod_{i>=p} A_i(x_i)] e_1

with A_i(x) = sum_s phi_s(x) A_i^s.

Contractions run from both ends towards the output at once, over the two arms of the chain folded
there (:mod:`sktn.networks.folding`).

Examples
--------
>>> import numpy as np
>>> from sktn.networks import mps
>>> rng = np.random.default_rng(0)
>>> cores, readout = rng.normal(size=(4, 3, 2, 3)), rng.normal(size=(3, 1, 3))  # n=4, D=3, d=2
>>> phi = rng.normal(size=(5, 4, 2))  # five rows
>>> values, log_scale = mps.contract(cores, readout, phi, output_site=2)
>>> values.shape, log_scale.shape
((5, 1), (5,))
"""

from dataclasses import dataclass, replace

import jax
import numpy as np

from sktn.backend import executor_of, namespace
from sktn.networks.folding import fold, fold_inputs, site_index
from sktn.networks.linalg import power_of_two_scale


@dataclass(frozen=True, eq=False)
class MPS:
    """A chain with an output: the weight tensor of a model.

    Every core has bond dimensions of its own; the padded, folded form that compiled contractions
    read is :meth:`padded`.

    Attributes
    ----------
    arms : pair of tuples of ndarray of shape (D_outer, d, D_inner)
        The cores left and right of the output, each from the end of the chain towards the output.
    readout : ndarray of shape (D_left, c, D_right)
    order : ndarray of shape (n_sites,)
        The table's site at every place of the chain, from left to right.
    """

    arms: tuple
    readout: np.ndarray
    order: np.ndarray

    @property
    def n_sites(self):
        return len(self.order)

    @property
    def output_site(self):
        """Number of sites left of the output."""
        return len(self.arms[0])

    @property
    def n_outputs(self):
        return self.readout.shape[1]

    @property
    def dtype(self):
        return self.readout.dtype

    @property
    def arm_orders(self):
        """The table's sites of either arm, from its end towards the output."""
        return self.order[: self.output_site], self.order[self.output_site :][::-1]

    @property
    def index(self):
        """`site_index` of the padded form: (h, 2)"""
        return site_index(self.n_sites, self.output_site, self.order)

    @property
    def bond_dims(self):
        """Bond dimensions along the chain, its closed ends and both sides of the readout included:
        (n_sites + 2,)"""
        left, right = ([core.shape[2] for core in arm] for arm in self.arms)
        return np.array([1, *left, *right[::-1], 1])

    @property
    def n_parameters(self):
        return self.readout.size + sum(core.size for arm in self.arms for core in arm)

    def cores(self):
        """The cores in order along the chain: n arrays (D_left, d, D_right)."""
        left, right = self.arms
        return [*left, *(core.transpose(2, 1, 0) for core in right[::-1])]

    def scaled(self, factors):
        """The chain for site vectors divided by `factors` (n, d): A^s -> factors_is A^s."""
        arms = tuple(
            tuple(
                core * factors[i][:, None].astype(core.dtype)
                for core, i in zip(arm, order, strict=True)
            )
            for arm, order in zip(self.arms, self.arm_orders, strict=True)
        )
        return replace(self, arms=arms)

    def astype(self, dtype):
        arms = tuple(tuple(core.astype(dtype, copy=False) for core in arm) for arm in self.arms)
        return MPS(arms, self.readout.astype(dtype, copy=False), self.order)

    def isfinite(self):
        every = [self.readout, *self.arms[0], *self.arms[1]]
        return all(np.isfinite(array).all() for array in every)

    def padded(self, bond_dim=None):
        """The folded form of one bond dimension: arms (h, 2, D, d, D), readout (D, c, D)."""
        D = int(bond_dim or self.bond_dims.max())
        d = max((core.shape[1] for arm in self.arms for core in arm), default=1)
        h = max(len(arm) for arm in self.arms)
        arms = np.zeros((h, 2, D, d, D), self.dtype)
        # Padding sites pass every vector on.
        arms[:, :, np.arange(D), 0, np.arange(D)] = 1
        for t, arm in enumerate(self.arms):
            for k, core in enumerate(arm, start=h - len(arm)):
                arms[k, t] = 0
                arms[k, t, : core.shape[0], :, : core.shape[2]] = core
        readout = np.zeros((D, self.n_outputs, D), self.dtype)
        readout[: self.readout.shape[0], :, : self.readout.shape[2]] = self.readout
        return arms, readout


def from_padded(arms, readout, order, output_site):
    """The chain of a folded network, without the bond directions that no row can reach.

    arms (h, 2, D, d, D), readout (D, c, D), order (n,) -> MPS
    """
    h, trimmed, ends = len(arms), [], []
    for t, length in enumerate((output_site, len(order) - output_site)):
        used, cores = np.zeros(1, int), []
        for core in arms[h - length :, t]:
            core = core[used]
            used = np.flatnonzero(np.any(core != 0, axis=(0, 1)))
            # A bond has dimension 1 at least, also where the function is 0.
            used = used if len(used) else np.zeros(1, int)
            cores.append(core[:, :, used].copy())
        trimmed.append(tuple(cores))
        ends.append(used)
    return MPS(tuple(trimmed), readout[ends[0]][:, :, ends[1]].copy(), np.asarray(order))


jax.tree_util.register_dataclass(MPS, data_fields=["arms", "readout", "order"], meta_fields=[])


def environments(arms, inputs):
    """The two bond vectors at the output, l(x) and r(x), and the logs of their scales.

    arms (h, 2, D, d, D), inputs (h, 2, b, d) -> (2, b, D), (2, b)
    """
    run = executor_of(arms, inputs)
    xp = run.xp
    _, _, D, d, _ = arms.shape
    b = inputs.shape[2]
    start = xp.broadcast_to(xp.eye(1, D, dtype=arms.dtype), (2, b, D))

    def absorb(carry, site):
        vectors, log_scale = carry
        core, x = site
        # One (b, D) x (D, d D) product, then the sum over s: b d D^2 multiply-adds, and never
        # a (b, D, D) array.
        spread = vectors @ core.reshape(2, D, d * D)
        vectors = xp.einsum("tbsr,tbs->tbr", spread.reshape(2, b, d, D), x)
        # A product of n numbers leaves float32's range after a few dozen sites.
        scale = power_of_two_scale(vectors, axis=-1)
        return (vectors / scale, log_scale + xp.log(scale[..., 0])), None

    return run.scan(absorb, (start, xp.zeros((2, b), arms.dtype)), (arms, inputs))[0]


def contract_arms(arms, readout, inputs):
    """f_c(x) and the log of its scale: the value is `out * exp(log_scale)`.

    arms (h, 2, D, d, D), readout (D, c, D), inputs (h, 2, b, d) -> (b, c), (b,)
    """
    xp = namespace(arms, inputs)
    vectors, log_scale = environments(arms, inputs)
    out = xp.einsum("bcr,br->bc", xp.einsum("bl,lcr->bcr", vectors[0], readout), vectors[1])
    return out, log_scale.sum(0)


def contract(cores, readout, phi, output_site):
    """`contract_arms` for an unfolded chain.

    cores (n, D, d, D), readout (D, c, D), phi (b, n, d) -> (b, c), (b,)
    """
    index = site_index(len(cores), output_site)
    return contract_arms(fold(cores, output_site), readout, fold_inputs(phi, index))


def inner(arms, readout, other_arms, other_readout, metric):
    """<f_c, g_c> = sum_st F_c[s] (prod_i metric_i[s_i, t_i]) G_c[t] for every c, its log-scale.

    The transfer matrix of a site is M -> sum_{st} metric_st A_s^T M B_t, O(d D^3 + d^2 D^2).

    arms (h, 2, D, d, D), other_arms (h, 2, E, d, E), readout (D, c, D), other_readout (E, c, E),
    metric (h, 2, d, d) -> (c,), ()
    """
    run = executor_of(arms, other_arms, metric)
    xp = run.xp
    D, E = arms.shape[2], other_arms.shape[2]
    start = xp.broadcast_to(_corner(xp, (D, E), arms.dtype), (2, D, E))

    def absorb(carry, site):
        M, log_scale = carry
        A, B, G = site
        half = xp.einsum("tle,tlsr->tesr", M, A)
        half = xp.einsum("tesr,tsu->teur", half, G)
        M = xp.einsum("teur,teuf->trf", half, B)
        scale = power_of_two_scale(M, axis=(1, 2))
        return (M / scale, log_scale + xp.log(scale[:, 0, 0])), None

    (M, log_scale), _ = run.scan(
        absorb, (start, xp.zeros(2, arms.dtype)), (arms, other_arms, metric)
    )
    left = xp.einsum("le,lcr->ecr", M[0], readout)
    right = xp.einsum("ecr,rf->ecf", left, M[1])
    return xp.einsum("ecf,ecf->c", right, other_readout), log_scale.sum()


def _corner(xp, shape, dtype):
    """1 in the first entry of a matrix, 0 elsewhere: where a chain is closed."""
    return xp.eye(1, shape[1], dtype=dtype) * xp.eye(1, shape[0], dtype=dtype).T


def mean_and_penalty(arms, readout, weights):
    """The constant part m_c of f_c, and the ridge in function space

        J = sum_c sum_{s != 0} [prod_i g_i(s_i)] W_c[s]^2 ,  g_i(0) = 1

    which is independent of the gauge and of the batch. For an orthonormal basis with a constant
    first component m_c is the mean of f_c, and g = 1 makes J its variance, both over the product
    of the columns' distributions.

    arms (h, 2, D, d, D), readout (D, c, D), weights g (h, 2, d) -> (c,), ()
    """
    run = executor_of(arms, readout)
    xp = run.xp
    D = arms.shape[2]
    # J must not come out as the difference of two large numbers: the constant path, v, is carried
    # apart from the paths that have left it, M.
    v = xp.broadcast_to(xp.eye(1, D, dtype=arms.dtype), (2, D))
    M = xp.zeros((2, D, D), arms.dtype)

    def absorb(carry, site):
        v, M, log_scale = carry
        A, g = site
        half = xp.einsum("tlk,tlsr->tksr", M, A)
        M = xp.einsum("tksr,tksu->tru", half * g[:, None, :, None], A)
        leaving = xp.einsum("tl,tlsr->tsr", v, A[:, :, 1:])
        M = M + xp.einsum("tsr,tsu->tru", leaving * g[:, 1:, None], leaving)
        v = xp.einsum("tl,tlr->tr", v, A[:, :, 0])
        size = xp.abs(v).max(-1) + xp.sqrt(xp.abs(M).max((1, 2)))
        scale = power_of_two_scale(size[:, None], axis=-1)
        carry = v / scale, M / (scale * scale)[:, :, None], log_scale + xp.log(scale[:, 0])
        return carry, None

    (v, M, log_scale), _ = run.scan(absorb, (v, M, xp.zeros(2, arms.dtype)), (arms, weights))
    scale = xp.exp(log_scale.sum())
    # Left varying with anything on the right, plus left constant with right varying.
    anything = M[1] + xp.outer(v[1], v[1])
    penalty = xp.einsum("lk,lcr,ru,kcu->", M[0], readout, anything, readout, optimize=True)
    from_constant = xp.einsum("l,lcr->cr", v[0], readout)
    penalty = penalty + xp.einsum("cr,ru,cu->", from_constant, M[1], from_constant)
    return scale * xp.einsum("cr,r->c", from_constant, v[1]), scale * scale * penalty


def canonicalize(arms, readout):
    """Mixed canonical form with the centre on the readout: the same function, every arm core an
    isometry, sum_{ls} A[l, s, r] A[l, s, r'] = 1 on its support.

    The norm moves into the readout; padded bonds stay zero.

    arms (h, 2, D, d, D), readout (D, c, D) -> the same shapes
    """
    run = executor_of(arms, readout)
    xp = run.xp
    _, _, D, d, _ = arms.shape
    start = xp.broadcast_to(_corner(xp, (D, D), arms.dtype), (2, D, D))

    def absorb(R, core):
        merged = xp.einsum("tkl,tlsr->tksr", R, core).reshape(2, D * d, D)
        Q, R = xp.linalg.qr(merged)
        # QR leaves the sign of each row of R free: fix it, so that equal chains get equal cores.
        sign = xp.where(xp.diagonal(R, axis1=1, axis2=2) < 0, -1.0, 1.0).astype(core.dtype)
        # QR fills Q up with arbitrary columns where there is nothing: they would pass for bonds.
        size = xp.abs(R).max(-1)
        rounding = D * d * xp.finfo(core.dtype).eps * size.max(-1, keepdims=True)
        sign = xp.where(size > rounding, sign, 0)
        return R * sign[:, :, None], (Q * sign[:, None, :]).reshape(2, D, d, D)

    R, isometries = run.scan(absorb, start, arms)
    return isometries, xp.einsum("kl,lcr,ur->kcu", R[0], readout, R[1])


def dense_sites(cores, readout, output_site):
    """A chain as n + 1 cores (l, s, r) in float64 with the readout in its place and closed ends."""
    sites = [np.asarray(A, np.float64) for A in cores]
    sites.insert(output_site, np.asarray(readout, np.float64))
    sites[0] = sites[0][:1]
    sites[-1] = sites[-1][:, :, :1]
    return sites


def to_dense(cores, readout, output_site):
    """The full weight tensor W (d, ..., d, c): the reference for tests, 2 <= n <= about 10."""
    out = np.ones((1, 1))
    for core in dense_sites(cores, readout, output_site):
        out = np.einsum("kl,lsr->ksr", out, core).reshape(-1, core.shape[2])
    n, d, c = len(cores), cores.shape[2], readout.shape[1]
    shape = (d,) * output_site + (c,) + (d,) * (n - output_site)
    return np.moveaxis(out.reshape(shape), output_site, -1)
