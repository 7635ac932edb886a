"""What a report of a fault should say about the machine and the packages."""

import platform
from importlib.metadata import PackageNotFoundError, version

#: What sktn needs, and what it works with where it is installed.
PACKAGES = (
    "sktn",
    "numpy",
    "scipy",
    "scikit-learn",
    "jax",
    "jaxlib",
    "optax",
    "opt_einsum",
    "narwhals",
    "joblib",
    "threadpoolctl",
    "pandas",
    "polars",
    "matplotlib",
)


def show_versions() -> None:
    """Print the versions of Python, of sktn and of the packages it works with.

    Starts no device.

    Examples
    --------
    >>> import sktn
    >>> sktn.show_versions()  # doctest: +ELLIPSIS
    python          3...
    """
    rows = {"python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            rows[name] = version(name)
        except PackageNotFoundError:
            rows[name] = "not installed"
    for name, value in rows.items():
        print(f"{name:15s} {value}")
