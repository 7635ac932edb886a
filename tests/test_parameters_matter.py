"""What a user may set is asked for: no parameter is lost on its way to the code that needs it."""

import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator

import sktn
from sktn import anomaly
from sktn.chains.solvers import LBFGS, Adam, Convex, Sweep

PACKAGE = str(Path(sktn.__file__).parent)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
GAPS = np.where(RNG.random((20, 4)) < 0.2, np.nan, np.outer(RNG.normal(size=20), [1, 2, 3, 4]))
TENSOR = RNG.normal(size=(4, 6))
PIXELS = RNG.random((6, 16))
CELLS = np.stack(np.meshgrid(*[np.arange(4)] * 3), -1).reshape(-1, 3)
SHAPE = {"tensor_shape": (3, 2)}
SEARCH = {
    "bases": [("standard", 1)],
    "relevances": ["equal"],
    "alphas": [1.0],
    "bond_dims": [2],
    "interaction_penalties": [1.0],
    "smoothnesses": [1.0],
    "max_members": 1,
}


def table(estimator):
    y = X[:, 0] + X[:, 1]
    estimator.fit(X, y if "Regressor" in type(estimator).__name__ else y > 0)
    return estimator.predict(X)


def transformed(data):
    return lambda estimator: estimator.fit_transform(data)


def completed(estimator):
    return estimator.fit(CELLS, CELLS.sum(axis=1)).predict(CELLS)


CASES = {
    "classifier": (sktn.MPSClassifier(bond_dim=2, degree=2, solver=Sweep(max_iter=1)), table),
    "regressor": (sktn.MPSRegressor(bond_dim=2, degree=2, solver=Convex()), table),
    "adam": (
        sktn.MPSClassifier(bond_dim=2, degree=1, solver=Adam(max_iter=2, early_stopping=True)),
        table,
    ),
    "lbfgs": (sktn.MPSRegressor(bond_dim=2, degree=1, solver=LBFGS(max_iter=2)), table),
    "classifier search": (sktn.MPSClassifierCV(**SEARCH), table),
    "regressor search": (sktn.MPSRegressorCV(**SEARCH), table),
    "density": (sktn.MPSDensityEstimator(bond_dim=2, degree=2, max_iter=1), lambda e: e.fit(X)),
    "tree classifier": (sktn.TTNClassifier(bond_dim=2, degree=1, max_iter=1), table),
    "tree regressor": (sktn.TTNRegressor(bond_dim=2, degree=1, max_iter=1), table),
    "looks": (sktn.SMPOAnomalyDetector(operator=anomaly.Looks()), lambda e: e.fit(X).predict(X)),
    "robust": (
        sktn.SMPOAnomalyDetector(operator=anomaly.RobustLooks()),
        lambda e: e.fit(X).predict(X),
    ),
    "projector": (
        sktn.SMPOAnomalyDetector(operator=anomaly.Projector()),
        lambda e: e.fit(X).predict(X),
    ),
    "trained by sweeps": (
        sktn.SMPOAnomalyDetector(
            operator=anomaly.TrainedSMPO(bond_dim=2, solver=anomaly.Sweep(max_iter=1))
        ),
        lambda e: e.fit(X).predict(X),
    ),
    "trained by Adam": (
        sktn.SMPOAnomalyDetector(
            operator=anomaly.TrainedSMPO(bond_dim=2, solver=anomaly.Adam(max_iter=1))
        ),
        lambda e: e.fit(X).predict(X),
    ),
    "imputer of tables": (sktn.MPSImputer(max_iter=1), transformed(GAPS)),
    "imputer": (sktn.RGTNImputer(max_steps=1), transformed(GAPS)),
    "completer": (sktn.RGTNCompleter(max_steps=1), completed),
    "tensor regressor": (sktn.RGTNRegressor(tensor_shape=(3, 1)), table),
    "decomposer": (
        sktn.RGTNDecomposer(**SHAPE, search=sktn.RGSearch(n_cycles=1)),
        transformed(TENSOR),
    ),
    "chain": (sktn.TTDecomposer(**SHAPE), transformed(TENSOR)),
    "ring": (sktn.TRDecomposer(**SHAPE), transformed(TENSOR)),
    "complete graph": (sktn.FCTNDecomposer(**SHAPE), transformed(TENSOR)),
    "greedy": (sktn.GreedyTNDecomposer(**SHAPE), transformed(TENSOR)),
    "SVDinsTN": (sktn.SVDinsTNDecomposer(**SHAPE, n_sweeps=2, n_tries=1), transformed(TENSOR)),
    "enumeration": (sktn.EnumerationTNDecomposer(**SHAPE), transformed(TENSOR)),
    "genetic": (
        sktn.GeneticTNDecomposer(**SHAPE, population=2, n_generations=1),
        transformed(TENSOR),
    ),
    "local search": (
        sktn.LocalSearchTNDecomposer(**SHAPE, n_iterations=1, n_samples=2),
        transformed(TENSOR),
    ),
    "order": (sktn.PixelOrder((4, 4)), transformed(PIXELS)),
    "padding": (sktn.PixelPadding((2, 8)), transformed(PIXELS)),
    "patches": (sktn.PixelPatches((4, 4), patch_shape=(3, 3)), transformed(PIXELS)),
    "pooling": (sktn.PixelPooling((4, 4), window=3), transformed(PIXELS)),
}


def watched(value, asked, name=""):
    """A value and those among its parameters whose attributes, read by the package, are noted."""
    kind = type(value)

    def noting(self, attribute):
        if sys._getframe(1).f_code.co_filename.startswith(PACKAGE):
            asked.add(name + attribute)
        return kind.__getattribute__(self, attribute)

    for key, part in value.get_params(deep=False).items():
        if isinstance(part, BaseEstimator):
            watched(part, asked, f"{name}{key}__")
    body = {"__getattribute__": noting, "__module__": kind.__module__}
    value.__class__ = type(kind.__name__, (kind,), body)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore")
def test_every_parameter_is_asked_for(case):
    estimator, use = CASES[case]
    names, asked = set(estimator.get_params()), set()
    watched(estimator, asked)
    use(estimator)
    assert names - asked == set()
