"""Where arrays live: one source of every kernel, run by NumPy or on JAX devices.

How a kernel is written
-----------------------
A kernel is a module-level function of arrays that asks its arguments where it is:

    def log_norm(cores):
        run = executor_of(cores)        # run.xp is numpy or jax.numpy: xp = namespace(cores)
        ...
        return run.scan(absorb, start, cores)

- ``xp`` for everything both have; ``run.scan``, ``run.while_loop``, ``run.set_at``,
  ``run.solve_spd``, ``run.eigh`` for what they spell differently.
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

import os
import sys
import threading
from collections import OrderedDict
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache, cached_property, partial, wraps
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pkgutil import iter_modules

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import cho_factor, cho_solve
from threadpoolctl import ThreadpoolController

BACKENDS = ("auto", "numpy", "jax")

# Compiled programs that are kept: a search over shapes on a device makes some hundreds.
_MAX_PROGRAMS = 512

# Where Linux says how many memory maps a process has, and may have (65,530 by default). A program
# takes 16 to 500 of them, and the process dies when there are no more.
_MAPS, _MOST_MAPS = "/proc/self/maps", "/proc/sys/vm/max_map_count"

# Numbers that one block of rows may take: NumPy's stay in the cache of a core (8 MB in float32),
# a device's fill it (128 MB).
_NUMPY_BLOCK, _JAX_BLOCK = 2**21, 2**25

# Entries of an array from which its products go to a device: one of them takes a CPU core longer
# than the transfer of what comes out.
_DEVICE_ENTRIES = 2**22

# Settings


def _checked(backend):
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {BACKENDS}, got {backend!r}.")
    return backend


_settings = {"backend": os.environ.get("SKTN_BACKEND", "auto")}
_override = ContextVar("sktn_backend", default=None)


def get_config():
    """The current settings.

    Returns
    -------
    config : dict
        ``{"backend": "auto" | "numpy" | "jax"}``

    Examples
    --------
    >>> import sktn
    >>> with sktn.config_context(backend="numpy"):
    ...     sktn.get_config()
    {'backend': 'numpy'}
    """
    return {"backend": _override.get() or _settings["backend"]}


def set_config(*, backend=None):
    """Change a setting for the whole process.

    Parameters
    ----------
    backend : {"auto", "numpy", "jax"}, default=None
        Where estimators compute. "auto": NumPy where the CPU is the only device, JAX where there is
        an accelerator or several devices. None leaves it as it is.
    """
    if backend is not None:
        _settings["backend"] = _checked(backend)


@contextmanager
def config_context(*, backend=None):
    """Change a setting inside a ``with`` block, in this thread.

    Parameters
    ----------
    backend : {"auto", "numpy", "jax"}, default=None
        As in :func:`set_config`.
    """
    token = _override.set(_override.get() if backend is None else _checked(backend))
    try:
        yield
    finally:
        _override.reset(token)


class with_config:
    """A function that runs under the settings of the thread that wrapped it, in whatever thread or
    process it is called: what is handed to workers."""

    def __init__(self, function):
        self.function, self.config = function, get_config()

    def __call__(self, *args, **kwargs):
        with config_context(**self.config):
            return self.function(*args, **kwargs)


@cache
def _default_backend():
    """What "auto" means on this machine. JAX is asked only where it could find more than a CPU: to
    ask it is to start it."""
    platforms = (jax.config.jax_platforms or "").split(",")[0]
    if platforms == "cpu" or (not platforms and not _accelerator_plugins()):
        several = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
        if not several and jax.config.jax_num_cpu_devices <= 1:
            return "numpy"
    devices = jax.local_devices()
    return "jax" if len(devices) > 1 or devices[0].platform != "cpu" else "numpy"


def _accelerator_plugins():
    """Whether JAX could load anything but its CPU client: where it looks for plugins."""
    if find_spec("libtpu") or entry_points(group="jax_plugins"):
        return True
    if not find_spec("jax_plugins"):
        return False
    return any(True for _ in iter_modules(import_module("jax_plugins").__path__))


# Executors


def bucket(size, multiple=1):
    """The smallest of a geometric series of sizes that holds `size`: three in every octave, through
    500 and 1000, so that at most a quarter of the work is padding and few shapes are compiled.

    `multiple`: of what the result must be, such as the number of devices.
    """
    k = int(np.floor(3 * np.log2(max(size, 1) / 500)))
    while (found := int(np.ceil(500 * 2 ** (k / 3) - 1e-9))) < size:
        k += 1
    return -(-found // multiple) * multiple


class NumPyExecutor:
    """Kernels on NumPy arrays: loops in Python, matrix products in BLAS, nothing compiled."""

    name, xp = "numpy", np
    n_devices = 1

    def precision(self, dtype):
        """A context in which arrays of this dtype keep it."""
        return nullcontext()

    def put(self, tree):
        """A tree of arrays, where this executor computes."""
        # Lists of NumPy arrays, the most common case, need no walk through a tree.
        if type(tree) is list and all(type(x) is np.ndarray for x in tree):
            return tree
        return jax.tree.map(np.asarray, tree)

    def put_rows(self, tree, axis=0):
        """As `put`, for arrays of which an axis counts rows: spread over the devices."""
        return self.put(tree)

    def get(self, tree):
        """A tree of arrays, as NumPy."""
        return self.put(tree)

    def jit(self, function, static=()):
        return function

    def scan(self, step, start, xs, reverse=False):
        """carry, y = step(carry, x) over the first axis of xs -> last carry, all y stacked."""
        n = len(jax.tree.leaves(xs)[0])
        carry, ys = start, [None] * n
        for k in reversed(range(n)) if reverse else range(n):
            carry, ys[k] = step(carry, jax.tree.map(lambda x, k=k: x[k], xs))
        return carry, jax.tree.map(lambda *parts: np.stack(parts), *ys) if n else None

    def while_loop(self, running, step, start):
        carry = start
        while running(carry):
            carry = step(carry)
        return carry

    def set_at(self, x, where, values):
        """A copy of x in which x[where] is `values`."""
        x = np.array(x)
        x[where] = values
        return x

    def contiguous(self, x):
        """x, its last axis the nearest in memory: where it is read often after a transposition."""
        return np.ascontiguousarray(x)

    def constant(self, x):
        """x, through which no derivative flows."""
        return x

    def bits(self, x, dtype):
        """The same bytes as another dtype of the same size."""
        return x.view(dtype)

    def solve_spd(self, A, b):
        """A^-1 b for symmetric positive definite A: A (..., n, n), b (..., n, k) -> (..., n, k)

        Raises LinAlgError where A is not positive definite."""
        if A.ndim == 2:
            return cho_solve(cho_factor(A, lower=True, check_finite=False), b, check_finite=False)
        L = np.linalg.cholesky(A)
        return np.linalg.solve(L.mT, np.linalg.solve(L, b))

    def eigh(self, A):
        """Eigenvalues in ascending order and eigenvectors of symmetric A (..., n, n)."""
        return np.linalg.eigh(A)

    def map_rows(self, function, rows, numbers_per_row):
        """A function of blocks of rows, applied to all of them in bounded memory.

        rows: tree of arrays (N, ...); function: tree (b, ...) -> array (b, ...); numbers_per_row:
        what a row takes inside the function -> (N, ...), NumPy
        """
        n = len(jax.tree.leaves(rows)[0])
        size = max(1, _NUMPY_BLOCK // max(1, int(numbers_per_row)))
        blocks = [
            np.asarray(function(jax.tree.map(lambda x, s=start: x[s : s + size], rows)))
            for start in range(0, max(n, 1), size)
        ]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


class JaxExecutor:
    """Kernels on JAX arrays: compiled, on all devices of a platform, rows spread over them."""

    name, xp = "jax", jnp

    def __init__(self, platform=None):
        self.platform = platform

    @cached_property
    def mesh(self):
        _enter_jax()
        return jax.sharding.Mesh(np.array(jax.local_devices(backend=self.platform)), ("rows",))

    @property
    def n_devices(self):
        return self.mesh.size

    def _everywhere(self, axis=None):
        """All of an array on every device, or the rows along an axis divided among them."""
        names = () if axis is None else (*[None] * axis, "rows")
        return jax.sharding.NamedSharding(self.mesh, jax.sharding.PartitionSpec(*names))

    def precision(self, dtype):
        _enter_jax()
        return jax.enable_x64(np.dtype(dtype).itemsize >= 8)

    def put(self, tree):
        _enter_jax()
        return jax.device_put(tree, self._everywhere())

    def put_rows(self, tree, axis=0):
        """Rows are divided among the devices where their number allows it; else every device has
        all of them."""
        n = self.n_devices

        def put(x):
            divided = np.ndim(x) > axis and np.shape(x)[axis] % n == 0
            return jax.device_put(x, self._everywhere(axis if divided else None))

        return jax.tree.map(put, tree)

    def get(self, tree):
        return jax.tree.map(np.asarray, jax.device_get(tree))

    def jit(self, function, static=()):
        """The function as compiled programs of the bounded cache, one for all arguments of equal
        shapes and dtypes. `static`: keyword arguments that are part of the program.

        Programs are told apart by the function itself: pass module-level functions."""

        @wraps(function)
        def call(*args, **kwargs):
            fixed = {name: kwargs.pop(name) for name in static if name in kwargs}
            leaves, tree = jax.tree.flatten((args, kwargs))
            if any(isinstance(x, jax.core.Tracer) for x in leaves):
                return function(*args, **kwargs, **fixed)
            _enter_jax()
            shapes = tuple(_shape(x) for x in leaves)
            key = (function, tuple(fixed.items()), tree, shapes, bool(jax.config.jax_enable_x64))
            return _PROGRAMS.get(key, function, fixed)(*args, **kwargs)

        return call

    def scan(self, step, start, xs, reverse=False):
        return jax.lax.scan(step, start, xs, reverse=reverse)

    def while_loop(self, running, step, start):
        return jax.lax.while_loop(running, step, start)

    def set_at(self, x, where, values):
        return x.at[where].set(values)

    def contiguous(self, x):
        return x  # the compiler chooses layouts

    def constant(self, x):
        return jax.lax.stop_gradient(x)

    def bits(self, x, dtype):
        return jax.lax.bitcast_convert_type(x, dtype)

    def solve_spd(self, A, b):
        """As NumPy's, with NaN in place of an error."""
        return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(A), True), b)

    def eigh(self, A):
        return jnp.linalg.eigh(A)

    def map_rows(self, function, rows, numbers_per_row):
        """As NumPy's, in blocks of few sizes: the last is filled up with copies of its last row, on
        which a function does nothing that it would not do anyway."""
        n = len(jax.tree.leaves(rows)[0])
        largest = max(self.n_devices, _JAX_BLOCK // max(1, int(numbers_per_row)))
        # At least 64 rows, so that predictions of a few rows share one program.
        size = min(1 << (largest.bit_length() - 1), 1 << max(6, (n - 1).bit_length()))
        blocks = []
        for start in range(0, n, size):
            kept = min(size, n - start)
            index = np.minimum(np.arange(start, start + size), n - 1)
            part = jax.tree.map(lambda x, index=index: np.asarray(x)[index], rows)
            blocks.append(np.asarray(function(self.put_rows(part)))[:kept])
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


_EXECUTORS = {"numpy": NumPyExecutor(), "jax": JaxExecutor()}
_JAX_ON_CPU = JaxExecutor("cpu")


def get_executor(name=None):
    """The executor of a name, by default the configured one."""
    name = _checked(get_config()["backend"] if name is None else name)
    name = _default_backend() if name == "auto" else name
    if name == "jax":
        _enter_jax()
    return _EXECUTORS[name]


def executor_for(entries):
    """The configured executor for products with an array of that many entries, NumPy's where they
    are too few to be worth their way to a device."""
    return get_executor(None if entries >= _DEVICE_ENTRIES else "numpy")


def get_jax_executor():
    """JAX, for what needs derivatives: on the CPU where the configured executor is NumPy."""
    run = get_executor()
    if run.name == "jax":
        return run
    _enter_jax()
    return _JAX_ON_CPU


def executor_of(*arrays):
    """The executor that arrays belong to: JAX if one of them does."""
    # The type first: most arrays are NumPy's, and to ask whether one is JAX's takes longer.
    on_jax = any(type(x) is not np.ndarray and isinstance(x, jax.Array) for x in arrays)
    return _EXECUTORS["jax" if on_jax else "numpy"]


def namespace(*arrays):
    """`jax.numpy` if one of the arrays is JAX's, else `numpy`."""
    return executor_of(*arrays).xp


# Compiled programs and devices


class _Programs:
    """The compiled programs, least recently used first; what is evicted is cleared: beyond a number
    of programs, and half of them where the process has used up half of its memory maps."""

    def __init__(self, size):
        self.size, self.programs, self.lock = size, OrderedDict(), threading.Lock()
        self.n_compiled = 0

    def get(self, key, function, fixed):
        with self.lock:
            program, evicted = self.programs.get(key), []
            if program is None:
                kept = len(self.programs) // 2 if _crowded() else self.size - 1
                while len(self.programs) > kept:
                    evicted.append(self.programs.popitem(last=False)[1])
                # JAX keeps programs by function, and drops them with it: each has one of its own.
                program = jax.jit(wraps(function)(partial(_call, function, fixed)))
                self.programs[key] = program
                self.n_compiled += 1
            self.programs.move_to_end(key)
        for old in evicted:
            old.clear_cache()
        return program

    def clear(self):
        with self.lock:
            evicted, self.programs = list(self.programs.values()), OrderedDict()
        for old in evicted:
            old.clear_cache()


def _crowded():
    try:
        with open(_MAPS, "rb") as maps, open(_MOST_MAPS) as most:
            return sum(1 for _ in maps) > int(most.read()) // 2
    except OSError:  # not Linux
        return False


def _call(function, fixed, *args, **kwargs):
    return function(*args, **kwargs, **fixed)


def _shape(x):
    return (x.shape, x.dtype) if hasattr(x, "dtype") else type(x)


_PROGRAMS = _Programs(_MAX_PROGRAMS)


def n_compiled():
    """Programs compiled so far in this process: what tests count."""
    return _PROGRAMS.n_compiled


_jax_process = None


def _enter_jax():
    """JAX runs threads, which a fork does not copy: a child would wait for them for ever."""
    global _jax_process
    if _jax_process is None:
        _jax_process = os.getpid()
    elif _jax_process != os.getpid():
        raise RuntimeError(
            "This process was forked from one that had used JAX, whose threads do not live on in "
            'it. Start workers by "spawn" or "forkserver" (joblib\'s default backend does), or '
            'compute there by sktn.set_config(backend="numpy").'
        )


def _remember_jax():
    # Someone else may have used JAX in this process. That it has is not public.
    global _jax_process
    bridge = sys.modules.get("jax._src.xla_bridge")
    if _jax_process is None and getattr(bridge, "_backends", None):
        _jax_process = os.getpid()


# BLAS threads


@contextmanager
def one_blas_thread(when=True):
    """A context with one BLAS thread, for products that are too small for several: on a machine
    with other load, waiting for a second thread takes longer than the work. From any number of
    threads, and always restored. `when`: the context changes nothing where it is False.
    """
    if not when:
        yield
        return
    shared, own = _blas_pools()
    _shared_limit.acquire(shared)
    try:
        with own.limit(limits=1) if own.info() else nullcontext():
            yield
    finally:
        _shared_limit.release()


@cache
def _blas_pools():
    """BLAS libraries with one limit for the process, and those with one for every thread.

    To look for them takes 10 ms; those that the package uses are loaded with it."""
    blas = ThreadpoolController().select(user_api="blas")
    own = blas.select(internal_api="openblas").select(threading_layer="openmp")
    paths = {pool["filepath"] for pool in own.info()}
    shared = [pool["filepath"] for pool in blas.info() if pool["filepath"] not in paths]
    return blas.select(filepath=shared), own


class _SharedLimit:
    """A limit for the process that any number of threads may hold: the first sets it, the last
    restores what the first found.

    A thread of its own does both, since threadpoolctl lets a single thread set OpenBLAS's limit for
    as long as it has not restored it, and ignores the others."""

    def __init__(self):
        self.lock, self.holders = threading.Lock(), 0
        self.limiter = self.thread = self.done = None

    def acquire(self, pool):
        with self.lock:
            if self.holders == 0:
                started, self.done = threading.Event(), threading.Event()
                self.thread = threading.Thread(target=self._hold, args=(pool, started), daemon=True)
                self.thread.start()
                started.wait()
            self.holders += 1

    def release(self):
        with self.lock:
            # None are left in a child that was forked inside the context.
            self.holders = max(0, self.holders - 1)
            if self.holders == 0 and self.thread is not None:
                self.done.set()
                self.thread.join()
                self.thread = None

    def _hold(self, pool, started):
        try:
            with pool.limit(limits=1) as self.limiter:
                started.set()
                self.done.wait()
        finally:
            self.limiter = None
            started.set()

    def after_fork(self):
        """In a child neither the holders nor the thread live on."""
        limiter = self.limiter
        self.__init__()
        if limiter is not None:
            with limiter:  # which restores on leaving
                pass


_shared_limit = _SharedLimit()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_remember_jax, after_in_child=_shared_limit.after_fork)
