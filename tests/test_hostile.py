"""Nothing surprises: generated inputs of every kind give a clear error or sound results.

A case is one number: ``pytest "tests/test_hostile.py::test_a_case[MPSClassifier-17]"``. The
environment's SKTN_HOSTILE_CASES asks for so many cases an estimator.
"""

import copy
import linecache
import os
import pickle
import random
import sys
import time
import warnings

import hostile_inputs as hostile
import numpy as np
import pytest
from hostile_inputs import pick
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_info

import sktn
from sktn.anomaly import Looks, MeanState, Projector, RobustLooks, TrainedSMPO
from sktn.chains.regression import LOSSES
from sktn.fitted import fitted_attributes

# A profile of seconds for every run, of two minutes by the marker `slow`.
N_CASES, N_SLOW = 8, 40
ASKED = int(os.environ.get("SKTN_HOSTILE_CASES", "0"))
# What a user may be told: our own words are of these classes, accidents are of others.
TOLD = (UserWarning, ConvergenceWarning, DataConversionWarning)


# -- the estimators, with options --------------------------------------------------------------


def some(rng, share=0.4, **options):
    """A few of the options: name to one of its values."""
    return {k: pick(rng, v) for k, v in options.items() if rng.random() < share}


def chain_options(rng):
    # The gradient solvers compile programs for every shape, seconds each: rare.
    solver = pick(rng, ["convex", "sweep"] if rng.random() < 0.98 else ["adam", "lbfgs"])
    return some(
        rng,
        bond_dim=[1, 2, 7, 64],
        embedding=["legendre", "fourier", "rbf", "one_hot", "polynomial", "mixed"],
        degree=[1, 2, 5, 30],
        scaling=["quantile", "standard", "minmax", "mixed", "common", "none"],
        alpha=[0.0, 1e-12, 1.0, 1e12, 1e300],
        interaction_penalty=[0.0, 1e-3, 5.0, 1e6],
        smoothness=[0.0, 1.0, 50.0],
        relevance=["equal", "auto", "auto", [1.0, 2.0]],
        solver=[solver],
        max_landmarks=[1, 5, 1000],
        n_estimators=[1, 2],
        feature_order=["given", "correlation", "random", [0]],
        categorical_features=[None, "from_dtype", [0], ["word"]],
        missing=["auto", "marginal", "indicator"],
        time_limit=[1e-3, 5.0],
        random_state=[3],
    )


def mps_classifier(rng):
    options = chain_options(rng) | some(rng, 0.2, class_weight=["balanced", {0: 2.0}, {"no": 0}])
    return sktn.MPSClassifier(**{"random_state": 0, **options})


def mps_regressor(rng):
    options = chain_options(rng) | some(rng, loss=[*LOSSES, *LOSSES.values()])
    return sktn.MPSRegressor(**{"random_state": 0, **options})


def cv_options(rng):
    grid = {"bases": [("quantile", 2)], "alphas": [1.0, 0.01], "bond_dims": [3]}
    grid |= {"relevances": ["equal"], "interaction_penalties": [1.0], "smoothnesses": [1.0]}
    return grid | some(
        rng,
        bases=[[("standard", 1), ("mixed", 3)], [("none", 2)]],
        relevances=[["equal", "auto"]],
        smoothnesses=[[0.0, 5.0]],
        interaction_penalties=[[0.0, 4.0]],
        cv=[2, 3],
        max_members=[1, 3],
    )


def mps_classifier_cv(rng):
    options = some(rng, scoring=["accuracy", "neg_log_loss"], class_weight=["balanced"])
    return sktn.MPSClassifierCV(random_state=0, **cv_options(rng), **options)


def mps_regressor_cv(rng):
    options = some(rng, 0.3, loss=list(LOSSES))
    return sktn.MPSRegressorCV(random_state=0, **cv_options(rng), **options)


def detector(rng):
    operators = ["looks", "projector", "mean-state", "robust", Looks(ridge=1e-6, bond_dim=3)]
    operators += [Projector(bandwidth=1e-3), MeanState(bond_dim=2), RobustLooks(neighbourhood=0.5)]
    if rng.random() < 0.03:  # It compiles.
        operators = [TrainedSMPO(bond_dim=2)]
    options = some(
        rng,
        operator=operators,
        n_estimators=[2],
        trim=[0.1],
        contamination=[0.1, 0.5, 1e-6],
        categorical_features=[None, [0]],
    )
    return sktn.SMPOAnomalyDetector(random_state=0, **options)


def density(rng):
    options = some(
        rng,
        bond_dim=[1, 2, 20],
        degree=[0, 1, 3, 12],
        alpha=[0.0, 1.0, 1e6],
        n_components=[0, 1, 3],
        resolution=[None, 0.1, 1e-9],
        truncation_tol=[0.01],
        feature_order=["given", "random"],
        max_iter=[1, 5],
        validation_fraction=[None, 0.5],
    )
    return sktn.MPSDensityEstimator(random_state=0, **options)


def mps_imputer(rng):
    options = some(
        rng,
        max_iter=[1, 2],
        n_landmarks=[2, 300],
        sample_posterior=[True],
        categorical_features=[None, [0]],
        add_indicator=[True],
        keep_empty_features=[True],
    )
    return sktn.MPSImputer(random_state=0, **options)


def rgtn_decomposer(rng):
    options = some(
        rng,
        0.3,
        target_error=[0.0, 1e-6, 0.5, 1.0],
        max_parameters=[1, 30],
        ordered_modes=["auto", [0], [-1]],
        fold=["auto"],
        search=[sktn.RGSearch(tomography=False), sktn.RGSearch(n_cycles=2), "paper"],
        time_limit=[0.05],
    )
    return sktn.RGTNDecomposer(random_state=0, **options)


def tt_decomposer(rng):
    options = some(rng, target_error=[0.0, 1e-6, 0.5, 1.0], tensor_shape=[[2, -1], [3, 2]])
    return sktn.TTDecomposer(random_state=0, **options)


def rgtn_imputer(rng):
    options = some(
        rng,
        0.3,
        ordered_modes=["auto", [], [-1], [0, 1]],
        smoothness=["auto", 0.0, 100.0],
        residual=[False],
        n_scales=[1],
        validation_fraction=["auto", 0.3],
        growth=[0.1],
        ridge=["auto", 0.0],
        keep_empty_features=[False],
        add_indicator=[True],
        time_limit=[0.05],
        max_steps=[3],
    )
    return sktn.RGTNImputer(random_state=0, **options)


LABELLED, NUMBERED, WEIGHED, PLAIN = range(4)
MAIN = {
    "MPSClassifier": (mps_classifier, LABELLED),
    "MPSClassifierCV": (mps_classifier_cv, LABELLED),
    "MPSRegressor": (mps_regressor, NUMBERED),
    "MPSRegressorCV": (mps_regressor_cv, NUMBERED),
    "SMPOAnomalyDetector": (detector, WEIGHED),
    "MPSDensityEstimator": (density, WEIGHED),
    "MPSImputer": (mps_imputer, PLAIN),
    "RGTNDecomposer": (rgtn_decomposer, None),
    "TTDecomposer": (tt_decomposer, None),
    "RGTNImputer": (rgtn_imputer, None),
}


def draw(name, rng):
    """An estimator, and what its `fit` is given: X first"""
    make, kind = MAIN[name]
    if kind is None:
        return make(rng), [hostile.tensor(rng)]
    X = hostile.table(rng)
    n = hostile.n_rows(X)
    if kind == PLAIN:
        return make(rng), [X]
    y = None
    if kind != WEIGHED:
        y = hostile.labels(rng, n) if kind == LABELLED else hostile.targets(rng, n)
    return make(rng), [X, y, hostile.weights(rng, n)]


# -- what must hold ----------------------------------------------------------------------------


def explained(error):
    """Somebody wrote this error: the last line that ran is a `raise` of ours or scikit-learn's."""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename
    written = linecache.getline(file, trace.tb_lineno).lstrip().startswith("raise")
    return written and ("sktn" in file or "sklearn" in file) and len(str(error)) > 15


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
    for method in ("decision_function", "predict_proba", "score_samples", "predict", "transform"):
        # A density and a detector may refuse what a fit allows, but then in words.
        if hasattr(model, method):
            found = attempt(getattr(model, method), X)
            if found is not None:
                said[method] = np.asarray(found)
    if hasattr(model, "sample"):
        said["sample"] = np.asarray(model.sample(5, random_state=0))
        filled = attempt(model.impute, X)
        if filled is not None:
            said["impute"] = np.asarray(filled)
    return said


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for key, value in found.items():
        np.testing.assert_array_equal(value, wanted[key], err_msg=key)


def sound(model, said, n):
    for key, value in said.items():
        if key != "sample":
            assert len(value) == n, key
        if value.dtype.kind == "f":
            assert np.isfinite(value).all(), f"{key} is not finite"
        elif value.dtype == object:
            numbers = [v for v in value.ravel() if isinstance(v, float)]
            assert np.isfinite(numbers).all(), key
    if "predict_proba" in said:
        p = said["predict_proba"]
        np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-5)
        assert p.shape[1] == len(model.classes_)
        assert np.isin(said["predict"], model.classes_).all()


def process_state():
    jax = sys.modules.get("jax")
    return (
        sorted((pool["filepath"], pool["num_threads"]) for pool in threadpool_info()),
        list(warnings.filters),
        np.geterr(),
        jax and jax.config.jax_enable_x64,
        random.getstate(),
        sktn.get_config(),
    )


def check(name, seed):
    """One case: the verdict is an AssertionError, or an error that nobody wrote."""
    rng = np.random.default_rng([list(MAIN).index(name), seed])
    model, given = draw(name, rng)
    X = given[0]
    parameters = copy.deepcopy(model.get_params())
    threadpool_info()
    before = process_state()
    limited = parameters.get("time_limit") is not None
    if attempt(model.fit, *given) is None:
        assert not fitted_attributes(model)
        with pytest.raises(NotFittedError):
            check_is_fitted(model)
        assert process_state()[:1] + process_state()[2:] == before[:1] + before[2:]
        return
    said = outputs(model, X)
    sound(model, said, hostile.n_rows(X))
    same(outputs(pickle.loads(pickle.dumps(model)), X), said)
    assert repr(model.get_params()) == repr(parameters)
    assert not fitted_attributes(clone(model))
    other, again = draw(name, np.random.default_rng([list(MAIN).index(name), seed]))
    if not limited:  # A clock decides where those end.
        same(outputs(clone(other).fit(*again), X), said)
    # Everything else that it may be fitted on is either learnt whole or refused without a trace.
    _, given = draw(name, rng)
    if attempt(model.fit, *given) is None:
        same(outputs(model, X), said)
    else:
        sound(model, outputs(model, given[0]), hostile.n_rows(given[0]))
    assert process_state() == before


def cases(n, start=0):
    n = max(n, ASKED - start) if start else n
    return [(name, seed) for name in MAIN for seed in range(start, start + n)]


def run(name, seed):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        check(name, seed)
    for warning in told:
        assert issubclass(warning.category, TOLD), warning
    assert not [w for w in told if issubclass(w.category, RuntimeWarning)]


@pytest.mark.parametrize(("name", "seed"), cases(N_CASES))
def test_a_case(name, seed):
    run(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "seed"), cases(N_SLOW, N_CASES))
def test_more_cases(name, seed):
    run(name, seed)


# -- a fit happens, or it does not -------------------------------------------------------------

SMALL_GRID = {
    "bases": [("quantile", 2)],
    "alphas": [1.0, 0.1],
    "bond_dims": [3],
    "relevances": ["equal"],
    "interaction_penalties": [1.0],
    "smoothnesses": [1.0],
    "cv": 2,
}
TRANSACTIONS = {
    "MPSClassifier": sktn.MPSClassifier(random_state=0),
    "MPSClassifier sweep": sktn.MPSClassifier(solver="sweep", random_state=0),
    "MPSClassifierCV": sktn.MPSClassifierCV(random_state=0, **SMALL_GRID),
    "MPSRegressor": sktn.MPSRegressor(loss="huber", random_state=0),
    "MPSRegressorCV": sktn.MPSRegressorCV(random_state=0, **SMALL_GRID),
    "SMPOAnomalyDetector": sktn.SMPOAnomalyDetector(random_state=0),
    "MPSDensityEstimator": sktn.MPSDensityEstimator(max_iter=2, random_state=0),
    "MPSImputer": sktn.MPSImputer(max_iter=1, random_state=0),
    "RGTNDecomposer": sktn.RGTNDecomposer(random_state=0),
    "RGTNDecomposer fold": sktn.RGTNDecomposer(fold="auto", random_state=0),
    "RGTNImputer": sktn.RGTNImputer(max_steps=3, random_state=0),
    "TTDecomposer": sktn.TTDecomposer(random_state=0),
    "TRDecomposer": sktn.TRDecomposer(0.5, n_sweeps=5, random_state=0),
    "FCTNDecomposer": sktn.FCTNDecomposer(0.5, n_sweeps=5, random_state=0),
    "SVDinsTNDecomposer": sktn.SVDinsTNDecomposer(0.9, n_sweeps=3, n_tries=1, random_state=0),
    "GreedyTNDecomposer": sktn.GreedyTNDecomposer(0.9, random_state=0),
    "LocalSearchTNDecomposer": sktn.LocalSearchTNDecomposer(
        0.9, n_iterations=1, n_samples=2, random_state=0
    ),
    "GeneticTNDecomposer": sktn.GeneticTNDecomposer(
        0.9, population=4, n_generations=1, random_state=0
    ),
    "EnumerationTNDecomposer": sktn.EnumerationTNDecomposer(0.9, n_rounds=1, random_state=0),
    "PixelOrder": sktn.PixelOrder((2, 2)),
    "PixelPadding": sktn.PixelPadding((2, 2)),
    "PixelPatches": sktn.PixelPatches((2, 2)),
    "PixelPooling": sktn.PixelPooling((2, 2)),
}


class Interruption:
    """Raise KeyboardInterrupt at the n-th call of a function of the package, or count the calls."""

    def __init__(self, at=None):
        self.at, self.count, self.inside = at, 0, os.path.dirname(sktn.__file__)

    def __call__(self, frame, event, _):
        if event != "call" or not frame.f_code.co_filename.startswith(self.inside):
            return
        self.count += 1
        if self.count == self.at:
            raise KeyboardInterrupt

    def __enter__(self):
        self.before = sys.getprofile()
        sys.setprofile(self)
        return self

    def __exit__(self, *_):
        sys.setprofile(self.before)


def training(seed, d=4):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((24, d))
    X[:, 1] = X[:, 0] ** 2
    return X, (X[:, 0] > 0) + 0


def quiet(function, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return function(*args)


@pytest.mark.parametrize("name", TRANSACTIONS)
def test_an_interrupted_or_refused_fit_leaves_no_trace(name):
    (X, y), (other, labels) = training(0), training(1)
    other, labels = 100 + 7 * other[:20], np.array(["no", "yes"])[labels[:20]]
    if "Regressor" in name:
        labels = np.arange(20.0)
    fresh = clone(TRANSACTIONS[name])
    quiet(clone(fresh).fit, other, labels)  # What is kept in caches is computed once.
    with Interruption() as calls:
        quiet(clone(fresh).fit, other, labels)
    last = calls.count
    model = quiet(clone(fresh).fit, X, y)
    before, attributes = outputs(model, X), set(fitted_attributes(model))
    # The first calls, the last but those after the result is there, and some between them.
    places = [1, *(int(share * last) for share in (0.1, 0.3, 0.5, 0.7, 0.85))]
    for place in sorted({max(1, place) for place in places}):
        for estimator in (fresh, model):
            with pytest.raises(KeyboardInterrupt), Interruption(place):
                quiet(estimator.fit, other, labels)
        assert not fitted_attributes(fresh)
        with pytest.raises(NotFittedError):
            check_is_fitted(fresh)
    bad = np.where(np.arange(20)[:, None] == 3, np.inf, other)
    for estimator in (fresh, model):
        for refused in ((bad, labels), (other[:0], labels[:0])):
            with pytest.raises((ValueError, TypeError)):
                quiet(estimator.fit, *refused)
        with pytest.raises(ValueError, match=wrong(estimator)):
            quiet(estimator.set_params(**{wrong(estimator): -3.5}).fit, other, labels)
        estimator.set_params(**{wrong(estimator): getattr(TRANSACTIONS[name], wrong(estimator))})
    assert not fitted_attributes(fresh)
    with pytest.raises(NotFittedError):
        check_is_fitted(fresh)
    assert set(fitted_attributes(model)) == attributes
    same(outputs(model, X), before)


def wrong(estimator):
    """A parameter that -3.5 is no value of."""
    names = ("random_state", "image_shape")
    return next(name for name in names if name in estimator.get_params())


# -- a limit is a limit ------------------------------------------------------------------------

# A second more than the limit, and another for what a busy machine adds to it.
LIMIT, ALLOWED = 0.5, 2.5
SEARCHES = {
    "RGTNDecomposer": {"target_error": 1e-4},
    "RGTNImputer": {},
    "TRDecomposer": {"target_error": 1e-4},
    "FCTNDecomposer": {"target_error": 1e-4},
    "SVDinsTNDecomposer": {"target_error": 1e-4},
    "GreedyTNDecomposer": {"target_error": 1e-4},
    "LocalSearchTNDecomposer": {"target_error": 1e-4},
    "GeneticTNDecomposer": {"target_error": 1e-4},
    "EnumerationTNDecomposer": {"target_error": 1e-4},
}


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(30, 31, 32), (9, 9, 9, 9), (3,) * 8])
@pytest.mark.parametrize("name", SEARCHES)
def test_a_time_limit_is_kept(name, shape):
    rng = np.random.default_rng(len(shape))
    T = rng.standard_normal(shape)
    if name == "RGTNImputer":
        T[rng.random(shape) < 0.2] = np.nan
    model = getattr(sktn, name)(random_state=0, time_limit=LIMIT, **SEARCHES[name])
    start = time.process_time()
    quiet(attempt, model.fit, T)  # Some have nothing to show yet, and say so.
    assert time.process_time() - start < ALLOWED
