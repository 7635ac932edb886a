"""Settings of the whole suite."""

import os

import jax
import jaxlib
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
    # programs that users get, unless the environment says otherwise.
    if config.option.markexpr == "not slow" or os.environ.get("SKTN_QUICK_PROGRAMS"):
        jax.config.update("jax_disable_most_optimizations", True)
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # of processes that tests start
        # These take two thirds of what is left. A flag that XLA does not know ends the process.
        if jaxlib.__version__.startswith("0.10."):
            flags = os.environ.get("XLA_FLAGS", "")
            os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_use_fusion_emitters=false"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(params=["numpy", "jax"])
def executor(request):
    """Either executor: what a kernel is tested on. Data goes in by `put` and comes out by `get`."""
    return get_executor(request.param)
