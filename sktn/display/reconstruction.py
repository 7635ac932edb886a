"""Pictures out of a tensor, beside what a network makes of them."""

import numpy as np

from sktn.display._axes import pyplot

__all__ = ["ReconstructionDisplay"]


class ReconstructionDisplay:
    """Images of a stack, a video or a light field: the data, the network's, and their difference.

    Parameters
    ----------
    original, approximation : ndarray of shape (n_images, height, width) or \
(n_images, height, width, 3)
        Original entries may be NaN, as in a tensor to be completed: they are drawn white.
    names : sequence of str, default=None
        Titles of the images.

    Attributes
    ----------
    psnr_ : ndarray of shape (n_images,)
        Peak signal-to-noise ratio of every image over the entries that are known, in dB; the peak
        is the range of the original.
    axes_ : ndarray of matplotlib axes, shape (3, n_images)
    figure_ : matplotlib figure

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import TTDecomposer
    >>> from sktn.display import ReconstructionDisplay
    >>> video = np.random.default_rng(0).random((6, 8, 8))
    >>> model = TTDecomposer(target_error=0.5, random_state=0).fit(video)
    >>> display = ReconstructionDisplay.from_estimator(model, video, {0: [0, 3]})
    >>> display.axes_.shape
    (3, 2)
    """

    def __init__(self, original, approximation, names=None):
        self.original = original
        self.approximation = approximation
        self.names = names

    @classmethod
    def from_estimator(cls, estimator, X, images, *, color_axis=None):
        """Draw images of a fitted decomposer or imputer.

        Parameters
        ----------
        estimator : object
            A fitted decomposer or imputer: its ``to_tensor()`` is drawn.
        X : array-like
            The tensor it was fitted to, or the complete one.
        images : dict
            {axis: positions} of the axes that do not lie in the image. The first axis may have
            several positions, one for every image: ``{4: [0, 10, 20]}`` are three frames of a
            video, ``{3: [0, 4, 8], 4: 4}`` three views of a light field.
        color_axis : int, default=None
            The axis of red, green and blue, where there is one.

        Returns
        -------
        display : ReconstructionDisplay
            The display, drawn.
        """
        X = np.asarray(X, dtype=float)
        (axis, positions), *rest = images.items()
        positions = np.atleast_1d(positions)
        fixed = {a: int(p) for a, p in rest}
        inside = [a for a in range(X.ndim) if a != axis and a not in fixed and a != color_axis]
        if len(inside) != 2:
            raise ValueError(
                f"An image has two axes, but X has {X.ndim}, of which images={images!r} and "
                f"color_axis={color_axis!r} leave {inside}."
            )

        def taken(tensor):
            # Images first, colours last.
            order = [axis, *inside, *([] if color_axis is None else [color_axis]), *fixed]
            part = np.transpose(tensor, order)
            for position in reversed(fixed.values()):
                part = part[..., position]
            return part[positions]

        approximation = np.asarray(estimator.to_tensor(), dtype=float).reshape(X.shape)
        names = [f"{p}" for p in positions]
        return cls(taken(X), taken(approximation), names).plot()

    @property
    def psnr_(self):
        known = np.isfinite(self.original)
        peak = np.ptp(self.original[known])
        axes = tuple(range(1, self.original.ndim))
        square = np.where(known, np.nan_to_num(self.original) - self.approximation, 0.0) ** 2
        error = square.sum(axis=axes) / known.sum(axis=axes)
        with np.errstate(divide="ignore"):
            return 10 * np.log10(peak**2 / error)

    def plot(self):
        """Draw, in a new figure.

        Returns
        -------
        display : ReconstructionDisplay
            Self.
        """
        original = np.asarray(self.original, dtype=float)
        n, height, width = original.shape[:3]
        low, high = np.nanmin(original), np.nanmax(original)
        span = high - low if high > low else 1.0

        def shown(images):
            unit = np.clip((images - low) / span, 0, 1)
            return np.where(np.isnan(unit), 1.0, unit)

        difference = np.abs(original - self.approximation)
        if difference.ndim == 4:
            difference = difference.mean(axis=-1)
        self.figure_, self.axes_ = pyplot().subplots(
            3,
            n,
            figsize=(1.2 + 2.2 * n, 0.8 + 6 * height / width),
            squeeze=False,
            layout="constrained",
        )
        limit = max(float(np.nanmax(difference)), np.finfo(float).tiny)
        psnr = self.psnr_
        for k in range(n):
            top, middle, bottom = self.axes_[:, k]
            for ax, image in ((top, original[k]), (middle, self.approximation[k])):
                ax.imshow(shown(image), cmap="gray", vmin=0, vmax=1)
            last = bottom.imshow(difference[k], cmap="magma", vmin=0, vmax=limit)
            if self.names is not None:
                top.set_title(self.names[k])
            middle.set_title(f"{psnr[k]:.1f} dB", fontsize=9)
            for ax in (top, middle, bottom):
                ax.set(xticks=[], yticks=[])
        for ax, label in zip(self.axes_[:, 0], ("original", "network", "difference"), strict=True):
            ax.set_ylabel(label)
        self.figure_.colorbar(last, ax=self.axes_, shrink=0.28, anchor=(0, 0.02), pad=0.01)
        return self
