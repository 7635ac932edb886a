"""Importing the package computes nothing and changes nothing."""

import os
import subprocess
import sys

PROBE = """
import os, pkgutil, sys, warnings
import jax, numpy, sklearn
before, flags = dict(os.environ), dict(jax.config.values)
warnings.simplefilter("error")
import sktn
found = [name for name in ("sklearn.impute", "sklearn.linear_model", "sklearn.neighbors",
                           "matplotlib", "optax", "onnx", "shap", "polars")
         if name in sys.modules]
assert not found, f"takes long and only some users need it: {found}"
assert {"NetworkDisplay", "display", "inspection"} <= set(dir(sktn))
assert sktn.NetworkDisplay is sktn.display.NetworkDisplay
assert sktn.inspection.shapley_values
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


def test_import_leaves_out_what_few_need_starts_no_backend_and_sets_nothing():
    # On a platform that does not exist, any computation fails.
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env={**os.environ, "JAX_PLATFORMS": "nowhere"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
