"""Pictures of a chain and of its training."""

import numpy as np

from sktn.display._axes import despine, new_axes, shorten
from sktn.inspection import bond_entropy


class LossCurveDisplay:
    """The loss in training.

    Parameters
    ----------
    losses : array-like of shape (n_iterations,)
        The loss after every iteration.
    name : str, default=None
        For the legend.

    Attributes
    ----------
    ax_ : matplotlib axes
    figure_ : matplotlib figure
    line_ : matplotlib line

    Examples
    --------
    >>> from sktn.display import LossCurveDisplay
    >>> LossCurveDisplay([1.0, 0.5, 0.4]).plot().ax_.get_ylabel()
    'penalised training loss'
    """

    def __init__(self, losses, name=None):
        self.losses = losses
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, *, name=None, ax=None):
        """Draw the loss curve of a fitted estimator.

        Parameters
        ----------
        estimator : object
            Fitted, with `loss_curve_`.
        name : str, default=None
        ax : matplotlib axes, default=None

        Returns
        -------
        display : LossCurveDisplay
        """
        if not hasattr(estimator, "loss_curve_"):
            members = hasattr(estimator, "estimators_")
            raise ValueError(
                f"{type(estimator).__name__} has no loss_curve_"
                + ("; each of its estimators_ has one." if members else ": fit it first.")
            )
        return cls(estimator.loss_curve_, name).plot(ax=ax)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib axes, default=None

        Returns
        -------
        display : LossCurveDisplay
        """
        ax = new_axes(ax, figsize=(6, 3.6))
        losses = np.asarray(self.losses)
        (self.line_,) = ax.plot(np.arange(1, len(losses) + 1), losses, lw=2, label=self.name)
        if len(losses) < 30:
            self.line_.set_marker("o")
            self.line_.set_markersize(4)
        if (losses > 0).all():
            ax.set_yscale("log")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set(xlabel="iteration", ylabel="penalised training loss")
        ax.grid(axis="y", which="major", color="0.92")
        despine(ax)
        if self.name is not None:
            ax.legend(frameon=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self


class ChainDisplay:
    """Drawing of a matrix product state: a node a site, the bonds as wide as their dimension and as
    dark as their entropy.

    Parameters
    ----------
    entropies : :class:`~sklearn.utils.Bunch`
        What :func:`sktn.inspection.bond_entropy` returns.

    Attributes
    ----------
    ax_ : matplotlib axes
    figure_ : matplotlib figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sktn import MPSClassifier
    >>> from sktn.display import ChainDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MPSClassifier(alpha=0.1, random_state=0).fit(X, y)
    >>> ChainDisplay.from_estimator(model).figure_  # doctest: +ELLIPSIS
    <Figure size ...>
    """

    def __init__(self, entropies):
        self.entropies = entropies

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Draw the chain of a fitted model.

        Parameters
        ----------
        estimator : MPSClassifier, MPSRegressor or MPSDensityEstimator
            Fitted, with a single network.
        ax : matplotlib axes, default=None

        Returns
        -------
        display : ChainDisplay
        """
        return cls(bond_entropy(estimator)).plot(ax=ax)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib axes, default=None

        Returns
        -------
        display : ChainDisplay
        """
        names = self.entropies.site_names
        n = len(names)
        ax = new_axes(ax, figsize=(min(14, max(5, 0.45 * n + 1.5)), 3.2))
        import matplotlib as mpl

        # The bonds inside the chain; what is outside has dimension 1.
        entropy = np.asarray(self.entropies.entropy)[1:-1]
        dims = np.asarray(self.entropies.bond_dims)[1:-1]
        norm = mpl.colors.Normalize(0, max(entropy.max(initial=0), 1e-12))
        colours = mpl.colormaps["YlGnBu"].resampled(256)
        widest = max(dims.max(initial=1), 2)
        for k, (s, dim) in enumerate(zip(entropy, dims, strict=True)):
            width = 1.5 + 7 * np.log(dim) / np.log(widest)
            colour = colours(0.15 + 0.85 * norm(s))
            ax.plot([k, k + 1], [0, 0], lw=width, color=colour, solid_capstyle="butt", zorder=1)
            ax.text(k + 0.5, 0.3, str(dim), ha="center", va="bottom", fontsize=8, color="0.3")
        is_output = np.array([name == "output" for name in names])
        places = np.arange(n)
        size = 130 if n <= 40 else 50
        ax.scatter(
            places[~is_output],
            0 * places[~is_output],
            s=size,
            color="white",
            edgecolor="0.2",
            zorder=3,
        )
        ax.scatter(
            places[is_output],
            0 * places[is_output],
            s=1.3 * size,
            marker="s",
            color="tab:orange",
            edgecolor="0.2",
            zorder=3,
        )
        for k in places[is_output]:
            ax.plot([k, k], [0, 0.9], color="0.2", lw=1.5, zorder=1)
            ax.text(k, 1.0, "output", ha="center", va="bottom", fontsize=9)
        for k in places[~is_output]:
            ax.plot([k, k], [-0.75, 0], color="0.6", lw=1, zorder=1)
            ax.text(
                k,
                -0.85,
                shorten(names[k]),
                rotation=60 if n > 6 else 0,
                ha="right" if n > 6 else "center",
                va="top",
                rotation_mode="anchor",
                fontsize=8,
            )
        scale = mpl.cm.ScalarMappable(
            norm, mpl.colors.ListedColormap(colours(np.linspace(0.15, 1, 256)))
        )
        bar = ax.figure.colorbar(scale, ax=ax, shrink=0.7, pad=0.01)
        bar.set_label("entropy (nats)")
        bar.outline.set_visible(False)
        ax.set(xlim=(-0.8, n - 0.2), ylim=(-1.6, 1.6))
        ax.set_axis_off()
        self.ax_, self.figure_ = ax, ax.figure
        return self
