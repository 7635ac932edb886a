"""What numbers parameters accept."""

import numpy as np
import pytest
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    validate_parameter_constraints,
)

import sktn
import sktn.anomaly
import sktn.chains.solvers

# The least that is accepted, of whatever class has the parameter.
COUNTS = dict.fromkeys(
    [
        "batch_size",
        "bond_dim",
        "degree",
        "max_landmarks",
        "max_members",
        "max_parameters",
        "max_rank",
        "n_estimators",
        "n_generations",
        "n_growths",
        "n_init",
        "n_iter_no_change",
        "n_iterations",
        "n_neighbors",
        "n_rounds",
        "n_samples",
        "n_scales",
        "n_sweeps",
        "n_tries",
        "output_dim",
        "patch_shape",
        "patience",
        "rank",
        "reach",
        "spacing",
        "trial_sweeps",
        "window",
    ],
    1,
)
COUNTS |= dict.fromkeys(("first_output", "n_components", "n_cycles"), 0)
COUNTS |= dict.fromkeys(("n_landmarks", "population"), 2)
# Where no iteration leaves a start that is a model already.
COUNTS |= {"max_iter": 1, "max_steps": 1}
NONE = {"TTNClassifier", "TTNRegressor", "RGTNCompleter", "RGTNImputer"}
POSITIVE = ["bandwidth", "gamma", "growth", "learning_rate", "time_limit"]
NOT_NEGATIVE = ["alpha", "interaction_penalty", "mu", "penalty", "radius", "smoothness", "tol"]
# Least, largest, and whether each is accepted itself.
SHARES = {
    "contamination": (0.0, 0.5, False, True),
    "mutation": (0.0, 1.0, True, True),
    "neighbourhood": (0.0, 1.0, False, False),
    "resolution": (0.0, 1.0, False, False),
    "target_error": (0.0, 1.0, True, True),
    "trim": (0.0, 0.5, True, False),
    "truncation_tol": (0.0, 1.0, True, False),
}


def classes():
    for module in (sktn, sktn.anomaly, sktn.chains.solvers):
        for name in dir(module):
            found = getattr(module, name)
            if isinstance(found, type) and hasattr(found, "_parameter_constraints"):
                yield found


def intervals():
    """(class, name of a parameter) wherever a number in an interval is accepted"""
    found = {}
    for cls in classes():
        for name, accepted in cls._parameter_constraints.items():
            if any(isinstance(one, Interval) for one in accepted):
                found[f"{cls.__module__.split('.')[1]}.{cls.__name__}-{name}"] = cls, name
    return found


INTERVALS = intervals()


def accepts(cls, name, value):
    try:
        validate_parameter_constraints(
            {name: cls._parameter_constraints[name]}, {name: value}, cls.__name__
        )
    except InvalidParameterError:
        return False
    return True


@pytest.mark.parametrize("key", INTERVALS)
def test_numbers_are_accepted_up_to_their_bounds(key):
    cls, name = INTERVALS[key]
    if name in COUNTS:
        least = 0 if cls.__name__ in NONE and name in ("max_iter", "max_steps") else COUNTS[name]
        assert accepts(cls, name, least)
        assert accepts(cls, name, np.int64(10**6))
        assert not accepts(cls, name, least - 1)
        assert not accepts(cls, name, least + 0.5)
    elif name in POSITIVE or name in NOT_NEGATIVE:
        assert accepts(cls, name, 1e-300)
        assert accepts(cls, name, 1e300)
        assert accepts(cls, name, 0) == (name in NOT_NEGATIVE)
        assert not accepts(cls, name, -1e-300)
    elif name in SHARES:
        least, largest, with_least, with_largest = SHARES[name]
        assert accepts(cls, name, (least + largest) / 2)
        assert accepts(cls, name, least) == with_least
        assert accepts(cls, name, largest) == with_largest
        assert not accepts(cls, name, least - 1e-9)
        assert not accepts(cls, name, largest + 1e-9)
    else:
        assert name in ("ridge", "validation_fraction"), "a parameter that no list here names"
        assert accepts(cls, name, 0.25)
        assert not accepts(cls, name, -1e-9)
