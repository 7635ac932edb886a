"""Tree tensor networks: class, contraction, dense form.

The leaves of a binary tree are the table's sites, their cores A_i (d_i, r) read the site vectors;
an inner node joins what its two children send it, and the root holds the output index c:

    u_i = A_i^T phi_i(x_i) ,   u_v = sum_ab A_v[a, b, :] u_left[a] u_right[b] ,
    f_c(x) = sum_ab R[a, c, b] u_left[a] u_right[b] .

A topology is an array `merges` (k, 2): node n + j has the children merges[j], each a site 0..n-1 or
an earlier node, as in SciPy's linkage matrices; the last one is the root. A child -1, which a tree
of a single site needs, sends the number 1.

See Shi, Duan and Vidal, Phys. Rev. A 74, 022320 (2006); Grasedyck, SIAM J. Matrix Anal. Appl. 31,
2029 (2010).

Examples
--------
>>> import numpy as np
>>> from sktn.networks.tree import TTN, contract
>>> rng = np.random.default_rng(0)
>>> leaves = tuple(rng.normal(size=(3, 2)) for _ in range(3))
>>> merges = np.array([[0, 1], [3, 2]])
>>> network = TTN(leaves, (rng.normal(size=(2, 2, 4)),), rng.normal(size=(4, 1, 2)), merges)
>>> contract(network, rng.normal(size=(3, 3, 5))).shape  # five rows
(5, 1)
"""

from dataclasses import dataclass, replace

import jax
import numpy as np

from sktn.backend import executor_of
from sktn.networks.linalg import power_of_two_scale
from sktn.networks.topology import chain_topology


@dataclass(frozen=True, eq=False)
class TTN:
    """A tree with an output at its root: the weight tensor of a model.

    Attributes
    ----------
    leaves : tuple of ndarray of shape (d, r)
        The cores of the table's sites.
    cores : tuple of ndarray of shape (r_left, r_right, r)
        Those of the inner nodes but the root, in the order of `merges`.
    readout : ndarray of shape (r_left, c, r_right)
        The root.
    merges : ndarray of shape (n_inner, 2)
        The children of every inner node, the root last.
    """

    leaves: tuple
    cores: tuple
    readout: np.ndarray
    merges: np.ndarray

    @property
    def n_sites(self):
        return len(self.leaves)

    @property
    def n_outputs(self):
        return self.readout.shape[1]

    @property
    def dtype(self):
        return self.readout.dtype

    @property
    def bond_dims(self):
        """Dimension of the bond above every node but the root: (n_sites + n_inner - 1,)"""
        return np.array([core.shape[-1] for core in (*self.leaves, *self.cores)], int)

    @property
    def n_parameters(self):
        return self.readout.size + sum(core.size for core in (*self.leaves, *self.cores))

    def scaled(self, factors):
        """The tree for site vectors divided by `factors` (n, d): A_i -> diag(factors_i) A_i."""
        leaves = tuple(
            core * factor[:, None].astype(core.dtype)
            for core, factor in zip(self.leaves, factors, strict=True)
        )
        return replace(self, leaves=leaves)

    def astype(self, dtype):
        """With every array in the order of its axes, as it comes back from a pickle."""
        leaves, cores = (
            tuple(np.asarray(core, dtype, order="C") for core in part)
            for part in (self.leaves, self.cores)
        )
        readout = np.asarray(self.readout, dtype, order="C")
        return replace(self, leaves=leaves, cores=cores, readout=readout)

    def isfinite(self):
        every = [self.readout, *self.leaves, *self.cores]
        return all(np.isfinite(array).all() for array in every)

    def padded(self):
        """Arrays of one bond dimension for :func:`contract_padded`: leaves (n, d, D), cores
        (k - 1, D, D, D), readout (D, c, D), merges."""
        d = max((len(core) for core in self.leaves), default=1)
        D = int(max(self.bond_dims.max(initial=1), *self.readout.shape[::2]))
        leaves = np.zeros((len(self.leaves), d, D), self.dtype)
        cores = np.zeros((len(self.cores), D, D, D), self.dtype)
        readout = np.zeros((D, self.n_outputs, D), self.dtype)
        pairs = [*zip(leaves, self.leaves, strict=True), *zip(cores, self.cores, strict=True)]
        for out, core in [*pairs, (readout, self.readout)]:
            out[tuple(slice(size) for size in core.shape)] = core
        return leaves, cores, readout, self.merges


jax.tree_util.register_dataclass(
    TTN, data_fields=["leaves", "cores", "readout", "merges"], meta_fields=[]
)


def from_chain(chain):
    """A chain as the tree of its shape, whose nodes join what an arm has sent so far and the next
    site: MPS -> TTN with the merges of :func:`~sktn.networks.topology.chain_topology`"""
    leaves, cores, readout = [None] * chain.n_sites, [], chain.readout
    for arm, sites in zip(chain.arms, chain.arm_orders, strict=True):
        for k, (core, site) in enumerate(zip(arm, sites, strict=True)):
            if k == 0:
                leaves[site] = core[0]
            else:
                leaves[site] = np.eye(core.shape[1], dtype=core.dtype)
                cores.append(core)
    if not chain.arms[0]:
        # The only site is the left child.
        readout = readout.swapaxes(0, 2)
    merges = chain_topology(chain.order, chain.output_site)
    return TTN(tuple(leaves), tuple(cores), readout, merges)


def with_surplus(core, children, surplus):
    """A core times what its children leave over when they become isometries: core (a, b, r),
    surplus list of (a', a), a child -1 leaves nothing -> (a', b', r)"""
    left, right = children
    core = core if left < 0 else np.tensordot(surplus[left], core, 1)
    return core if right < 0 else np.tensordot(surplus[right], core, (1, 1)).swapaxes(0, 1)


def join(core, left, right):
    """A node's message from those of its children, rows last: core (a, b, r), left (a, N),
    right (b, N) -> (r, N)"""
    pairs = (left[:, None] * right).reshape(-1, left.shape[1])
    return core.reshape(-1, core.shape[2]).T @ pairs


def messages(network, phi):
    """What every node but the root sends up, and the logs of the scales, rows last.

    NumPy: phi (n, d, b) -> list of (r, b), list of (b,)
    """
    sent = [core.T @ x[: len(core)] for core, x in zip(network.leaves, phi, strict=True)]
    logs = [np.zeros(phi.shape[2], phi.dtype)] * len(sent)
    for core, (left, right) in zip(network.cores, network.merges, strict=False):
        vector = join(core, _of(sent, left, phi), _of(sent, right, phi))
        # A product of n numbers leaves float32's range after a few dozen sites.
        scale = power_of_two_scale(vector, axis=0)
        sent.append(vector / scale)
        logs.append(_log(logs, left) + _log(logs, right) + np.log(scale[0]))
    return sent, logs


def _of(sent, node, phi):
    return np.ones((1, phi.shape[2]), phi.dtype) if node < 0 else sent[node]


def _log(logs, node):
    return 0 if node < 0 else logs[node]


def root_messages(network, phi):
    """The two messages that meet at the root, and the log of their common scale.

    NumPy: phi (n, d, b) -> (l, b), (r, b), (b,)
    """
    sent, logs = messages(network, phi)
    left, right = network.merges[-1]
    log_scale = np.zeros(phi.shape[2], phi.dtype) + _log(logs, left) + _log(logs, right)
    return _of(sent, left, phi), _of(sent, right, phi), log_scale


def contract(network, phi):
    """f_c(x) of rows, NumPy: phi (n, d, b) -> (b, c)"""
    left, right, log_scale = root_messages(network, phi)
    reached = np.tensordot(network.readout, left, (0, 0))  # (c, r, b)
    return ((reached * right).sum(axis=1) * np.exp(log_scale)).T


def root_messages_padded(leaves, cores, merges, phi):
    """`root_messages` of a padded tree as one scan over its nodes, rows first: what compiles.

    leaves (n, d, D), cores (k - 1, D, D, D), merges (k, 2), phi (b, n, d)
    -> (b, D), (b, D), (b,)
    """
    run = executor_of(leaves, phi)
    xp = run.xp
    n, d, D = leaves.shape
    b = len(phi)
    sent = xp.einsum("bnd,ndr->nbr", phi[:, :, :d], leaves)
    later = xp.zeros((len(cores), b, D), leaves.dtype)
    # The child -1 is the last entry.
    one = xp.broadcast_to(xp.eye(1, D, dtype=leaves.dtype), (1, b, D))
    sent = xp.concatenate([sent, later, one])
    logs = xp.zeros((len(sent), b), leaves.dtype)

    def absorb(carry, node):
        sent, logs = carry
        core, (left, right), place = node
        spread = (sent[left] @ core.reshape(D, D * D)).reshape(b, D, D)
        vector = xp.einsum("bsr,bs->br", spread, sent[right])
        scale = power_of_two_scale(vector, axis=-1)
        log = logs[left] + logs[right] + xp.log(scale[:, 0])
        return (run.set_at(sent, place, vector / scale), run.set_at(logs, place, log)), None

    places = xp.arange(n, n + len(cores))
    (sent, logs), _ = run.scan(absorb, (sent, logs), (cores, merges[:-1], places))
    left, right = merges[-1]
    return sent[left], sent[right], logs[left] + logs[right]


def contract_padded(leaves, cores, readout, merges, phi):
    """f_c(x) of a padded tree: see :func:`root_messages_padded` -> (b, c)"""
    xp = executor_of(leaves, phi).xp
    left, right, log_scale = root_messages_padded(leaves, cores, merges, phi)
    out = xp.einsum("bcr,br->bc", xp.einsum("bl,lcr->bcr", left, readout), right)
    return out * xp.exp(log_scale)[:, None]


def below(merges, n_sites):
    """The sites below every node: list of n_sites + k sorted arrays, a child -1 has none."""
    sites = [np.array([i]) for i in range(n_sites)]
    for pair in merges:
        parts = [sites[child] for child in pair if child >= 0]
        sites.append(np.sort(np.concatenate(parts or [np.zeros(0, int)])))
    return sites


def to_dense(network):
    """The weight tensor, for small trees: (d_1, .., d_n, c)"""
    n = network.n_sites
    tensors = [(core, [i]) for i, core in enumerate(network.leaves)]
    nothing = np.ones(1, network.dtype), []

    def of(child):
        return nothing if child < 0 else tensors[child]

    for core, (left, right) in zip(network.cores, network.merges, strict=False):
        (a, first), (b, second) = of(left), of(right)
        joined = np.tensordot(a, np.tensordot(b, core, (-1, 1)), (-1, -2))
        tensors.append((joined, first + second))
    (a, first), (b, second) = (of(child) for child in network.merges[-1])
    joined = np.tensordot(a, network.readout, (-1, 0))  # (.., c, r)
    joined = np.moveaxis(np.tensordot(joined, b, (-1, -1)), len(first), -1)
    return np.transpose(joined, [*np.argsort(first + second), n])
