"""A fitted network with more samples: in what units they are found, and what it then tells."""

import numpy as np
from sklearn.utils import check_random_state

from sktn.decomposition.base import in_range, to_units
from sktn.networks import graph
from sktn.solvers.deadline import Deadline
from sktn.structure.appending import encoded
from sktn.structure.folding import joined

__all__ = ["appended"]


def appended(model, X, target):
    """Fitted attributes of a model once samples have been appended.

    X (m, I_1, .., I_k) or (m, features), target relative error of these, None for any
    -> dict of str to object
    """
    if np.isnan(X).any():
        X = np.where(np.isnan(X), model.predict(X), X)
    rng = np.random.default_rng(check_random_state(model.random_state).randint(2**31 - 1))
    cores, dtype = list(model.cores_), model.cores_[0].dtype
    factors = model.folded_shape_
    for _ in factors[0][1:]:
        cores = joined(cores, 0)
    old, n_samples = cores[0], len(cores[0]) + len(X)
    factors = ((n_samples,), *factors[1:])
    # The samples and all cores over powers of two: their squares stay within the floats.
    (X, *units), (level, *powers) = to_units([a.astype(np.float64) for a in (X, *cores)])
    X = X.reshape(len(X), *[n for lengths in factors[1:] for n in lengths])
    norm2 = float(np.vdot(X, X))
    allowed = np.inf if target is None else target**2 * norm2
    deadline = Deadline.after(model.time_limit)
    found, error = encoded(units, X, n_samples, allowed, rng, deadline)
    back = [level - sum(powers[1:]), *powers[1:]]
    codes, *cores = [in_range(c, power).astype(dtype) for c, power in zip(found, back, strict=True)]
    wider = [(0, codes.shape[j] - old.shape[j] if j else 0) for j in range(codes.ndim)]
    cores = [np.concatenate([np.pad(old, wider), codes]), *cores]
    # What the network misses of the old samples is at right angles to what it says of them.
    said = graph.inner(units, units) / max(1.0 - model.reconstruction_error_**2, 1e-12)
    with np.errstate(over="ignore"):
        ratio = np.ldexp(said, 2 * (sum(powers) - level)) / max(norm2, 1e-300)
    share = 1.0 / (1.0 + ratio)
    missed = (1.0 - share) * model.reconstruction_error_**2 + share * error / max(norm2, 1e-300)
    n_parameters = sum(core.size for core in cores)
    shape = (n_samples, *model.tensor_shape_[1:])
    return {
        "cores_": cores,
        "bond_dims_": graph.bond_dims(cores),
        "reconstruction_error_": float(np.sqrt(missed)),
        "n_parameters_": n_parameters,
        "compression_ratio_": n_parameters / float(np.prod(shape, dtype=float)),
        "tensor_shape_": shape,
        "folded_shape_": factors,
        "size_bound_": None,
        "optimality_gap_": None,
    }
