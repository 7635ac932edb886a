"""A tree from the convex limit: the exact minimiser at unlimited bond dimension, compressed to the
nearest tree (`networks.tree_rounding`), whose readout is found again and whose cores sweeps improve
(`solvers.tree_sweep`). What `solvers.convex_chain` does for chains."""

import numpy as np

from sktn.backend import executor_for
from sktn.networks.linalg import outer
from sktn.networks.topology import depth
from sktn.networks.tree import root_messages, root_messages_padded
from sktn.networks.tree_rounding import compress_tree
from sktn.solvers import convex
from sktn.solvers.convex_chain import refine_in_turns, refit_readout, rows_in_memory
from sktn.solvers.problem import Solution
from sktn.solvers.tree_sweep import sweep_tree


def solve_limit(problem, design, effort, stop=None):
    """The coefficients of the convex limit: -> B (r + 1, c), losses a unit of weight"""
    W, strengths = problem.weight[None], np.array([problem.strength])
    B, _, losses = convex.solve(design.Z, problem, W, strengths, effort, stop=stop)
    return B[0], np.array([float(loss[0]) for loss in losses]) / problem.total_weight


def fit_tree(problem, design, limit, tree, rng, effort):
    """The tree of bond dimension D from the convex limit.

    problem ChainProblem on N rows, design: its `convex.Design`, limit: of :func:`solve_limit`,
    tree: (merges (k, 2), bond_dim) -> Solution, its network for weighted site vectors
    """
    (B, history), (merges, bond_dim) = limit, tree
    sites = [np.ascontiguousarray(site) for site in design.landmarks.transpose(1, 0, 2)]
    network = compress_tree(merges, sites, design.V @ B[:-1], bond_dim, rng)
    norm = float((B[:-1].astype(np.float64) ** 2).sum())
    readout = network.readout.astype(np.float64)
    kept = float((readout**2).sum() - (readout[0, :, 0] ** 2).sum())
    # From what the compression left, its constant that of the solution.
    start = network.readout.transpose(0, 2, 1).reshape(-1, network.n_outputs).copy()
    start[0] = B[-1]
    run = executor_for(problem.n_rows * bond_dim**2)
    with run.precision(network.dtype):
        products = root_products(network, problem, run)
        flat, more = refit_readout(products, problem, effort, run, start=start)
    l, c, r = network.readout.shape
    readout = flat.reshape(l, r, c).transpose(0, 2, 1).astype(network.dtype)
    losses = [float(loss[0]) / problem.total_weight for loss in more]
    lost = max(0.0, 1 - kept / norm) if norm > 0 else 0.0
    network = type(network)(network.leaves, network.cores, readout, network.merges)
    return Solution([network], np.concatenate([history, losses]), lost)


def root_products(network, problem, run):
    """All products of the two messages that meet at the root: (N, l r)"""
    l, _, r = network.readout.shape
    if run.name == "numpy":
        parts = [_products(network, a.transpose(1, 2, 0)) for _, a in problem.blocks()]
        return np.concatenate(parts)
    leaves, cores, _, merges = run.put(network.padded())
    program, parts = run.jit(root_messages_padded), []
    for _, a in problem.blocks():
        left, right, log_scale = run.get(program(leaves, cores, merges, run.put_rows(a)))
        scaled = left[:, :l] * np.exp(log_scale)[:, None]
        parts.append(outer(scaled, right[:, :r]))
    return np.concatenate(parts)


def _products(network, a):
    left, right, log_scale = root_messages(network, a)
    return ((left * np.exp(log_scale))[:, None] * right).reshape(-1, a.shape[2]).T


def refine_tree(solution, problem, options, rng, n_landmarks, stop=None):
    """Sweeps from a solution whose network is for weighted site vectors, see
    :func:`sktn.solvers.convex_chain.refine_in_turns`."""

    def run(network, part, options):
        x = np.concatenate([a for _, a in part.blocks()]).transpose(1, 0, 2)
        return sweep_tree(network, np.ascontiguousarray(x), part, options, stop)

    limit = rows_of_tree(problem, solution.networks[0])
    return refine_in_turns(run, solution, problem, options, limit, rng, n_landmarks, stop)


def rows_of_tree(problem, network):
    """Rows whose site vectors, messages and widest features a sweep may hold. What lies beyond a
    node, for every score, is held on the way there from the root."""
    D, c = int(network.bond_dims.max(initial=1)), problem.n_scores
    wide = max((core.shape[0] * core.shape[1] for core in network.cores), default=1)
    messages = int(network.bond_dims.sum()) + depth(network.merges) * D * c
    return rows_in_memory(problem.penalty.size + messages + 3 * wide, problem)
