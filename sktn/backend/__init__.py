"""Where arrays live: one source of every kernel, run by NumPy or on JAX devices.

How a kernel is written
-----------------------
A kernel is a module-level function of arrays that asks its arguments where it is:

    def log_norm(cores):
        run = executor_of(cores)        # run.xp is numpy or jax.numpy: xp = namespace(cores)
        ...
        return run.scan(absorb, start, cores)

- ``xp`` for everything both have; ``run.scan``, ``run.while_loop``, ``run.set_at``, ``run.eigh``
  for what they spell differently.
- Nothing is changed in place: a JAX array cannot be, and a NumPy argument is the caller's.
- Decisions (ranks, convergence, which row) are made on the host, between kernels, on ``run.get``;
  inside one, ``run.while_loop`` or a mask.
- Dtypes follow the arguments. NumPy makes float64 of a float32 array and a NumPy float64 scalar,
  JAX does not: constants are Python numbers or of the array's dtype.

Whoever calls kernels picks the executor once, ``run = get_executor()``, brings data to it by
``run.put``, compiles by ``run.jit`` and works under ``run.precision(dtype)``. Shapes that vary from
table to table go through :func:`bucket` first, padded with rows of weight 0.

Which executor
--------------
NumPy on a machine whose only device is its CPU: there, matrix products of BLAS beat those of a
compiled program, and nothing waits for a compiler. JAX where its default device is an accelerator
or where it has several devices. `config_context`, `set_config` and the environment variable
``SKTN_BACKEND`` say otherwise. Gradient solvers need derivatives and run on JAX in either case.
"""

from sktn.backend.executors import (
    JaxExecutor,
    NumPyExecutor,
    bucket,
    executor_for,
    executor_of,
    get_executor,
    get_jax_executor,
    namespace,
)
from sktn.backend.programs import n_compiled
from sktn.backend.settings import (
    BACKENDS,
    config_context,
    get_config,
    set_config,
    with_config,
)
from sktn.backend.threads import one_blas_thread

__all__ = [
    "BACKENDS",
    "JaxExecutor",
    "NumPyExecutor",
    "bucket",
    "config_context",
    "executor_for",
    "executor_of",
    "get_config",
    "get_executor",
    "get_jax_executor",
    "n_compiled",
    "namespace",
    "one_blas_thread",
    "set_config",
    "with_config",
]
