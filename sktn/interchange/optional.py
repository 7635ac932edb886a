"""Packages that only the exchange with others needs."""

from importlib import import_module


def imported(module, package):
    """A module, where an object of its package is asked for."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"This needs {package}: pip install 'sktn[interchange]'.") from error
