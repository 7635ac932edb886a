"""Settings of the whole suite."""

import jax
import numpy as np
import pytest
from hypothesis import settings

from sktn.backend import get_executor

# A first call compiles, so deadlines say nothing; the same examples in every run keep the suite's
# verdict and its time the same.
settings.register_profile("sktn", deadline=None, derandomize=True, max_examples=20)
settings.load_profile("sktn")


def pytest_configure(config):
    # XLA spends most of a quick test on making programs of milliseconds faster. Slow tests run the
    # programs that users get.
    if config.option.markexpr == "not slow":
        jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(params=["numpy", "jax"])
def executor(request):
    """Either executor: what a kernel is tested on. Data goes in by `put` and comes out by `get`."""
    return get_executor(request.param)
