"""Nothing surprises: generated inputs of every kind give a clear error or sound results.

A case is one number: ``pytest "tests/test_hostile.py::test_a_case[MPSClassifier-7]"``. Many:
``SKTN_HOSTILE_CASES=0-2000 pytest tests/test_hostile.py -k "range and MPSImputer"``.
"""

import os

import numpy as np
import pytest
from hostile_checks import run
from hostile_estimators import MAIN, draw

# A profile of seconds for every run, of a minute by the marker `slow`.
N_CASES, N_SLOW = 3, 20
ASKED = [int(n) for n in os.environ.get("SKTN_HOSTILE_CASES", "0-0").split("-")]


def cases(start, stop):
    return [(name, seed) for name in MAIN for seed in range(start, stop)]


@pytest.mark.parametrize(("name", "seed"), cases(0, N_CASES))
def test_a_case(name, seed):
    run(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "seed"), cases(N_CASES, N_SLOW))
def test_more_cases(name, seed):
    run(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "seed"), cases(*ASKED))
def test_a_range_of_cases(name, seed):
    run(name, seed)


@pytest.mark.parametrize("name", MAIN)
def test_every_option_is_drawn(name):
    values = {}
    for seed in range(300):
        model, _ = draw(name, np.random.default_rng([1, seed]))
        for option, value in model.get_params(deep=False).items():
            values.setdefault(option, set()).add(repr(value))
    assert [option for option, seen in values.items() if len(seen) < 2] == []
