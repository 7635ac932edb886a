"""What a model does, in one HTML file that needs nothing else."""

import base64
import html
import io
import textwrap
from pathlib import Path

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.utils import _safe_indexing, check_consistent_length

from sktn.chains.members import estimators_of, networks_of
from sktn.display.explanation import MarginalEffectDisplay, VarianceSharesDisplay
from sktn.display.reliability import ReliabilityDisplay
from sktn.display.shapley import ShapleyDisplay
from sktn.inspection.reading import read_model, through, unwrapped
from sktn.inspection.shapley import shapley_values
from sktn.inspection.variance import variance_shares

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; margin: 2rem auto; max-width: 1060px;
       padding: 0 1rem; }
h1 { font-size: 1.6rem; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
p { max-width: 46rem; }
table { border-collapse: collapse; margin: .6rem 0; }
th, td { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top; }
th { font-weight: 600; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
figure { margin: 0; } figcaption { font-size: .9rem; color: #555; max-width: 30rem; }
img { max-width: 100%; }
@media print { h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""


class Report:
    """A page of HTML, made by :func:`report`; notebooks show it.

    Attributes
    ----------
    html : str
        The whole page.
    """

    def __init__(self, html):
        self.html = html

    def __repr__(self):
        return f"<Report, {len(self.html) / 1000:.0f} kB of HTML: write it by .save('report.html')>"

    def save(self, path):
        """Write the page to a file.

        Parameters
        ----------
        path : str or path-like
            Where to; a file that is there is overwritten.

        Returns
        -------
        path : Path
        """
        path = Path(path)
        path.write_text(self.html, encoding="utf-8")
        return path

    def _repr_html_(self):
        page = html.escape(self.html)
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 900px; border: 0"></iframe>'


def report(model, X, y, *, max_features=8, title=None):
    """What a model does on some rows, on one page: scores, calibration, importances, effects,
    interactions, and three rows explained. All of it exact readings of the model.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor, one of their CV versions, TTNClassifier or TTNRegressor
        Fitted, alone, at the end of a pipeline or chosen by a search.
    X : array-like or data frame of shape (n_samples, n_features)
        Rows that the model was not fitted to.
    y : array-like of shape (n_samples,)
        Their labels or numbers.
    max_features : int, default=8
        The features of the largest shares are drawn.
    title : str, default=None
        Heading of the page; None: the class and the number of rows.

    Returns
    -------
    report : Report
        ``report(...).save("model.html")`` writes a file that needs no network and no other file.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sktn import MPSRegressor
    >>> from sktn.display import report
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = MPSRegressor(random_state=0).fit(X[:300], y[:300])
    >>> page = report(model, X[300:], y[300:])  # doctest: +SKIP
    >>> page.save("diabetes.html")  # doctest: +SKIP
    """
    chain = read_model(model, trees=True).model
    y = np.asarray(y)
    if y.ndim != 1:
        raise ValueError("A report shows one target: y has more than one dimension.")
    check_consistent_length(X, y)
    shares = variance_shares(model, X)
    sections = [
        _summary(model, chain, X, y),
        _calibration(model, X, y),
        _importances(shares, max_features),
        _effects(model, X, shares, max_features),
        _interactions(model, X, shares, max_features),
        _rows(model, X, y, max_features),
    ]
    title = f"{type(chain).__name__} on {len(y)} rows" if title is None else title
    body = "\n".join(section for section in sections if section)
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    return Report(
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n'
        f"<body>\n<h1>{html.escape(title)}</h1>\n{body}\n</body></html>\n"
    )


def _summary(model, chain, X, y):
    members = networks_of(chain)
    networks = [member.network for member in members]
    facts = [
        ("model", type(chain).__name__),
        ("rows, columns", f"{len(y)}, {int(np.prod(np.shape(X)[1:]))}"),
        ("networks in the average", str(len(networks))),
        ("largest bond dimension", str(max(int(net.bond_dims.max()) for net in networks))),
        ("numbers in the networks", f"{sum(net.n_parameters for net in networks):,}"),
        ("strength of the ridge", ", ".join(f"{e.alpha_:.3g}" for e in estimators_of(chain))),
    ]
    if is_classifier(model):
        proba = model.predict_proba(X)
        facts += [
            ("accuracy", f"{np.mean(model.predict(X) == y):.3f}"),
            ("log-loss", f"{log_loss(y, proba, labels=model.classes_):.3f}"),
            (
                "share of the largest class",
                f"{np.unique(y, return_counts=True)[1].max() / len(y):.3f}",
            ),
        ]
    else:
        predicted = model.predict(X)
        facts += [
            ("R<sup>2</sup>", f"{model.score(X, y):.3f}"),
            ("root mean square error", f"{root_mean_squared_error(y, predicted):.4g}"),
            ("standard deviation of the target", f"{np.std(y):.4g}"),
        ]
    settings = html.escape(textwrap.shorten(repr(unwrapped(model)[0]), 600))
    rows = "".join(
        f'<tr><td>{name}</td><td class="number">{value}</td></tr>' for name, value in facts
    )
    return f"<h2>Summary</h2>\n<table>{rows}</table>\n<p><code>{settings}</code></p>"


def _calibration(model, X, y):
    if not is_classifier(model):
        # A pipeline does not pass quantiles on.
        model, steps = unwrapped(model)
        X = through(steps, X)
        if getattr(model, "spread_", None) is None:
            return ""
    caption = (
        "Probabilities said and shares of rows for which it was so, in bins of equally many rows, "
        "with two standard errors."
        if is_classifier(model)
        else "Shares of rows below the quantiles predicted, with two standard errors."
    )
    display = ReliabilityDisplay.from_estimator(model, X, y)
    return "<h2>Calibration</h2>\n" + _pictures([(display, caption)])


def _importances(shares, max_features):
    bars = VarianceSharesDisplay(shares).plot(max_features=max_features)
    orders = [(k + 1, share) for k, share in enumerate(shares.by_order) if share > 5e-4]
    rows = "".join(
        f'<tr><td class="number">{k}</td><td class="number">{100 * share:.1f} %</td></tr>'
        for k, share in orders
    )
    parts = np.concatenate(
        [shares.first_order, shares.pairs[np.triu_indices_from(shares.pairs, 1)]]
    )
    held = np.cumsum(np.sort(parts)[::-1])
    terms = f"{100 * held[-1]:.1f} % is in curves and surfaces, terms of one column or two"
    if held[-1] > 0:
        terms += f"; 99 % of that in {1 + np.searchsorted(held, 0.99 * held[-1])} of {len(parts)}"
    return (
        "<h2>Importances</h2>\n<p>Where the variance of the score comes from, over columns drawn "
        f"independently: what each does alone, and with others. {terms}.</p>\n"
        "<div class='pictures'>"
        + _picture(bars, "Shares of the score's variance.")
        + f"<table><tr><th>columns in a part</th><th>share</th></tr>{rows}</table></div>"
    )


def _effects(model, X, shares, max_features):
    shown = np.argsort(-shares.total, kind="stable")[:max_features]
    pictures = [
        (
            MarginalEffectDisplay.from_estimator(model, X, int(j), density=True),
            f"{shares.feature_names[j]}: {100 * shares.first_order[j]:.1f} % alone, "
            f"{100 * shares.total[j]:.1f} % in all.",
        )
        for j in shown
        if shares.total[j] > 0
    ]
    if not pictures:
        return ""
    return (
        "<h2>Effects</h2>\n<p>The score as a function of one column, averaged exactly over the "
        "others. Bands: two standard errors. Below each curve: where the rows are.</p>\n"
        + _pictures(pictures)
    )


def _interactions(model, X, shares, max_features):
    pairs = np.triu(shares.pairs, 1)
    best = [divmod(int(flat), len(pairs)) for flat in np.argsort(-pairs, axis=None)[:2]]
    best = [(i, j) for i, j in best if pairs[i, j] > 1e-3]
    if not best:
        return "<h2>Interactions</h2>\n<p>No pair has a thousandth of the score's variance.</p>"
    pictures = [
        (
            VarianceSharesDisplay(shares).plot(kind="pairs", max_features=max(2, max_features)),
            "What pairs do together beyond what each column does alone.",
        )
    ]
    pictures += [
        (
            MarginalEffectDisplay.from_estimator(model, X, (i, j), grid_resolution=40),
            f"{shares.feature_names[i]} and {shares.feature_names[j]}: "
            f"{100 * pairs[i, j]:.1f} % of the variance.",
        )
        for i, j in best
    ]
    return "<h2>Interactions</h2>\n" + _pictures(pictures)


def _rows(model, X, y, max_features):
    if is_classifier(model):
        proba = model.predict_proba(X)
        own = proba[np.arange(len(y)), np.searchsorted(model.classes_, y)]
        answers = model.predict(X)
        said = [
            f"{model.classes_[k]} at {p[k]:.2f}"
            for p, k in zip(proba, proba.argmax(1), strict=True)
        ]
        kinds = ("the surest right", "the least sure", "the worst miss")
        chosen = [int(np.argmax(own)), int(np.argmin(proba.max(axis=1))), int(np.argmin(own))]
    else:
        answers = model.predict(X)
        said = [f"{answer:.4g}" for answer in answers]
        order = np.argsort(answers, kind="stable")
        kinds = ("the smallest prediction", "the median one", "the largest")
        chosen = [int(order[0]), int(order[len(order) // 2]), int(order[-1])]
    explanation = shapley_values(model, _safe_indexing(X, chosen))
    pictures = []
    for k, (i, kind) in enumerate(zip(chosen, kinds, strict=True)):
        output = 0
        if explanation.values.ndim == 3:
            output = int(np.flatnonzero(explanation.output_names == answers[i])[0])
        display = ShapleyDisplay(explanation).plot(
            kind="waterfall", row=k, output=output, max_features=max_features
        )
        pictures.append((display, f"Row {i}, {kind}: predicted {said[i]}, was {y[i]}."))
    return (
        "<h2>Three rows</h2>\n<p>Exact Shapley values: how much each column moved the score away "
        "from its mean.</p>\n" + _pictures(pictures)
    )


def _pictures(pictures):
    return '<div class="pictures">' + "".join(_picture(*pair) for pair in pictures) + "</div>"


def _picture(display, caption):
    """The figure of a display as an element of its own: nothing in it names another file."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure = display.figure_
    # No date: the same model gives the same page.
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    caption = html.escape(caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
