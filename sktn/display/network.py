"""Drawings of fitted networks and of their searches."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sktn.display._axes import despine, new_axes

__all__ = ["NetworkDisplay", "plot_history"]


class NetworkDisplay:
    """Drawing of a tensor network: modes on a circle, edges as wide as their bond dimension.

    Factors of a folded mode lie side by side, on a band of their own colour.

    Parameters
    ----------
    bond_dims : array-like of shape (N, N)
        Bond dimensions, 1 where there is no edge.
    tensor_shape : sequence of int
        Length of every mode.
    labels : sequence of str, default=None
        Names of the modes; their numbers by default. Factors of a folded mode share its name, and
        get a letter.
    folded_shape : sequence of sequences of int, default=None
        Lengths of the factors of every mode, where modes were folded.

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

    def __init__(self, bond_dims, tensor_shape, labels=None, folded_shape=None):
        self.bond_dims = bond_dims
        self.tensor_shape = tensor_shape
        self.labels = labels
        self.folded_shape = folded_shape

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
        folded = getattr(estimator, "folded_shape_", None)
        return cls(estimator.bond_dims_, sizes, labels, folded).plot(ax=ax)

    def _groups(self, order):
        """Cores of every mode of the tensor."""
        if self.folded_shape is None:
            return [[k] for k in range(order)]
        ends = np.cumsum([len(own) for own in self.folded_shape])
        return [list(part) for part in np.split(np.arange(order), ends[:-1])]

    def _names(self, order):
        """A name for every core."""
        groups = self._groups(order)
        named = list(self.labels) if self.labels is not None else [str(k) for k in range(order)]
        if len(named) == order and self.labels is not None:
            return named
        names = [""] * order
        for name, cores in zip(named, groups, strict=False):
            for letter, k in zip("abcdefghij", cores, strict=False):
                names[k] = name if len(cores) == 1 else name + letter
        return names

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
        names = self._names(order)
        for n, cores in enumerate(c for c in self._groups(order) if len(c) > 1):
            # From a little before the first factor to a little behind the last.
            ends = angle[cores[0]] + 0.12, angle[cores[-1]] - 0.12
            along = np.linspace(*ends, 20 * len(cores))
            ax.plot(
                np.cos(along),
                np.sin(along),
                color=f"C{1 + n}",
                lw=34,
                alpha=0.25,
                solid_capstyle="round",
            )
        for k in range(order):
            size = "medium" if len(names[k]) < 5 else "x-small"
            ax.text(x[k], y[k], names[k], ha="center", va="center", zorder=4, fontsize=size)
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
    """Plot a search from left to right: the size of every network it came by, step by step.

    Networks that meet the target are filled circles, others hollow ones; the line is the smallest
    so far that meets it. Where the size was given, errors take the place of sizes.

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
    'step'
    """
    if not hasattr(estimator, "history_"):
        raise ValueError(
            f"{type(estimator).__name__} has no history_: plot_history shows fitted searches for a "
            "structure, such as RGTNDecomposer or RGTNImputer."
        )
    ax = new_axes(ax)
    history = [entry for entry in estimator.history_ if entry["scale"] == 0]
    budget = getattr(estimator, "max_parameters", None)
    limited: tuple[str, Any] = ("n_parameters", budget)
    wanted = ("relative_error", "relative error")
    if budget is None:
        promised = estimator._promised() if hasattr(estimator, "_promised") else None
        limited = ("relative_error", promised or np.inf)
        wanted = ("n_parameters", "parameters")
    y = np.array([entry[wanted[0]] for entry in history], dtype=float)
    # A hair of room: the error of an entry is rounded, the target is not.
    met: np.ndarray = np.array(
        [entry[limited[0]] <= limited[1] * (1 + 1e-6) for entry in history], dtype=bool
    )
    step = np.arange(1, len(history) + 1)
    actions = list(dict.fromkeys(entry["action"] for entry in history))
    for n, action in enumerate(actions):
        own = np.array([entry["action"] == action for entry in history])
        for some, face in ((own & met, f"C{n}"), (own & ~met, "none")):
            label = action if face != "none" or not (own & met).any() else None
            if some.any():
                ax.scatter(step[some], y[some], s=18, fc=face, ec=f"C{n}", label=label, zorder=3)
    if met.any():
        best = np.minimum.accumulate(np.where(met, y, np.inf))
        ax.step(step[np.isfinite(best)], best[np.isfinite(best)], where="post", color="black")
    if history:
        _log_axis(ax.yaxis, ax.set_yscale)
        # Beside the axes: there is no corner that no search comes to.
        ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    ax.set_xlabel("step")
    ax.set_ylabel(wanted[1])
    despine(ax)
    return ax


def _log_axis(axis, set_scale):
    from matplotlib.ticker import LogLocator, NullFormatter

    set_scale("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())
