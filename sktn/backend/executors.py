"""NumPy and JAX as executors: what kernels ask for, spelled for both."""

from contextlib import nullcontext
from functools import cached_property, wraps

import jax
import jax.numpy as jnp
import numpy as np

from sktn.backend.programs import PROGRAMS, enter_jax, shape_of
from sktn.backend.settings import checked, default_backend, get_config

# Numbers that one block of rows may take: NumPy's stay in the cache of a core (8 MB in float32),
# a device's fill it (128 MB).
_NUMPY_BLOCK, _JAX_BLOCK = 2**21, 2**25

# Entries of an array from which its products go to a device: one of them takes a CPU core longer
# than the transfer of what comes out.
_DEVICE_ENTRIES = 2**22


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
        # NumPy arrays and lists of them, the most common cases, need no walk through a tree.
        if type(tree) is np.ndarray or (
            type(tree) is list and all(type(x) is np.ndarray for x in tree)
        ):
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

        def block(start):
            return np.asarray(function(jax.tree.map(lambda x: x[start : start + size], rows)))

        first = block(0)
        if size >= n:
            return first
        # In place: a list of blocks would be held beside what they are joined to.
        out = np.empty((n, *first.shape[1:]), first.dtype)
        out[:size] = first
        for start in range(size, n, size):
            out[start : start + size] = block(start)
        return out


class JaxExecutor:
    """Kernels on JAX arrays: compiled, on all devices of a platform, rows spread over them."""

    name, xp = "jax", jnp

    def __init__(self, platform=None):
        self.platform = platform

    @cached_property
    def mesh(self):
        """All devices, those of other processes included where `jax.distributed` joined some: all
        of them then run the same program on the same table."""
        enter_jax()
        return jax.sharding.Mesh(np.array(jax.devices(self.platform)), ("rows",))

    @property
    def n_devices(self):
        return self.mesh.size

    def _everywhere(self, axis=None):
        """All of an array on every device, or the rows along an axis divided among them."""
        names = () if axis is None else (*[None] * axis, "rows")
        return jax.sharding.NamedSharding(self.mesh, jax.sharding.PartitionSpec(*names))

    def precision(self, dtype):
        enter_jax()
        return jax.enable_x64(np.dtype(dtype).itemsize >= 8)

    def put(self, tree):
        enter_jax()
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
        return jax.tree.map(np.asarray, jax.device_get(jax.tree.map(self._whole, tree)))

    def _whole(self, x):
        """x, its rows on other processes brought here."""
        if not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated:
            return x
        return _identity(x, out=self._everywhere())

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
            enter_jax()
            shapes = tuple(shape_of(x) for x in leaves)
            key = (function, tuple(fixed.items()), tree, shapes, bool(jax.config.jax_enable_x64))
            return PROGRAMS.get(key, function, fixed)(*args, **kwargs)

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
            part = jax.tree.map(lambda x, index=index: x[index], rows)
            blocks.append(self.get(function(self.put_rows(part)))[:kept])
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _identity(x, out):
    return jax.jit(lambda x: x, out_shardings=out)(x)


_EXECUTORS = {"numpy": NumPyExecutor(), "jax": JaxExecutor()}
_JAX_ON_CPU = JaxExecutor("cpu")


def get_executor(name=None):
    """The executor of a name, by default the configured one."""
    name = checked(get_config()["backend"] if name is None else name)
    name = default_backend() if name == "auto" else name
    if name == "jax":
        enter_jax()
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
    enter_jax()
    return _JAX_ON_CPU


def executor_of(*arrays):
    """The executor that arrays belong to: JAX if one of them does."""
    # The type first: most arrays are NumPy's, and to ask whether one is JAX's takes longer.
    on_jax = any(type(x) is not np.ndarray and isinstance(x, jax.Array) for x in arrays)
    return _EXECUTORS["jax" if on_jax else "numpy"]


def namespace(*arrays):
    """`jax.numpy` if one of the arrays is JAX's, else `numpy`."""
    return executor_of(*arrays).xp
