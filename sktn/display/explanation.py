"""Pictures of explanations: variance shares and marginal effects."""

import numpy as np

from sktn.display._axes import DOWN, despine, new_axes, of_output, shorten
from sktn.inspection import marginal_effect, variance_shares
from sktn.inspection.effects import columns_of


class VarianceSharesDisplay:
    """Which features the score varies with: bars of what each does alone and together with others,
    or a map of the pairs.

    Parameters
    ----------
    shares : :class:`~sklearn.utils.Bunch`
        What :func:`sktn.inspection.variance_shares` returns.

    Attributes
    ----------
    ax_ : matplotlib axes
    figure_ : matplotlib figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sktn import MPSClassifier
    >>> from sktn.display import VarianceSharesDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MPSClassifier(alpha=0.1, random_state=0).fit(X, y)
    >>> VarianceSharesDisplay.from_estimator(model).ax_.get_xlabel()
    "share of the score's variance"
    """

    def __init__(self, shares):
        self.shares = shares

    @classmethod
    def from_estimator(
        cls, estimator, X=None, *, kind="bars", max_features=12, output=None, ax=None
    ):
        """Draw the variance shares of a fitted model.

        Parameters
        ----------
        estimator : MPSClassifier, MPSRegressor or one of their CV versions
            Fitted, alone, at the end of a pipeline or chosen by a search.
        X : array-like or data frame of shape (n_samples, n_features), default=None
            Rows, needed for averages of different bases; see
            :func:`sktn.inspection.variance_shares`.
        kind : {"bars", "pairs"}, default="bars"
        max_features : int, default=12
            Draw the features of the largest total shares.
        output : int, default=None
            Which score; all together by default.
        ax : matplotlib axes, default=None

        Returns
        -------
        display : VarianceSharesDisplay
        """
        shares = variance_shares(estimator, X, output=output)
        return cls(shares).plot(kind=kind, max_features=max_features, ax=ax)

    def plot(self, *, kind="bars", max_features=12, ax=None):
        """Draw.

        Parameters
        ----------
        kind : {"bars", "pairs"}, default="bars"
        max_features : int, default=12
        ax : matplotlib axes, default=None

        Returns
        -------
        display : VarianceSharesDisplay
        """
        if kind not in ("bars", "pairs"):
            raise ValueError(f"kind must be 'bars' or 'pairs', got {kind!r}.")
        shown = np.argsort(-self.shares.total, kind="stable")[:max_features]
        names = [shorten(self.shares.feature_names[j]) for j in shown]
        side = 0.32 * len(shown) + 1.4
        if kind == "bars":
            ax = new_axes(ax, figsize=(6.5, side))
            self._bars(ax, shown, names)
        else:
            ax = new_axes(ax, figsize=(side + 2.4, side + 1.2))
            self._pairs(ax, shown, names)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _bars(self, ax, shown, names):
        alone, total = self.shares.first_order[shown], self.shares.total[shown]
        y = np.arange(len(shown))
        ax.barh(y, alone, color=DOWN, label="alone")
        ax.barh(y, total - alone, left=alone, color="#f0a868", label="with others")
        ax.set_yticks(y, names)
        ax.invert_yaxis()
        ax.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        ax.set_xlabel("share of the score's variance")
        ax.legend(frameon=False, loc="lower right")
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x", color="0.92")
        ax.set_axisbelow(True)
        despine(ax)

    def _pairs(self, ax, shown, names):
        pairs = 100 * self.shares.pairs[np.ix_(shown, shown)]
        hidden = np.triu(np.ones_like(pairs, dtype=bool))
        image = ax.imshow(np.ma.array(pairs, mask=hidden)[1:, :-1], cmap="YlOrRd", vmin=0)
        k = np.arange(len(shown) - 1)
        ax.set_xticks(k, names[:-1], rotation=45, ha="right", rotation_mode="anchor")
        ax.set_yticks(k, names[1:])
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
        bar = ax.figure.colorbar(image, ax=ax, shrink=0.8)
        bar.set_label("share of the pair's interaction (%)")
        bar.outline.set_visible(False)


class MarginalEffectDisplay:
    """The score as a function of one feature or two, averaged exactly over the others. Curves have
    a band of two standard errors where the model knows them.

    Parameters
    ----------
    effect : :class:`~sklearn.utils.Bunch`
        What :func:`sktn.inspection.marginal_effect` returns.
    columns : list of ndarray, default=None
        Values of the features in some rows, to show where rows are.

    Attributes
    ----------
    ax_ : matplotlib axes
    figure_ : matplotlib figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sktn import MPSClassifier
    >>> from sktn.display import MarginalEffectDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MPSClassifier(alpha=0.1, random_state=0).fit(X, y)
    >>> MarginalEffectDisplay.from_estimator(model, X, 2).ax_.get_xlabel()
    'x2'
    """

    def __init__(self, effect, columns=None):
        self.effect = effect
        self.columns = columns

    @classmethod
    def from_estimator(cls, estimator, X, features, *, output=None, density=False, ax=None, **grid):
        """Draw a marginal effect of a fitted model.

        Parameters
        ----------
        estimator : MPSClassifier, MPSRegressor or one of their CV versions
            Fitted, alone, at the end of a pipeline or chosen by a search.
        X : array-like or data frame of shape (n_samples, n_features)
            Gives the grid.
        features : int, str or pair of them
        output : int, default=None
            Which score. None: a curve for each of them; for two features the first.
        density : bool, default=False
            Show where the rows of X are: a curve is less sure where few are.
        ax : matplotlib axes, default=None
        **grid : dict
            `grid_resolution` and `percentiles` of :func:`sktn.inspection.marginal_effect`.

        Returns
        -------
        display : MarginalEffectDisplay
        """
        effect = marginal_effect(estimator, X, features, **grid)
        columns = columns_of(estimator, X, features) if density else None
        return cls(effect, columns).plot(output=output, ax=ax)

    def plot(self, *, output=None, ax=None):
        """Draw.

        Parameters
        ----------
        output : int, default=None
        ax : matplotlib axes, default=None

        Returns
        -------
        display : MarginalEffectDisplay
        """
        one = len(self.effect.grid_values) == 1
        ax = new_axes(ax, figsize=(5, 3.6) if one else (5.5, 4.2))
        if one:
            self._curves(ax, output)
        else:
            self._map(ax, 0 if output is None else output)
        if self.columns is not None:
            self._rows(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _curves(self, ax, output):
        (values,), names = self.effect.grid_values, self.effect.output_names
        chosen = range(len(names)) if output is None else [output]
        numeric = np.asarray(values).dtype.kind in "fiu"
        label = of_output("averaged score", names[chosen[0]] if len(chosen) == 1 else "y")
        for c in chosen:
            colour = f"C{c}"
            middle = ax.axhline if numeric else ax.axvline
            middle(self.effect.mean[c], color="0.75", lw=1, ls=":")
            if numeric:
                ax.plot(values, self.effect.average[c], color=colour, lw=2.2, label=str(names[c]))
                if "std" in self.effect:
                    ends = (self.effect.average[c] + k * self.effect.std[c] for k in (-2, 2))
                    ax.fill_between(values, *ends, color=colour, alpha=0.15, lw=0)
            else:
                y = np.arange(len(values))
                ax.hlines(y, self.effect.mean[c], self.effect.average[c], color=colour, lw=2)
                if "std" in self.effect:
                    ends = (self.effect.average[c] + k * self.effect.std[c] for k in (-2, 2))
                    ax.hlines(y, *ends, color=colour, lw=6, alpha=0.2)
                ax.set_ylim(-0.6, len(values) - 0.4)
                ax.plot(self.effect.average[c], y, "o", color=colour, label=str(names[c]))
        if numeric:
            ax.set(xlabel=self.effect.feature_names[0], ylabel=label)
        else:
            ax.set_yticks(np.arange(len(values)), [shorten(v) for v in values])
            ax.set(xlabel=label, ylabel=self.effect.feature_names[0])
        if len(chosen) > 1:
            ax.legend(frameon=False)
        ax.grid(axis="y" if numeric else "x", color="0.92")
        despine(ax)

    def _map(self, ax, output):
        ticks = []
        for values in self.effect.grid_values:
            values = np.asarray(values)
            ticks.append(values if values.dtype.kind in "fiu" else np.arange(len(values)))
        centre = self.effect.mean[output]
        scores = self.effect.average[output].T
        reach = max(np.abs(scores - centre).max(), 1e-12)
        image = ax.pcolormesh(
            *ticks,
            scores,
            cmap="RdBu_r",
            vmin=centre - reach,
            vmax=centre + reach,
            shading="nearest",
            rasterized=True,
        )
        for axis, values, place in zip(
            (ax.xaxis, ax.yaxis), self.effect.grid_values, ticks, strict=True
        ):
            if np.asarray(values).dtype.kind not in "fiu":
                axis.set_ticks(place, [shorten(v) for v in values])
        ax.set(xlabel=self.effect.feature_names[0], ylabel=self.effect.feature_names[1])
        bar = ax.figure.colorbar(image, ax=ax)
        bar.set_label(of_output("averaged score", self.effect.output_names[output]))
        bar.outline.set_visible(False)

    def _rows(self, ax):
        """Where rows are: a histogram at the foot of a curve, numbers beside levels, dots on a
        map."""
        numeric = [np.asarray(v).dtype.kind in "fiu" for v in self.effect.grid_values]
        if len(numeric) == 2:
            if all(numeric):
                places = [np.asarray(column, np.float64) for column in self.columns]
                limits = ax.axis()
                ax.plot(*places, ".", color="0.15", ms=2, alpha=0.4)
                ax.axis(limits)
            return
        (column,), (values,) = self.columns, self.effect.grid_values
        if not numeric[0]:
            count = [np.sum(np.asarray(column, dtype=str) == str(value)) for value in values]
            ax.set_yticks(
                np.arange(len(values)),
                [f"{shorten(v)} ({c})" for v, c in zip(values, count, strict=True)],
            )
            return
        known = np.asarray(column, np.float64)
        low, high = min(values), max(values)
        known = known[(known >= low) & (known <= high)]
        count, edges = np.histogram(known, bins=40, range=(low, high))
        foot = ax.inset_axes([0, 0, 1, 0.14], sharex=ax)
        foot.bar(edges[:-1], count, np.diff(edges), align="edge", color="0.85")
        foot.axis("off")
        bottom, top = ax.get_ylim()
        ax.set_ylim(bottom - 0.16 * (top - bottom), top)
