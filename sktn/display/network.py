"""Drawings of fitted networks and of their searches."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sktn.display._axes import new_axes

__all__ = ["NetworkDisplay", "plot_history"]


class NetworkDisplay:
    """Drawing of a tensor network: modes on a circle, edges as wide as their bond dimension.

    Parameters
    ----------
    bond_dims : array-like of shape (N, N)
        Bond dimensions, 1 where there is no edge.
    tensor_shape : sequence of int
        Length of every mode.
    labels : sequence of str, default=None
        Names of the modes; their numbers by default.

    Attributes
    ----------
    ax_ : matplotlib axes
        Axes of the drawing.
    figure_ : matplotlib figure
        Figure of the drawing.
    lines_ : list of matplotlib artists
        One line per edge.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import NetworkDisplay
    >>> display = NetworkDisplay(np.array([[1, 3], [3, 1]]), (10, 12))
    >>> display.n_edges
    1
    """

    def __init__(self, bond_dims, tensor_shape, labels=None):
        self.bond_dims = bond_dims
        self.tensor_shape = tensor_shape
        self.labels = labels

    @property
    def n_edges(self):
        """Number of bonds wider than one."""
        R = np.asarray(self.bond_dims)
        return int(np.sum(np.triu(R, 1) > 1))

    @classmethod
    def from_estimator(cls, estimator, *, labels=None, ax=None):
        """Draw the network of a fitted estimator.

        Parameters
        ----------
        estimator : object
            A fitted decomposer or imputer.
        labels : sequence of str, default=None
            Names of the modes.
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        display : NetworkDisplay
            The display, drawn.
        """
        check_is_fitted(estimator)
        if np.ndim(getattr(estimator, "bond_dims_", None)) != 2:
            raise ValueError(
                f"{type(estimator).__name__} holds a chain: draw it with "
                "sktn.display.ChainDisplay.from_estimator. This display is for decomposers and "
                "imputers of tensors."
            )
        sizes = [core.shape[k] for k, core in enumerate(estimator.cores_)]
        return cls(estimator.bond_dims_, sizes, labels).plot(ax=ax)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        display : NetworkDisplay
            Self.
        """
        ax = new_axes(ax)
        R = np.asarray(self.bond_dims)
        order = len(R)
        angle = np.pi / 2 - 2 * np.pi * np.arange(order) / max(order, 1)
        x, y = np.cos(angle), np.sin(angle)
        widest = max(int(R.max()), 2)
        self.lines_ = []
        for i in range(order):
            for j in range(i + 1, order):
                if R[i, j] == 1:
                    continue
                width = 1.0 + 7.0 * np.log(R[i, j]) / np.log(widest)
                (line,) = ax.plot(x[[i, j]], y[[i, j]], color="tab:blue", lw=width, alpha=0.6)
                self.lines_.append(line)
                # Off the middle, so that labels of crossing diagonals do not meet.
                ax.text(
                    0.6 * x[i] + 0.4 * x[j],
                    0.6 * y[i] + 0.4 * y[j],
                    str(R[i, j]),
                    ha="center",
                    va="center",
                    bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8},
                )
        ax.scatter(x, y, s=900, color="white", edgecolor="black", zorder=3)
        names = [str(k) for k in range(order)] if self.labels is None else list(self.labels)
        for k in range(order):
            ax.text(x[k], y[k], names[k], ha="center", va="center", zorder=4)
            # In points, as the circles are, so that neither meets the other on small axes.
            ax.annotate(
                str(self.tensor_shape[k]),
                (x[k], y[k]),
                xytext=(24 * x[k], 24 * y[k]),
                textcoords="offset points",
                ha="center",
                va="center",
            )
        ax.set_xlim(-1.5, 1.5)
        ax.set_ylim(-1.5, 1.5)
        ax.set_aspect("equal")
        ax.set_axis_off()
        self.ax_, self.figure_ = ax, ax.figure
        return self


def plot_history(estimator: Any, ax: Any = None) -> Any:
    """Plot the path of a search: relative error against the number of parameters.

    Parameters
    ----------
    estimator : object
        A fitted estimator with ``history_``.
    ax : matplotlib axes, default=None
        Where to draw; a new figure by default.

    Returns
    -------
    ax : matplotlib axes
        The axes.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import RGTNDecomposer
    >>> from sktn.display import plot_history
    >>> X = np.random.default_rng(0).normal(size=(6, 5, 4))
    >>> plot_history(RGTNDecomposer(target_error=0.5, random_state=0).fit(X)).get_xlabel()
    'parameters'
    """
    ax = new_axes(ax)
    from matplotlib.ticker import LogLocator, NullFormatter

    history = estimator.history_
    for scale in sorted({entry["scale"] for entry in history}, reverse=True):
        steps = [entry for entry in history if entry["scale"] == scale]
        ax.plot(
            [entry["n_parameters"] for entry in steps],
            [entry["relative_error"] for entry in steps],
            marker=".",
            label=f"scale {scale}",
        )
    target = getattr(estimator, "target_error", None)
    if target:
        ax.axhline(target, color="black", ls=":", lw=1)
    if history:
        for axis, set_scale in ((ax.xaxis, ax.set_xscale), (ax.yaxis, ax.set_yscale)):
            set_scale("log")
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
        ax.legend()
    ax.set_xlabel("parameters")
    ax.set_ylabel("relative error")
    return ax
