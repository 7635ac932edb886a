"""What the docs say of the result files: one function a table, by the name in its marker.

A function takes the kind of document (".rst" or ".md") and returns lines; `table(...)` files it
under its name together with the result files that it reads.
"""

import re
import textwrap

import numpy as np
from _results import FOLDER, read

TABLES, RESULTS = {}, {}

# How the text may call a model, and how results call it.
RIVALS = {
    "random forest": ("random forest (300)", "random forest"),
    "explainable boosting": ("EBM",),
    "LightGBM": ("LightGBM",),
    "hist. boosting": ("hist. boosting",),
    "SVC": ("SVC, tuned", "SVC"),
    "SVR": ("SVR, tuned",),
    "MLP": ("MLP",),
    "logistic regression": ("logistic regression",),
    "nearest neighbours": ("nearest neighbours", "knn", "kNN 5 mean"),
    "Nystroem": ("Nystroem + ridge",),
    "isolation forest": ("IForest", "isolation forest"),
    "local outlier factor": ("LOF",),
    "Gaussian mixture": ("GMM 5", "GMM"),
    "kernel density": ("KDE 0.2", "KDE"),
    "one-class SVM": ("OCSVM",),
    "copula": ("copula",),
    "autoregressive flow": ("flow",),
    "TensorLy": ("cp",),
    "tn4ml": ("tn4ml",),
    "TensorKrowch": ("TensorKrowch",),
    "SVDinsTNDecomposer": ("SVDinsTN",),
    "GeneticTN": ("TNGA",),
    "GreedyTN": ("TNGreedy",),
    "LocalSearchTN": ("TNLS",),
    "EnumerationTN": ("TnALE",),
    "FCTNDecomposer": ("FCTN-ALS",),
    "TRDecomposer": ("TR-ALS",),
    "TTDecomposer": ("TT-SVD",),
    "shap": ("shap.KernelExplainer", "shap.PermutationExplainer"),
    "shapiq": ("shapiq",),
}


def table(name, *files):
    """Files a function under the name of its table."""

    def file(function):
        def labels():
            rows = [row for name in files for row in read(FOLDER / name)[0]]
            return {value for row in rows for value in row.values() if isinstance(value, str)}

        def lines(kind):
            return function(kind, *(read(FOLDER / name) for name in files))

        TABLES[name], RESULTS[name] = lines, labels
        return function

    return file


def text_table(kind, header, rows):
    """Lines of a table of strings; the first column is the widest in Markdown, too."""
    cells = [header, *rows]
    widths = [max(len(row[k]) for row in cells) for k in range(len(header))]
    padded = [" ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
    if kind == ".md":
        bars = [["---"] * len(header)]
        return "\n".join("| " + " | ".join(row) + " |" for row in (header, *bars, *rows))
    rule = " ".join("=" * width for width in widths)
    return "\n".join(line.rstrip() for line in (rule, padded[0], rule, *padded[1:], rule))


def columns(values, formats, lowest):
    """Columns of numbers as strings, the best of each in bold: values (rows, columns), one format
    and one bool (is the lowest best?) a column; a format ending in "!" marks no best."""
    values = np.asarray(values, float)
    out = [[] for _ in values]
    for k, (form, low) in enumerate(zip(formats, lowest, strict=True)):
        texts = [number(value, form.removesuffix("!")) for value in values[:, k]]
        best = texts[int(np.nanargmin(values[:, k] if low else -values[:, k]))]
        for row, text in zip(out, texts, strict=True):
            row.append(f"**{text}**" if text == best and not form.endswith("!") else text)
    return out


def number(value, form):
    """.123 instead of 0.123; nothing for NaN"""
    return "" if np.isnan(value) else re.sub(r"^([-+]?)0\.", r"\1.", form.format(value))


def numbered(count):
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[count] if count < len(words) else str(count)


def counted(count, word):
    """two seeds, one seed"""
    return f"{numbered(count)} {word}{'s' * (count != 1)}"


def page(*parts):
    """Paragraphs, filled; tables and code as they are."""
    made = ("=", "|", "::", "```")
    filled = (p if p.startswith(made) else textwrap.fill(p, 112) for p in parts)
    return "\n\n".join(filled)


def code(kind, runs):
    """The command lines of the runs, without what says which part of the table a run was."""
    part = r" --(?:(?:models|tables|detectors|methods|out)(?: (?!--)(?:'[^']*'|\S+))*|again)(?!\S)"
    lines = list(dict.fromkeys(re.sub(part, "", run["command"]) for run in runs))
    if kind == ".md":
        return "\n".join(("```bash", *lines, "```"))
    return "\n".join(("::", "", *(f"    {line}" for line in lines)))


def origin(rows, runs):
    """Date, commits and machines of rows."""
    used = [runs[k] for k in sorted({row["run"] for row in rows})]
    several = {name: sorted({run[name] for run in used}) for name in ("date", "commit", "machine")}
    dates = " to ".join(dict.fromkeys((several["date"][0], several["date"][-1])))
    word = "commit" if len(several["commit"]) == 1 else "commits"
    return f"{dates}, {word} {', '.join(several['commit'])}, {'; '.join(several['machine'])}"


def sizes(rows):
    """Fewest and most rows of a table, folds"""
    found = [row["rows"] for row in rows]
    return f"{min(found):,} to {max(found):,} rows"


@table("tabular", "tabular.json")
def tabular(kind, results):
    from tabular import mean_ranks, mean_scores

    rows, runs = results
    names, models, accuracy = mean_scores(rows, "accuracy")
    ranks, seconds = mean_ranks(rows), mean_scores(rows, "fit_seconds")[2].mean(axis=0)
    loss = mean_scores(rows, "log_loss")[2]
    values = [
        (*ranks[model], accuracy[:, k].mean(), loss[:, k].mean(), seconds[k])
        for k, model in enumerate(models)
    ]
    order = np.argsort([rank for _, rank, *_ in values])
    formats = ("{:.1f}", "{:.1f}", "{:.3f}", "{:.3f}", "{:.2g}!")
    cells = columns(values, formats, (True, True, False, True, True))
    header = ["model", "accuracy, rank", "log-loss, rank", "accuracy", "log-loss", "seconds, fit"]
    folds = numbered(len({row["fold"] for row in rows}))
    return page(
        f"{len(names)} tables of {sizes(rows)}, {folds} stratified folds, every model with its own "
        f"preprocessing; mean rank among {numbered(len(models))} models (1 is best), and means "
        f"over the tables ({origin(rows, runs)})",
        code(kind, runs),
        text_table(kind, header, [[models[k], *cells[k]] for k in order]),
    )


@table("tabular ranks", "tabular.json")
def tabular_ranks(kind, results):
    from tabular import mean_ranks

    rows, _ = results
    ranks = mean_ranks(rows)
    best = sorted(ranks, key=lambda model: ranks[model][1])
    cells = columns([ranks[model] for model in best], ("{:.1f}", "{:.1f}"), (True, True))
    n_tables, folds = len({row["table"] for row in rows}), len({row["fold"] for row in rows})
    header = ["mean rank (1 is best)", "accuracy", "log-loss"]
    return page(
        f"{numbered(folds).capitalize()}-fold cross-validation on {n_tables} tables of "
        f"{sizes(rows)}, every model with its own preprocessing, ours with their defaults:",
        text_table(kind, header, [[model, *cell] for model, cell in zip(best, cells, strict=True)]),
    )


DETECTORS = {
    "SMPO": "SMPOAnomalyDetector",
    "SMPO projector": '``operator="projector"``',
    "SMPO robust": '``operator="robust"``',
    "SMPO trained": '``operator="trained"``',
    "KDE 0.2": "kernel density, h = .2",
    "KDE 1": "kernel density, h = 1",
    "KDE scott": "kernel density, Scott's h",
    "kNN 5": "nearest neighbours, fifth",
    "kNN 5 mean": "nearest neighbours, mean",
    "LOF": "local outlier factor",
    "GMM 5": "Gaussian mixture, 5",
    "GMM selected": "Gaussian mixture, chosen",
    "OCSVM": "one-class SVM",
    "OCSVM 0.05": "one-class SVM, nu = .05",
    "IForest": "isolation forest",
    "EllipticEnvelope": "elliptic envelope",
    "PCA 90 %": "principal components",
}


@table("anomaly", "anomaly.json")
def anomaly(kind, results):
    from anomaly_tables import report

    rows, runs = results
    one_class, found = report(rows, "one-class")
    all_rows, unsupervised = report(rows, "unsupervised")
    names = list(found)
    missing = (np.nan,) * 3
    values = [(*found[n][:2], *unsupervised.get(n, missing)[:2]) for n in names]
    formats = ("{:.3f}", "{:.1f}", "{:.3f}", "{:.1f}")
    cells = columns(values, formats, (False, True, False, True))
    header = ["detector", "one-class", "mean rank", "unsupervised", "mean rank"]
    labels = [DETECTORS.get(name, name) for name in names]
    return page(
        f'"One-class": half of the normal rows train ({len(one_class)} tables); "unsupervised": '
        f"all rows train, without labels ({len(all_rows)} tables). Area under the curve and mean "
        f"rank among {len(found)} detectors ({origin(rows, runs)})",
        code(kind, runs),
        text_table(kind, header, [[label, *c] for label, c in zip(labels, cells, strict=True)]),
    )


@table("anomaly digits", "anomaly_digits.json")
def anomaly_digits(kind, results):
    what = "Area under the ROC curve, one of scikit-learn's digits normal, all others strange"
    return one_digit(kind, results, what)


@table("anomaly images", "anomaly_images.json")
def anomaly_images(kind, results):
    what = (
        "MNIST, 14 x 14 pixels: 500 images of one digit train, 2,000 of all digits are scored; "
        "area under the ROC curve"
    )
    return one_digit(kind, results, what)


def one_digit(kind, results, what):
    """Areas of detectors of one digit: what they are of, the command, mean and worst digit."""
    rows, runs = results
    areas = {}
    for row in rows:
        areas.setdefault(row["detector"], []).append(row["auroc"])
    names = sorted(areas, key=lambda name: -np.mean(areas[name]))
    values = [(np.mean(areas[name]), np.min(areas[name])) for name in names]
    cells = columns(values, ("{:.3f}", "{:.3f}"), (False, False))
    header = ["detector", "mean of ten digits", "worst digit"]
    lines = [[DETECTORS.get(name, name), *cell] for name, cell in zip(names, cells, strict=True)]
    return page(f"{what} ({origin(rows, runs)})", code(kind, runs), text_table(kind, header, lines))


@table("imputation", "imputation.json")
def imputation(kind, results):
    from imputation import mean_and_rank, shared, worst_mask

    every, runs = results
    rows = shared(every)
    labels = {
        "mps": "MPSImputer",
        "forest": "forests, chained",
        "miceforest": "boosted trees, chained",
        "bayesian-ridge": "Bayesian ridge, chained",
        "knn": "nearest neighbours",
        "mean": "mean, mode",
    }
    patterns = sorted({row["pattern"] for row in rows})
    parts = []
    for pattern in patterns:
        part = [row for row in rows if row["pattern"] == pattern]
        errors, right = (mean_and_rank(part, field) for field in ("rmse", "accuracy"))
        names = sorted(errors, key=lambda method: errors[method][1])
        values = [(*errors[name], *right[name]) for name in names]
        formats = ("{:.3f}", "{:.1f}", "{:.3f}", "{:.1f}")
        cells = columns(values, formats, (True, True, False, True))
        title = "blocks" if pattern == "block" else f"{float(pattern):.0%} at random"
        header = [title, "error", "its rank", "accuracy", "its rank"]
        lines = [[labels[n], *cell] for n, cell in zip(names, cells, strict=True)]
        parts.append(text_table(kind, header, lines))
    n_tables, masks = len({row["table"] for row in rows}), len({row["mask"] for row in rows})
    # Boosted trees take ten times as long as the others together.
    more = shared([row for row in every if row["method"] != "miceforest"])
    n_more = len({row["mask"] for row in more})
    errors, right = (mean_and_rank(more, field) for field in ("rmse", "accuracy"))
    ranks = {m: f"{errors[m][1]:.1f} and {right[m][1]:.1f}" for m in ("mps", "forest")}
    worst = worst_mask(more)["mps"]
    return page(
        f"{numbered(n_tables).capitalize()} mixed tables, at most {max(r['rows'] for r in rows)} "
        f"rows each, the target as one more column, {counted(masks, 'mask')} "
        "of each pattern. Error of numeric columns in "
        "standard deviations, accuracy of nominal ones: mean over the tables, and mean rank "
        f"({origin(rows, runs)})",
        code(kind, runs),
        *parts,
        f"With {counted(n_more, 'mask')} of each pattern and without boosted trees, mean ranks of "
        f"error and of accuracy are {ranks['mps']} for ``MPSImputer``, {ranks['forest']} for "
        f"forests. The error of ``MPSImputer`` is at most {number(worst, '{:.2f}')} of the mean's, "
        "on the worst table and mask.",
    )


@table("density", "density.json")
def density(kind, results):
    from density import means
    from scipy.stats import rankdata

    rows, runs = results
    models = ["MPS", "smooth", "GMM", "KDE", "copula"]
    names, scores = means(rows, "score", models)
    areas = means(rows, "auc", models)[1]
    rivals = models[2:]
    header = ["table", "MPS", "smooth", *rivals, "told apart: MPS", *rivals]
    lines = []
    for name, score, area in zip(names, scores, areas, strict=True):
        kept = [area[0], *area[2:]]
        lines.append(
            [name, *(f"{s:.2f}" for s in score), *(number(value, "{:.2f}") for value in kept)]
        )
    ranks = rankdata(-scores[:, [0, 2, 3, 4]], axis=1).mean(axis=0)
    smooth = rankdata(-scores[:, 1:], axis=1).mean(axis=0)
    line = [f"{ranks[0]:.1f}", f"({smooth[0]:.1f})", *(f"{rank:.1f}" for rank in ranks[1:])]
    lines.append(["mean rank of four", *line, *[""] * 4])
    seeds = len({row["seed"] for row in rows})
    first = [row for row in rows if row["seed"] == 0]
    with_flow = [means(first, "score", [own, *rivals, "flow"])[1] for own in models[:2]]
    (bins, *_, flow), (plain, *_) = (rankdata(-part, axis=1).mean(axis=0) for part in with_flow)
    return page(
        f"Mean log-density of held-out rows, {numbered(seeds)} splits, and how well boosting tells "
        'draws from held-out rows (area under the ROC curve, .5 is not at all); "smooth" is '
        f"``resolution=None`` ({origin(rows, runs)})",
        code(kind, runs),
        text_table(kind, header, lines),
        "On the first split, beside a masked autoregressive flow too (four layers of splines, "
        f"flowjax, 20 to 50 s a fit), the mean rank of five is {bins:.1f} for MPS, ({plain:.1f}) "
        f"for smooth, {flow:.1f} for the flow.",
    )
