"""A fit happens, or it does not: what is interrupted or refused leaves no trace."""

import os
import sys
import warnings

import numpy as np
import pytest
from hostile_checks import outputs, same
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

import sktn
from sktn.fitted import fitted_attributes

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
    "TTNClassifier": sktn.TTNClassifier(degree=2, random_state=0),
    "TTNRegressor": sktn.TTNRegressor(degree=2, random_state=0),
    "SMPOAnomalyDetector": sktn.SMPOAnomalyDetector(random_state=0),
    "MPSDensityEstimator": sktn.MPSDensityEstimator(max_iter=2, random_state=0),
    "MPSImputer": sktn.MPSImputer(max_iter=1, random_state=0),
    "RGTNDecomposer": sktn.RGTNDecomposer(random_state=0),
    "RGTNDecomposer fold": sktn.RGTNDecomposer(fold="auto", random_state=0),
    "RGTNImputer": sktn.RGTNImputer(max_steps=3, random_state=0),
    "RGTNRegressor": sktn.RGTNRegressor(random_state=0),
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


# Those that are fitted by a code of their own; the others share it, or take their time.
QUICK = {"MPSClassifier", "MPSClassifierCV", "SMPOAnomalyDetector", "MPSDensityEstimator"}
QUICK |= {"MPSImputer", "RGTNDecomposer", "RGTNImputer", "TTDecomposer", "SVDinsTNDecomposer"}
QUICK |= {"PixelOrder", "PixelPadding", "PixelPatches", "PixelPooling"}


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in TRANSACTIONS
    ],
)
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
