"""What must hold of every generated case: a clear error, or sound results."""

import copy
import linecache
import os
import pickle
import random
import sys
import warnings

import hostile_inputs as hostile
import narwhals.stable.v2 as nw
import numpy as np
import pytest
from hostile_estimators import MAIN, draw
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_info

import sktn
from sktn import inspection
from sktn.fitted import fitted_attributes
from sktn.interchange import network_arrays
from sktn.tables.marginals import Empty

# What a user may be told: our own words are of these classes, accidents are of others.
TOLD = (UserWarning, ConvergenceWarning, DataConversionWarning)
EXPLAINED = ("MPSClassifier", "MPSRegressor", "MPSDensityEstimator", "TTN")
METHODS = ("decision_function", "predict_proba", "score_samples", "predict", "transform")


def explained(error):
    """Somebody wrote this error: the last line that ran is a `raise` of ours or scikit-learn's, or
    of joblib, which hands on what its threads raise."""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename
    written = linecache.getline(file, trace.tb_lineno).lstrip().startswith("raise")
    ours = any(package in file for package in ("sktn", "sklearn", "joblib"))
    return written and ours and len(str(error)) > 15


def attempt(function, *args):
    """What it returns, or None where it refuses with an error that is allowed."""
    try:
        return function(*args)
    except (ValueError, TypeError) as error:
        if isinstance(error, np.linalg.LinAlgError) or not explained(error):
            raise
        return None


def outputs(model, X):
    """What a fitted model says of X: name to array"""
    said = {}
    for method in METHODS:
        # A density and a detector may refuse what a fit allows, but then in words.
        if hasattr(model, method):
            found = attempt(getattr(model, method), X)
            if found is not None:
                said[method] = np.asarray(found)
    if hasattr(model, "sample"):
        said["sample"] = np.asarray(model.sample(5, random_state=0))
        for method in ("impute", "conditional_sample"):
            found = attempt(getattr(model, method), X, *[0] * (method != "impute"))
            if found is not None:
                said[method] = np.asarray(found)
    if hasattr(model, "feature_contributions"):
        found = attempt(model.feature_contributions, X)
        if found is not None:
            said["contributions"] = found.values
            said["p-values"] = model.score_to_pvalue(said["score_samples"])
    if hasattr(model, "inverse_transform") and "transform" in said:
        said["inverse_transform"] = model.inverse_transform(said["transform"])
    return said


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for key, value in found.items():
        if value.dtype == object:
            # NaN among objects is unequal to itself.
            assert repr(value.tolist()) == repr(wanted[key].tolist()), key
        else:
            np.testing.assert_array_equal(value, wanted[key], err_msg=key)


def sound(model, said, n):
    for key, value in said.items():
        if key != "sample":
            assert len(value) == n, key
        if key in ("sample", "impute", "conditional_sample"):
            # A column without values stays without.
            value = value[:, [not isinstance(column, Empty) for column in model.margins_.columns]]
        if hasattr(model, "image_shape_"):  # Gaps of an image stay gaps.
            assert np.isinf(getattr(model, "fill_value", 0.0)) or not np.isinf(value).any()
        elif value.dtype.kind == "f":
            assert np.isfinite(value).all(), f"{key} is not finite"
        elif value.dtype == object:
            numbers = [v for v in value.ravel() if isinstance(v, float)]
            assert np.isfinite(numbers).all(), key
    if "predict_proba" in said:
        p = said["predict_proba"]
        np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-5)
        assert (p >= 0).all()
        assert p.shape[1] == len(model.classes_)
        assert np.isin(said["predict"], model.classes_).all()
    if "p-values" in said:
        assert ((said["p-values"] > 0) & (said["p-values"] <= 1)).all()
    if "transform" in said and hasattr(model, "get_feature_names_out"):
        assert len(model.get_feature_names_out()) == said["transform"].shape[1]
    importances = attempt(lambda: getattr(model, "feature_importances_", None))
    assert importances is None or np.isfinite(importances).all()


def explained_soundly(model, X, rng):
    """Whatever explains a model does so in finite numbers, or says why not; the model stays."""
    j = int(rng.integers(model.n_features_in_))
    found = {
        "shares": lambda: inspection.variance_shares(model, X),
        "effect": lambda: inspection.marginal_effect(model, X, [j], grid_resolution=5),
        "shapley": lambda: inspection.shapley_values(model, X),
        "against rows": lambda: inspection.shapley_values(
            model, X, background=hostile.first_rows(X, 3)
        ),
        "interactions": lambda: inspection.interactions(model, X),
        "gradient": lambda: inspection.input_gradient(model, X),
        "entropy": lambda: inspection.bond_entropy(model),
        "information": lambda: inspection.mutual_information(model, 0, j),
        "truncate": lambda: inspection.truncate(model, max_error=0.1),
        "prune": lambda: inspection.prune(model, X, max_share=0.5),
        "limit": lambda: inspection.limit_order(model, 1, X=X),
        "arrays": lambda: network_arrays(model),
    }
    for name, explain in found.items():
        result = attempt(explain)
        if result is None:
            continue
        for key, value in numbers_of(result):
            # Squares of targets near the end of the floats are beyond it.
            finite = not np.isnan(value) if key == "variance" else np.isfinite(value).all()
            assert finite, f"{name}: {key} is not finite"
        if name in ("truncate", "prune", "limit"):
            said = attempt(result.model.predict, X)
            if said is not None and np.asarray(said).dtype.kind == "f":
                assert np.isfinite(said).all(), f"after {name}"


def numbers_of(result):
    """Every array of real numbers in a result, by its name."""
    if isinstance(result, (float, np.ndarray, list, tuple)):
        result = {"value": result}
    for key, value in (result if isinstance(result, dict) else vars(result)).items():
        if key in ("data", "grid_values", "model"):  # Values of X itself, gaps among them.
            continue
        for part in value if isinstance(value, (list, tuple)) else [value]:
            if np.asarray(part).dtype.kind == "f":
                yield key, part


def alone(model, X, said):
    """The first row says by itself what it says among the others."""
    if hasattr(model, "sample_posterior"):  # Only the mean of the rounds is of all rows.
        return
    for key, value in outputs(model, hostile.first_rows(X, 1)).items():
        other = key in ("sample", "conditional_sample") or hasattr(model, "image_shape_")
        if key in said and not other and value.dtype.kind == "f":
            # Sums of another order; logarithms of what is nearly nothing are off by more.
            # Of a detector the distance from an offset, which may be nothing but rounding.
            whole = key == "decision_function" and "score_samples" in said
            size = np.abs(said["score_samples" if whole else key]).max()
            tolerance = 1e-3 if value.dtype == np.float32 or key == "impute" else 1e-6
            np.testing.assert_allclose(
                value / (size or 1), said[key][:1] / (size or 1), atol=tolerance, err_msg=key
            )


def framed(model, X, kind):
    """The frame that `transform` is to return has the names and numbers that it should."""
    if not hasattr(model, "set_output") or not hasattr(model, "transform"):
        return
    wanted = attempt(model.transform, X)
    if np.ndim(wanted) > 2:
        return
    frame = attempt(clone_fitted(model).set_output(transform=kind).transform, X)
    if frame is not None and not nw.dependencies.is_into_dataframe(wanted):
        assert list(frame.columns) == list(model.get_feature_names_out())
        assert len(frame) == len(wanted)


def clone_fitted(model):
    return pickle.loads(pickle.dumps(model))


def process_state(seeded=True):
    """What a fit must leave as it was; where nobody seeds it, NumPy's own generator moves on."""
    jax = sys.modules.get("jax")
    return (
        sorted((pool["filepath"], pool["num_threads"]) for pool in threadpool_info()),
        list(warnings.filters),
        np.geterr(),
        jax and jax.config.jax_enable_x64,
        random.getstate(),
        seeded and pickle.dumps(np.random.get_state()),  # noqa: NPY002
        sktn.get_config(),
        dict(os.environ),
        os.getcwd(),
    )


def untouched(given, copies):
    """What the user passed is as it was."""
    for one, other in zip(given, copies, strict=True):
        if hasattr(one, "toarray"):
            one, other = one.toarray(), other.toarray()
        one, other = (np.asarray(x, dtype=object) for x in (one, other))
        assert repr(one.tolist()) == repr(other.tolist())


def check(name, seed):
    """One case: the verdict is an AssertionError, or an error that nobody wrote. -> whether the
    first fit was refused"""
    key = [list(MAIN).index(name), seed]
    rng = np.random.default_rng(key)
    model, given = draw(name, rng)
    X = given[0]
    parameters, copies = repr(model.get_params()), copy.deepcopy(given)
    threadpool_info()
    seeded = getattr(model, "random_state", 0) is not None
    before = process_state(seeded)
    # A clock, and a generator that nobody seeded or that goes on, decide where those end.
    repeatable = not (has(model, "time_limit") or "random_state=RandomState" in repr(model))
    repeatable = repeatable and seeded and "RandomState(" not in parameters
    if attempt(model.fit, *given) is None:
        assert not fitted_attributes(model)
        with pytest.raises(NotFittedError):
            check_is_fitted(model)
        assert process_state(seeded)[:1] + process_state(seeded)[2:] == before[:1] + before[2:]
        untouched(given, copies)
        return True
    assert process_state(seeded) == before
    untouched(given, copies)
    n = hostile.n_rows(X)
    said = outputs(model, X)
    sound(model, said, n)
    if draws(model):
        same(outputs(clone_fitted(model), X), said)
    # Of a generator of its own: what else is drawn for a case stays.
    apart = np.random.default_rng([*key, 1])
    if hasattr(model, "n_features_in_") and name.startswith(EXPLAINED) and apart.random() < 0.3:
        explained_soundly(model, X, apart)
        same(outputs(model, X), said)
    alone(model, X, said)
    assert repr(model.get_params()) == parameters
    assert not fitted_attributes(clone(model))
    if repeatable:
        other, again = draw(name, np.random.default_rng(key))
        same(outputs(clone(other).fit(*again), X), said)
    if rng.random() < 0.2:
        framed(model, X, hostile.pick(rng, ["pandas", "polars"]))
    more = hostile.changed(rng, X)
    sound(model, outputs(model, more), hostile.n_rows(more))
    # Everything else that it may be fitted on is either learnt whole or refused without a trace.
    _, given = draw(name, rng)
    if attempt(model.fit, *given) is None:
        if draws(model):
            same(outputs(model, X), said)
    else:
        sound(model, outputs(model, given[0]), hostile.n_rows(given[0]))
    assert process_state(seeded) == before
    return False


def draws(model):
    """Whether two calls say the same: not where a prediction draws from nobody's seed."""
    return getattr(model, "random_state", 0) == 0 or not getattr(model, "sample_posterior", False)


def has(model, name):
    """Whether a parameter, or the same of a template, is set."""
    values = model.get_params()
    return any(v is not None for k, v in values.items() if k.split("__")[-1] == name)


def run(name, seed):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        refused = check(name, seed)
    for warning in told:
        assert issubclass(warning.category, TOLD), warning
        assert not issubclass(warning.category, RuntimeWarning), warning
    return refused
