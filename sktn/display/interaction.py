"""Pictures of interactions between features."""

import numpy as np

from sktn.display._axes import new_axes, of_output, shorten
from sktn.inspection import interactions


class InteractionDisplay:
    """What features do alone and in pairs to the score: of one row with its sign, of many rows on
    average.

    Parameters
    ----------
    interactions : Interactions
        What :func:`sktn.inspection.interactions` returns.

    Attributes
    ----------
    ax_ : matplotlib axes
    figure_ : matplotlib figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sktn import MPSClassifier
    >>> from sktn.display import InteractionDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MPSClassifier(alpha=0.1, random_state=0).fit(X, y)
    >>> InteractionDisplay.from_estimator(model, X[:20]).figure_  # doctest: +ELLIPSIS
    <Figure size ...>
    """

    def __init__(self, interactions):
        self.interactions = interactions

    @classmethod
    def from_estimator(
        cls, estimator, X, *, index="faithful", row=None, output=0, max_features=10, ax=None
    ):
        """Draw the interactions of a fitted model.

        Parameters
        ----------
        estimator : MPSClassifier, MPSRegressor or one of their CV versions
            Fitted, alone, at the end of a pipeline or chosen by a search.
        X : array-like or data frame of shape (n_samples, n_features)
        index : str, default="faithful"
            As in :func:`sktn.inspection.interactions`.
        row : int, default=None
            Which row of X; None: the mean of the absolute values over all of them.
        output : int, default=0
            Which score.
        max_features : int, default=10
            The features with the largest values.
        ax : matplotlib axes, default=None

        Returns
        -------
        display : InteractionDisplay
        """
        found = interactions(estimator, X, index=index)
        return cls(found).plot(row=row, output=output, max_features=max_features, ax=ax)

    def plot(self, *, row=None, output=0, max_features=10, ax=None):
        """Draw.

        Parameters
        ----------
        row : int, default=None
        output : int, default=0
        max_features : int, default=10
        ax : matplotlib axes, default=None

        Returns
        -------
        display : InteractionDisplay
        """
        matrix = self.interactions.matrix()
        if matrix.ndim == 4:
            matrix = matrix[..., output]
        values = np.abs(matrix).mean(axis=0) if row is None else matrix[row]
        shown = np.argsort(-np.abs(values).sum(axis=0), kind="stable")[:max_features]
        names = [shorten(self.interactions.player_names[j]) for j in shown]
        values = values[np.ix_(shown, shown)]
        side = 0.42 * len(shown) + 2.4
        ax = new_axes(ax, figsize=(side + 1.4, side))
        reach = max(np.abs(values).max(), 1e-12)
        colours = (
            {"cmap": "YlOrRd", "vmin": 0, "vmax": reach}
            if row is None
            else {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach}
        )
        hidden = np.triu(np.ones_like(values, dtype=bool), 1)
        image = ax.imshow(np.ma.array(values, mask=hidden), **colours)
        places = np.arange(len(shown))
        ax.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
        ax.set_yticks(places, names)
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
        for k in places:
            # What a feature does alone, told apart from the pairs.
            ax.add_patch(_frame(k))
        bar = ax.figure.colorbar(image, ax=ax, shrink=0.8)
        score = of_output("score", self.interactions.output_names[output])
        bar.set_label(f"mean |change| of the {score}" if row is None else f"change of the {score}")
        bar.outline.set_visible(False)
        index = self.interactions.index.capitalize()
        ax.set_title(f"{index} interactions; alone: framed", fontsize=10)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _frame(k):
    from matplotlib.patches import Rectangle

    return Rectangle((k - 0.5, k - 0.5), 1, 1, fill=False, edgecolor="0.3", lw=1)
