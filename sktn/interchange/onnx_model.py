"""Fitted chains and trees as ONNX models: the reading of the table, the basis, the network, the
answers."""

from typing import NamedTuple

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from sktn.embeddings import LinearComplement
from sktn.embeddings.polynomials import Legendre, Mixed, _Recurrence
from sktn.interchange.onnx_graph import Graph, Value
from sktn.networks.tree import TTN
from sktn.tables.columns import RANKED, GroupedColumns

# A vector is rescaled after so many sites: in between it stays inside the range of float32.
_RESCALE = 8


def to_onnx(model, *, dtype=np.float64):
    """A fitted chain or tree as an ONNX model, for runtimes in any language.

    The input "X" is the table of numbers that the model was fitted to, NaN for missing. A regressor
    has the output "variable", a classifier "label" and "probabilities", by the convention of
    sklearn-onnx.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor, one of their CV versions, TTNClassifier or TTNRegressor
        Fitted, on numbers: levels of categorical columns may be numbers, but not strings. Bases of
        polynomials ("legendre", "polynomial", "hermite", "laguerre", "chebyshev"), "mixed" and
        "linear_complement".
    dtype : {np.float32, np.float64}, default=np.float64
        Of the input and of all computations.

    Returns
    -------
    onnx_model : onnx.ModelProto
        ``onnx_model.SerializeToString()`` is what runtimes load.

    Raises
    ------
    ImportError
        Without onnx.
    ValueError
        If a part of the model has no counterpart.

    Examples
    --------
    >>> from sktn.interchange import to_onnx
    >>> with open("model.onnx", "wb") as file:  # doctest: +SKIP
    ...     file.write(to_onnx(model).SerializeToString())
    """
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"dtype must be np.float32 or np.float64, got {dtype!r}.")
    estimators, shares = getattr(model, "estimators_", [model]), getattr(model, "weights_", [1.0])
    for estimator in estimators:
        _check(estimator)
    graph = Graph(dtype)
    X = Value(graph, "X")
    head = _probabilities if is_classifier(model) else _predictions
    answers = [
        float(share) * head(estimator, [_scores(X, estimator, net) for net in _networks(estimator)])
        for share, estimator in zip(shares, estimators, strict=True)
    ]
    answer = sum(answers[1:], answers[0])
    if not is_classifier(model):
        outputs = {"variable": (answer, dtype, [model.n_outputs_])}
        return graph.model(model.n_features_in_, outputs)
    if len(answers) > 1:
        answer = answer / answer.sum(1).reshape(-1, 1)
    classes = np.asarray(model.classes_)
    classes = classes if classes.dtype.kind in "iufb" else classes.astype(str).astype(object)
    place = graph.op("ArgMax", answer, axis=1, keepdims=0)
    label = graph.op("Gather", graph.as_it_is(classes), place, axis=0)
    kind = object if classes.dtype == object else classes.dtype
    outputs = {
        "label": (label, kind, []),
        "probabilities": (answer, dtype, [len(classes)]),
    }
    return graph.model(model.n_features_in_, outputs)


def _check(model):
    """Refuse what has no counterpart."""
    check_is_fitted(model)
    if not (hasattr(model, "networks_") or hasattr(model, "network_")):
        raise ValueError(
            f"to_onnx writes chains and trees, not {type(model).__name__}: of a pipeline pass the "
            "last step and write the others by sklearn-onnx; other predictors become chains by "
            "sktn.inspection.distill."
        )
    if isinstance(model.columns_, GroupedColumns) or not isinstance(
        model.basis_.embedding, _Recurrence | Mixed | LinearComplement
    ):
        raise ValueError(
            f"The embedding {model.embedding!r} has no counterpart in to_onnx: fit the model with "
            'a basis of polynomials, like "legendre".'
        )
    levels = () if model.encoder_ is None else model.encoder_.categories_
    if any(isinstance(level, str) for column in levels for level in column):
        raise ValueError(
            "to_onnx reads numbers, but the model was fitted to levels that are strings: fit it to "
            "their codes, e.g. of OrdinalEncoder, with categorical_features."
        )


def _networks(model):
    return model.networks_ if hasattr(model, "networks_") else [model.network_]


def _scores(X, model, network):
    """Scores of one network: X (b, n_features) -> (b, c)"""
    vectors = _site_vectors(X, model.columns_, model.basis_, model.encoder_)
    if isinstance(network, TTN):
        left, right = _root_messages(X.graph, network, vectors)
    else:
        left, right = (
            _run_arm(X.graph, arm, [vectors[i] for i in order])
            for arm, order in zip(network.arms, network.arm_orders, strict=True)
        )
    l, c, r = network.readout.shape
    reached = (left.vector @ network.readout.reshape(l, c * r)).reshape(-1, c, r)
    scores = (reached * right.vector.reshape(-1, 1, r)).sum(2)
    return scores * (left.log_scale + right.log_scale).exp()


class _End(NamedTuple):
    """The bond vectors at the end of an arm, or above a node, and the logs of their scales:
    (b, r), (b, 1)"""

    vector: Value
    log_scale: Value

    def rescaled(self):
        graph = self.vector.graph
        size = graph.op(
            "ReduceMax", graph.op("Abs", self.vector), np.array([1], np.int64), keepdims=1
        )
        size = graph.op("Max", size, np.asarray(np.finfo(graph.dtype).tiny, graph.dtype))
        return _End(self.vector / size, self.log_scale + graph.op("Log", size))


def _one(graph):
    """What stands where there is no site."""
    return _End(graph.constant(np.ones((1, 1))), graph.constant(np.zeros((1, 1))))


def _joined(core, left, right):
    """v_r = sum_ab A_abr left_a right_b: core (a, b, r), left (N, a), right (N, b) -> (N, r)"""
    a, b, r = core.shape
    pairs = left.reshape(-1, a, 1) * right.reshape(-1, 1, b)
    return pairs.reshape(-1, a * b) @ core.reshape(a * b, r)


def _run_arm(graph, cores, vectors):
    """v_r <- sum_ls A_lsr v_l phi_s, see :mod:`sktn.networks.arms`; arms without sites are 1."""
    end = _one(graph)
    for k, (core, phi) in enumerate(zip(cores, vectors, strict=True)):
        end = end._replace(vector=_joined(core, end.vector, phi))
        if k % _RESCALE == _RESCALE - 1:
            end = end.rescaled()
    return end


def _root_messages(graph, network, vectors):
    """What reaches the root from either side, see :mod:`sktn.networks.tree`."""
    zero = _one(graph).log_scale
    # Leaves read the first components of a site alone.
    sent = [
        _End(phi.take(range(len(core)), 1) @ core, zero)
        for phi, core in zip(vectors, network.leaves, strict=True)
    ]

    def of(child):
        return _one(graph) if child < 0 else sent[child]

    for core, pair in zip(network.cores, network.merges, strict=False):
        left, right = (of(child) for child in pair)
        vector = _joined(core, left.vector, right.vector)
        sent.append(_End(vector, left.log_scale + right.log_scale).rescaled())
    return tuple(of(child) for child in network.merges[-1])


def _site_vectors(X, columns, basis, encoder):
    """phi of every site: list of (b, d), see `tables.basis.embed`"""
    graph = X.graph
    numeric = np.flatnonzero(~columns.categorical)
    found = [None] * columns.n_sites
    if len(numeric):
        part = X.take(columns.kept[numeric], 1)
        absent = graph.op("IsNaN", part)
        coords = _coordinates(graph.op("Where", absent, np.zeros((), graph.dtype), part), columns)
        for place, i in enumerate(numeric):
            raw = _raw(basis.embedding, [z.take([place], 1) for z in coords])
            phi = raw @ basis.transform[i]
            phi = phi.clip(-basis.bound, basis.bound) if np.isfinite(basis.bound) else phi
            gap = graph.op("Gather", absent, np.array([place], np.int64), axis=1)
            found[i] = graph.op("Where", gap, basis.missing[i : i + 1].astype(graph.dtype), phi)
    for j, i in enumerate(basis.sites):
        own = int(np.flatnonzero(encoder.columns == columns.kept[i])[0])
        ranks = columns.level_ranks[j]
        known = np.flatnonzero(ranks >= 0)
        values = np.array([[encoder.categories_[own][code] for code in known]], np.float64)
        hits = graph.op("Equal", X.take([columns.kept[i]], 1), values.astype(graph.dtype))
        hits = graph.op("Cast", hits, to=graph.type_of(graph.dtype))
        # What is none of the levels has the vector of a missing value.
        table = np.clip(basis.table[j][ranks[known]], -basis.bound, basis.bound) - basis.missing[i]
        found[i] = hits @ table + basis.missing[i : i + 1]
    return found


def _coordinates(X, columns):
    """Channels of the numeric sites' coordinates, each (b, n); see `tables.columns`."""
    sites = ~columns.categorical
    low, high = columns.domain
    half, channels = (high - low) / 2, []
    if columns.scaling == "none":
        channels.append(X.clip(low, high))
    if columns.scaling in ("standard", "minmax", "mixed", "common"):
        unit = (X - columns.center[sites]) / columns.scale[sites]
        channels.append(low + (unit.clip(-1.0, 1.0) + 1.0) * half)
    if columns.scaling in RANKED:
        ranks = _interpolated(X, columns.knots[sites], columns.ranks[sites])
        channels.append(low + (ranks + 1.0) * half)
    bounds = zip(columns.low[sites].T, columns.high[sites].T, strict=True)
    return [z.clip(*bound) for z, bound in zip(channels, bounds, strict=True)]


def _interpolated(X, knots, ranks):
    """np.interp of every column: X (b, n), knots (n, K), ranks (n, K) -> (b, n)"""
    graph, (n, K) = X.graph, knots.shape
    if K == 1:
        return X * 0.0 + ranks[:, 0]
    X = X.clip(knots[:, 0], knots[:, -1])
    passed = graph.op(
        "GreaterOrEqual", X.reshape(-1, n, 1), knots[None, :, 1:-1].astype(graph.dtype)
    )
    piece = graph.op(
        "ReduceSum",
        graph.op("Cast", passed, to=graph.type_of(np.int64)),
        np.array([2], np.int64),
        keepdims=0,
    )
    # Pieces of all columns in one list.
    piece = graph.op("Add", piece, np.arange(n, dtype=np.int64)[None] * (K - 1))
    width = np.diff(knots, axis=1)
    # Knots are repeated at the end: such a piece has no width, and the last rank.
    slope = np.divide(np.diff(ranks, axis=1), width, out=np.zeros_like(width), where=width > 0)
    start, slope, level = (
        graph.op("Gather", part.ravel().astype(graph.dtype), piece, axis=0)
        for part in (knots[:, :-1], slope, ranks[:, :-1])
    )
    return level + (X - start) * slope


def _raw(embedding, z):
    """Raw components (with a constant before them where the embedding has none): z one (b, 1) a
    channel -> (b, r)"""
    one = z[0] * 0.0 + 1.0
    if isinstance(embedding, Mixed):
        first, *others = _polynomials(Legendre(embedding.degree), z[1])
        parts = [first, z[0], *others]
    elif isinstance(embedding, LinearComplement):
        parts = [one, z[0], 1.0 - z[0]]
    else:
        parts = _polynomials(embedding, z[0])
    return z[0].graph.op("Concat", *parts, axis=1)


def _polynomials(family, x):
    """The recurrence of a family, written down: x (b, 1) -> list of (b, 1)"""
    p = [x * 0.0 + 1.0, family.first(x)]
    for k in range(1, family.degree):
        p.append(family.following(k, x, p[k], p[k - 1]))
    return [family.norm(k) * p[k] for k in range(family.degree + 1)]


def _predictions(model, scores):
    """The mean of the networks in units of the target: list of (b, c) -> (b, c)"""
    if model.loss_.log_link:
        scores = [score.exp() for score in scores]
    mean = sum(scores[1:], scores[0]) / len(scores)
    return mean * model.target_scale_ + model.target_center_


def _probabilities(model, scores):
    """The mean of the networks' probabilities: list of (b, c) -> (b, max(c, 2))"""
    if len(model.classes_) == 2:
        scores = [score @ np.array([[-0.5, 0.5]]) for score in scores]
    parts = [score.graph.op("Softmax", score, axis=1) for score in scores]
    return sum(parts[1:], parts[0]) / len(parts)
