"""Pictures of Shapley values."""

import numpy as np

from sktn.display._axes import DOWN, UP, despine, new_axes, of_output, shorten
from sktn.inspection import shapley_values


class ShapleyDisplay:
    """Shapley values: of many rows as a bee-swarm, of one row as a waterfall.

    Parameters
    ----------
    explanation : ShapleyValues
        What :func:`sktn.inspection.shapley_values` returns.

    Attributes
    ----------
    ax_ : matplotlib axes
    figure_ : matplotlib figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sktn import MPSClassifier
    >>> from sktn.display import ShapleyDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MPSClassifier(alpha=0.1, random_state=0).fit(X, y)
    >>> ShapleyDisplay.from_estimator(model, X[:20]).ax_.get_xlabel()
    'Shapley value: change of the score of 0'
    """

    def __init__(self, explanation):
        self.explanation = explanation

    @classmethod
    def from_estimator(
        cls, estimator, X, *, kind="auto", row=0, output=0, max_features=10, ax=None
    ):
        """Draw the Shapley values of a fitted model.

        Parameters
        ----------
        estimator : MPSClassifier, MPSRegressor or one of their CV versions
            Fitted, alone, at the end of a pipeline or chosen by a search.
        X : array-like or data frame of shape (n_samples, n_features)
        kind : {"auto", "beeswarm", "waterfall"}, default="auto"
            "auto": a waterfall for a single row.
        row : int, default=0
            Which row of X, for a waterfall.
        output : int, default=0
            Which score.
        max_features : int, default=10
            The features of the largest values; the others are added up in a waterfall.
        ax : matplotlib axes, default=None

        Returns
        -------
        display : ShapleyDisplay
        """
        display = cls(shapley_values(estimator, X))
        return display.plot(kind=kind, row=row, output=output, max_features=max_features, ax=ax)

    def plot(self, *, kind="auto", row=0, output=0, max_features=10, ax=None):
        """Draw.

        Parameters
        ----------
        kind : {"auto", "beeswarm", "waterfall"}, default="auto"
        row : int, default=0
        output : int, default=0
        max_features : int, default=10
        ax : matplotlib axes, default=None

        Returns
        -------
        display : ShapleyDisplay
        """
        values, base = self.explanation.values, self.explanation.base_values
        if values.ndim == 3:
            values, base = values[..., output], base[:, output]
        if kind == "auto":
            kind = "waterfall" if len(values) == 1 else "beeswarm"
        if kind not in ("beeswarm", "waterfall"):
            raise ValueError(f"kind must be 'auto', 'beeswarm' or 'waterfall', got {kind!r}.")
        n_shown = min(max_features, values.shape[1])
        ax = new_axes(ax, figsize=(7, 0.36 * n_shown + 1.5))
        score = of_output("score", self.explanation.output_names[output])
        if kind == "beeswarm":
            self._beeswarm(ax, values, n_shown)
            ax.set_xlabel(f"Shapley value: change of the {score}")
        else:
            data = self.explanation.data[row]
            end = self._waterfall(ax, values[row], base[row], data, n_shown)
            ax.set_xlabel(f"{score}: {base[row]:.3g} on average, {end:.3g} for this row")
        despine(ax)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _label(self, j):
        return shorten(self.explanation.feature_names[j])

    def _beeswarm(self, ax, values, n_shown):
        shown = np.argsort(-np.abs(values).mean(axis=0), kind="stable")[:n_shown]
        width = max(np.ptp(values[:, shown]), 1e-12)
        for y, j in enumerate(shown):
            colour = _ranks(self.explanation.data[:, j])
            known = ~np.isnan(colour)
            offset = _swarm(values[:, j], width)
            ax.axhline(y, color="0.92", lw=1, zorder=0)
            ax.scatter(values[~known, j], y + offset[~known], s=11, color="0.7", linewidths=0)
            dots = ax.scatter(
                values[known, j],
                y + offset[known],
                s=11,
                c=colour[known],
                cmap="coolwarm",
                vmin=0,
                vmax=1,
                linewidths=0,
                rasterized=len(values) > 2000,
            )
        ax.axvline(0, color="0.4", lw=1, zorder=0)
        ax.set_yticks(np.arange(n_shown), [self._label(j) for j in shown])
        ax.set_ylim(n_shown - 0.4, -0.6)
        bar = ax.figure.colorbar(dots, ax=ax, ticks=[0, 1], aspect=35, pad=0.01)
        bar.ax.set_yticklabels(["low", "high"])
        bar.set_label("feature value", labelpad=-10)
        bar.outline.set_visible(False)

    def _waterfall(self, ax, values, base, data, n_shown):
        order = np.argsort(-np.abs(values), kind="stable")
        if n_shown < len(values):
            rest = order[n_shown - 1 :]
            order = order[: n_shown - 1]
            labels = [self._with_value(j, data[j]) for j in order] + [f"{len(rest)} others"]
            steps = np.append(values[order], values[rest].sum())
        else:
            labels, steps = [self._with_value(j, data[j]) for j in order], values[order]
        # The last step ends at the score; drawn from the top, the largest comes first.
        ends = base + np.cumsum(steps[::-1])[::-1]
        y = np.arange(len(steps))
        ax.barh(
            y,
            steps,
            left=ends - steps,
            height=0.62,
            color=np.where(steps >= 0, UP, DOWN),
            zorder=2,
        )
        for k, (step, end) in enumerate(zip(steps, ends, strict=True)):
            ax.annotate(
                f"{step:+.3g}",
                (max(end, end - step), k),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color="0.25",
            )
            if k:
                ax.plot([end, end], [k - 1 + 0.31, k - 0.31], color="0.6", lw=0.8, zorder=1)
        ax.axvline(base, color="0.6", ls=":", lw=1, zorder=0)
        ax.set_yticks(y, labels)
        ax.set_ylim(len(steps) - 0.4, -0.7)
        # Bars stick to the axes' edge by default, where their numbers would be cut off.
        ax.use_sticky_edges = False
        ax.margins(x=0.12)
        return ends[0]

    def _with_value(self, j, value):
        shown = f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
        return f"{self._label(j)} = {shown}"


def _ranks(column):
    """Places in [0, 1] of a column's values for colours, NaN where missing."""
    try:
        column = np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        return np.full(len(column), np.nan)  # categories have no order
    known = ~np.isnan(column)
    ranks = np.full(len(column), np.nan)
    values, inverse = np.unique(column[known], return_inverse=True)
    ranks[known] = inverse / max(1, len(values) - 1)
    return ranks


def _swarm(values, width, n_bins=100, reach=0.38):
    """Vertical offsets that spread crowded points: -> (b,)"""
    bins = np.round(n_bins * (values - values.min()) / width).astype(int)
    offset = np.zeros(len(values))
    largest = np.bincount(bins).max()
    step = min(0.07, 2 * reach / max(largest, 1))
    for b in np.unique(bins):
        rows = np.flatnonzero(bins == b)
        place = np.arange(len(rows))
        # 0, 1, -1, 2, -2, ...
        offset[rows] = step * ((place + 1) // 2) * np.where(place % 2, 1, -1)
    return offset
