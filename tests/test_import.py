"""Importing the package computes nothing and changes nothing."""

import os
import subprocess
import sys

PROBE = """
import os, pkgutil, warnings
import jax, numpy, sklearn
before, flags = dict(os.environ), dict(jax.config.values)
warnings.simplefilter("error")
import sktn
for module in pkgutil.walk_packages(sktn.__path__, "sktn."):
    __import__(module.name)
assert dict(os.environ) == before, "the environment was changed"
assert dict(jax.config.values) == flags, "a global flag was changed"
try:
    jax.devices()
except RuntimeError:
    pass
else:
    raise AssertionError("the probe would not notice a backend")
"""
# What takes long and only some users need.
HEAVY = """
import sys, sktn
found = [name for name in ("sklearn.impute", "sklearn.linear_model", "sklearn.neighbors",
                           "matplotlib.pyplot", "optax", "onnx", "shap", "polars")
         if name in sys.modules]
assert not found, found
assert {"NetworkDisplay", "display", "inspection"} <= set(dir(sktn))
assert sktn.NetworkDisplay is sktn.display.NetworkDisplay
assert sktn.inspection.shapley_values
"""


def test_import_leaves_out_what_few_need():
    done = subprocess.run([sys.executable, "-c", HEAVY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_import_starts_no_backend_and_sets_nothing():
    # On a platform that does not exist, any computation fails.
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env={**os.environ, "JAX_PLATFORMS": "nowhere"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
