"""scikit-learn's own checks with JAX computing, of the three main estimators.

All of them take a minute and a half of a CPU's time, most of it compilation, and run by their
marker, `-m jax_checks`; the ones named here run always.
"""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

import sktn
from sktn.chains.solvers import Convex

ESTIMATORS = [
    sktn.MPSClassifier(solver=Convex(tol=0), bond_dim=4, degree=3, alpha=1.0),
    sktn.SMPOAnomalyDetector(),
    sktn.RGTNDecomposer(0.3),
]
ALWAYS = {"check_estimators_pickle", "check_fit_idempotent", "check_dict_unchanged"}
# Five seconds of compilation each.
DETECTOR = {"check_dict_unchanged"}


def checks():
    for estimator in ESTIMATORS:
        for tested, check in estimator_checks_generator(estimator, legacy=True, mark="skip"):
            name = getattr(check, "func", check).__name__
            always = DETECTOR if isinstance(estimator, sktn.SMPOAnomalyDetector) else ALWAYS
            marks = [] if name in always else [pytest.mark.jax_checks, pytest.mark.slow]
            yield pytest.param(tested, check, marks=marks, id=f"{type(estimator).__name__}-{name}")


@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_check(estimator, check):
    with sktn.config_context(backend="jax"):
        check(estimator)
