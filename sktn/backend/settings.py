"""What the user says about where to compute, and what "auto" means on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from numbers import Real
from pkgutil import iter_modules
from typing import Any

import jax

BACKENDS = ("auto", "numpy", "jax")


def checked(backend):
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {BACKENDS}, got {backend!r}.")
    return backend


def checked_memory(max_memory):
    if isinstance(max_memory, bool) or not isinstance(max_memory, Real) or not max_memory > 0:
        raise ValueError(f"max_memory must be a positive number of bytes, got {max_memory!r}.")
    return max_memory


_settings: dict[str, Any] = {"backend": os.environ.get("SKTN_BACKEND", "auto"), "max_memory": 2**30}
_override: ContextVar[dict[str, Any] | None] = ContextVar("sktn_settings", default=None)


def get_config() -> dict[str, str | float]:
    """The current settings.

    Returns
    -------
    config : dict
        ``{"backend": "auto" | "numpy" | "jax", "max_memory": bytes}``

    Examples
    --------
    >>> import sktn
    >>> with sktn.config_context(backend="numpy"):
    ...     sktn.get_config()
    {'backend': 'numpy', 'max_memory': 1073741824}
    """
    return {**_settings, **(_override.get() or {})}


def _changes(backend, max_memory):
    changes = {} if backend is None else {"backend": checked(backend)}
    return changes if max_memory is None else {**changes, "max_memory": checked_memory(max_memory)}


def set_config(*, backend: str | None = None, max_memory: float | None = None) -> None:
    """Change a setting for the whole process.

    Parameters
    ----------
    backend : {"auto", "numpy", "jax"}, default=None
        Where estimators compute. "auto": NumPy where the CPU is the only device, JAX where there is
        an accelerator or several devices. None leaves it as it is.
    max_memory : float, default=None
        Bytes that a fit of a chain may hold beyond its table and the libraries, by default 1 GiB
        (2**30): blocks of rows, and how many rows are looked at together, are sized to it. None
        leaves it as it is.

    Examples
    --------
    >>> import sktn
    >>> before = sktn.get_config()
    >>> sktn.set_config(backend="numpy")
    >>> sktn.get_config()["backend"]
    'numpy'
    >>> sktn.set_config(**before)
    """
    _settings.update(_changes(backend, max_memory))


@contextmanager
def config_context(
    *, backend: str | None = None, max_memory: float | None = None
) -> Iterator[None]:
    """Change a setting inside a ``with`` block, in this thread.

    Parameters
    ----------
    backend : {"auto", "numpy", "jax"}, default=None
        As in :func:`set_config`.
    max_memory : float, default=None
        As in :func:`set_config`.

    Examples
    --------
    >>> import sktn
    >>> with sktn.config_context(backend="jax"):
    ...     sktn.get_config()["backend"]
    'jax'
    """
    token = _override.set({**(_override.get() or {}), **_changes(backend, max_memory)})
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
def default_backend():
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
