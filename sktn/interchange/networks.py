"""Networks to and from quimb and TensorLy, where these are installed.

    chains        list of arrays (l, s, r)       quimb MatrixProductState     TensorLy TTTensor
    operators     list of arrays (l, s, o, r)    quimb MatrixProductOperator
    rings         list of arrays (l, s, r)                                    TensorLy TRTensor
    graphs        N arrays of N axes             quimb TensorNetwork          (TT and TR only)

The outer bonds of a chain have length 1, and graphs are as in :mod:`sktn.networks.graph`.
"""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sktn.decomposition.base import GraphDecomposer
from sktn.interchange.optional import imported

__all__ = ["from_quimb", "from_tensorly", "network_arrays", "to_quimb", "to_tensorly"]


def network_arrays(model: Any, *, member: int = 0) -> list[np.ndarray]:
    """The arrays of a fitted model's network.

    Parameters
    ----------
    model : fitted estimator
        A classifier or regressor (its output is a site of its own, at its place in the chain), a
        density estimator, or a decomposer.
    member : int, default=0
        Which network of an ensemble.

    Returns
    -------
    arrays : list of ndarray
        A chain of (l, s, r), or N graph cores of N axes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sktn import MPSClassifier
    >>> from sktn.interchange import network_arrays
    >>> X, y = load_iris(return_X_y=True)
    >>> arrays = network_arrays(MPSClassifier(bond_dim=3, alpha=0.1, random_state=0).fit(X, y))
    >>> len(arrays), arrays[0].shape[0], arrays[-1].shape[2]
    (5, 1, 1)
    """
    if isinstance(model, list | tuple):
        return [np.asarray(core) for core in model]
    check_is_fitted(model)
    if hasattr(model, "networks_"):
        network = model.networks_[member]
        sites = network.cores()
        sites.insert(network.output_site, network.readout.copy())
        return sites
    cores = getattr(model, "cores_", None)
    if cores is None:
        members = hasattr(model, "estimators_")
        raise ValueError(
            f"{type(model).__name__} has no network that others could read"
            + ("; each of its estimators_ has one." if members else ".")
        )
    if isinstance(cores, np.ndarray):
        sites = [core.copy() for core in cores]
        sites[0], sites[-1] = sites[0][:1], sites[-1][..., :1]
        return sites
    return [core.copy() for core in cores]


def to_quimb(model: Any, *, member: int = 0, graph: bool = False) -> Any:
    """A network as a quimb object.

    Parameters
    ----------
    model : fitted estimator or list of ndarray
        See :func:`network_arrays`; lists hold chains or operators.
    member : int, default=0
        Which network of an ensemble.
    graph : bool, default=False
        A list holds graph cores.

    Returns
    -------
    network : MatrixProductState, MatrixProductOperator or TensorNetwork
        Site i has the outer index "k<i>" (operators: inputs "b<i>", outputs "k<i>"), as is quimb's
        custom. Core j of a graph has the tag "I<j>".

    Raises
    ------
    ImportError
        Without quimb.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.interchange import to_quimb
    >>> to_quimb([np.ones((1, 3, 2)), np.ones((2, 3, 1))]).bond_sizes()
    [2]
    """
    qtn = imported("quimb.tensor", "quimb")
    arrays = network_arrays(model, member=member)
    kind = _kind(arrays, graph or isinstance(model, GraphDecomposer))
    if kind == "chain":
        return qtn.MatrixProductState(_open_ends(arrays), shape="lrp")
    if kind == "operator":
        outputs_first = [core.swapaxes(1, 2) for core in arrays]
        return qtn.MatrixProductOperator(_open_ends(outputs_first), shape="lrud")
    tensors = []
    for k, core in enumerate(arrays):
        bonds = [j for j in range(len(arrays)) if j != k and core.shape[j] > 1]
        inds = [f"b{min(j, k)}-{max(j, k)}" if j != k else f"k{k}" for j in sorted([*bonds, k])]
        shape = [core.shape[j] for j in sorted([*bonds, k])]
        tensors.append(qtn.Tensor(core.reshape(shape), inds=inds, tags=f"I{k}"))
    return qtn.TensorNetwork(tensors)


def from_quimb(network: Any) -> list[np.ndarray]:
    """The arrays of a quimb network.

    Parameters
    ----------
    network : MatrixProductState, MatrixProductOperator or TensorNetwork
        An open chain, or any network in which each tensor has one outer index, all outer indices
        differ, and two tensors share at most one index.

    Returns
    -------
    arrays : list of ndarray
        In the layout of the kind of network, see the table of this module. Tensors of a general
        network are in the order of their outer indices' names where these end in numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.interchange import from_quimb, to_quimb
    >>> chain = [np.ones((1, 3, 2)), np.ones((2, 3, 1))]
    >>> [core.shape for core in from_quimb(to_quimb(chain))]
    [(1, 3, 2), (2, 3, 1)]
    """
    qtn = imported("quimb.tensor", "quimb")
    if isinstance(network, qtn.MatrixProductState | qtn.MatrixProductOperator):
        if network.cyclic:
            raise ValueError(
                "The ring cannot be read as an open chain: cut it, or give its arrays."
            )
        operator = isinstance(network, qtn.MatrixProductOperator)
        arrays = list(network.arrays)
        physical = [
            (network.lower_ind(i), network.upper_ind(i)) if operator else (network.site_ind(i),)
            for i in network.sites
        ]
        for k, i in enumerate(network.sites):
            tensor = network[i]
            left = list(tensor.bonds(network[network.sites[k - 1]])) if k else []
            last = k == len(arrays) - 1
            right = [] if last else list(tensor.bonds(network[network.sites[k + 1]]))
            data = tensor.transpose(*left, *physical[k], *right).data
            data = data if left else data[None]
            arrays[k] = np.asarray(data if right else data[..., None])
        return arrays
    tensors = list(network.tensors)
    outer = [[i for i in t.inds if i in network.outer_inds()] for t in tensors]
    if any(len(inds) != 1 for inds in outer):
        raise ValueError("Every tensor of the network must have one outer index.")
    order = sorted(range(len(tensors)), key=lambda k: _natural(outer[k][0]))
    tensors, outer = [tensors[k] for k in order], [outer[k][0] for k in order]
    arrays = []
    for k, tensor in enumerate(tensors):
        inds, shape = [], []
        for j, other in enumerate(tensors):
            shared = [outer[k]] if j == k else list(tensor.bonds(other))
            if len(shared) > 1:
                raise ValueError(f"Tensors {j} and {k} share {len(shared)} indices: fuse them.")
            inds += shared
            shape.append(tensor.ind_size(shared[0]) if shared else 1)
        arrays.append(np.asarray(tensor.transpose(*inds).data).reshape(shape))
    return arrays


def to_tensorly(model: Any, *, member: int = 0, graph: bool = False) -> Any:
    """A network as a TensorLy object.

    Parameters
    ----------
    model : fitted estimator or list of ndarray
        See :func:`network_arrays`; lists hold chains or rings.
    member : int, default=0
        Which network of an ensemble.
    graph : bool, default=False
        A list holds graph cores.

    Returns
    -------
    network : TTTensor or TRTensor
        Graphs whose edges form a path or a ring in the order of their modes; TensorLy has no class
        for others.

    Raises
    ------
    ImportError
        Without TensorLy.
    ValueError
        For operators and for other graphs.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.interchange import to_tensorly
    >>> chain = [np.ones((1, 3, 2)), np.ones((2, 3, 1))]
    >>> to_tensorly(chain).rank
    (1, 2, 1)
    """
    arrays = network_arrays(model, member=member)
    kind = _kind(arrays, graph or isinstance(model, GraphDecomposer))
    if kind == "graph":
        arrays = _as_ring(arrays)
    elif kind == "operator":
        raise ValueError("TensorLy has no class for matrix product operators: use to_quimb.")
    if arrays[0].shape[0] == 1:
        return imported("tensorly.tt_tensor", "tensorly").TTTensor(arrays)
    return imported("tensorly.tr_tensor", "tensorly").TRTensor(arrays)


def from_tensorly(network: Any) -> list[np.ndarray]:
    """The cores of a TensorLy TTTensor or TRTensor: a list of arrays (l, s, r).

    Parameters
    ----------
    network : TTTensor, TRTensor or list of arrays
        A train, a ring, or the cores of one.

    Returns
    -------
    arrays : list of ndarray

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.interchange import from_tensorly, to_tensorly
    >>> chain = [np.ones((1, 3, 2)), np.ones((2, 3, 1))]
    >>> [core.shape for core in from_tensorly(to_tensorly(chain))]
    [(1, 3, 2), (2, 3, 1)]
    """
    return [np.asarray(core) for core in getattr(network, "factors", network)]


def _kind(arrays, graph):
    """ "chain" (open or a ring), "operator" or "graph" """
    shapes = [core.shape for core in arrays]
    orders = {len(shape) for shape in shapes}
    if graph:
        N = len(shapes)
        if orders == {N} and all(shapes[i][j] == shapes[j][i] for i in range(N) for j in range(i)):
            return "graph"
    elif orders in ({3}, {4}) and all(
        shapes[k - 1][-1] == shape[0] for k, shape in enumerate(shapes)
    ):
        return "chain" if orders == {3} else "operator"
    raise ValueError(
        "The arrays form no network: a chain has arrays (l, s, r), an operator (l, s, o, r), a "
        f"graph of N cores arrays of N axes; got shapes {shapes}."
    )


def _open_ends(arrays):
    """(l, s, ..., r) -> quimb's (l, r, s, ...), without the outer bonds."""
    moved = [np.moveaxis(core, -1, 1) for core in arrays]
    if moved[0].shape[0] > 1:
        raise ValueError(
            "The arrays form a ring: sktn.networks.ring.to_open makes an open chain of it."
        )
    moved[0] = moved[0][0]
    moved[-1] = moved[-1][0] if len(moved) == 1 else moved[-1][:, 0]
    return moved


def _as_ring(arrays):
    """Graph cores whose bonds join consecutive modes, and the last to the first: (l, s, r)."""
    N, ring = len(arrays), []
    for k, core in enumerate(arrays):
        before, after = (k - 1) % N, (k + 1) % N
        others = [j for j in range(N) if j not in (before, k, after) and core.shape[j] > 1]
        if others:
            raise ValueError(
                f"Cores {k} and {others[0]} are joined: TensorLy has trains and rings only, use "
                "to_quimb."
            )
        if N == 2:
            # One bond between the two: a train.
            ring.append(core[None] if k == 0 else core[..., None])
            continue
        keep = [before, k, after]
        rest = tuple(j for j in range(N) if j not in keep)
        core = core.squeeze(rest)
        ring.append(np.moveaxis(core, [sorted(keep).index(j) for j in keep], [0, 1, 2]))
    return ring


def _natural(name):
    """Sorting key: "k10" comes after "k9"."""
    digits = name[len(name.rstrip("0123456789")) :]
    return name[: len(name) - len(digits)], int(digits or 0)
