"""What all drawings share."""

# A pair of colours that survives colour blindness and print.
DOWN, UP = "#3b76b0", "#d1495b"


def new_axes(ax, **subplots):
    """The given axes, or those of a new figure."""
    if ax is not None:
        return ax
    return pyplot().subplots(layout="constrained", **subplots)[1]


def pyplot():
    """matplotlib.pyplot, imported where something is drawn: importing sktn stays light."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Drawing needs matplotlib: pip install 'sktn[plot]'.") from error
    return plt


def despine(ax):
    """Leave only the axes that are read."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def of_output(text, name):
    """`text of class`: what a score is of. A single target has no name of its own."""
    return text if str(name) == "y" else f"{text} of {shorten(name)}"


def shorten(name, length=26):
    """A name that leaves room for the picture."""
    name = str(name)
    return name if len(name) <= length else name[: length - 1] + "…"
