"""What the docs say of models that can be looked at, of imitations, and of intervals."""

import numpy as np
from _documented import code, columns, number, numbered, origin, page, sizes, table, text_table


@table("glass box", "glass_box.json")
def glass_box(kind, results):
    from glass_box import MODELS
    from tabular import mean_ranks, mean_scores

    rows, runs = results
    names, models, accuracy = mean_scores(rows, "accuracy", MODELS)
    used = [row for row in rows if row["table"] in names]
    ranks = mean_ranks(used, MODELS)
    loss, seconds = (mean_scores(used, name, MODELS)[2] for name in ("log_loss", "fit_seconds"))
    values = []
    for k, model in enumerate(models):
        terms = [row["terms"] for row in used if row["model"] == model]
        terms = np.nan if None in terms else np.mean(terms)
        means = accuracy[:, k].mean(), loss[:, k].mean(), seconds[:, k].mean(), terms
        values.append((*ranks[model], *means))
    order = np.argsort([rank for _, rank, *_ in values])
    formats = ("{:.1f}", "{:.1f}", "{:.3f}", "{:.3f}", "{:.2g}!", "{:.0f}!")
    cells = columns(values, formats, (True, True, False, True, True, True))
    header = ["model", "accuracy, rank", "log-loss, rank", "accuracy", "log-loss"]
    header += ["seconds, fit", "terms"]
    folds = numbered(len({row["fold"] for row in used}))
    ours, theirs = models.index("pairs, searched"), models.index("EBM")
    gaps = []
    for name, part in (("accuracy", accuracy), ("log-loss", loss)):
        gap = part[:, ours] - part[:, theirs]
        error = gap.std(ddof=1) / np.sqrt(len(gap))
        numbers = number(gap.mean(), "{:+.3f}"), number(error, "{:.3f}")
        gaps.append("{} {} ({})".format(name, *numbers))
    return page(
        f"{len(names)} tables of {sizes(used)}, {folds} of three stratified folds; mean rank among "
        f"{numbered(len(models))} models, and means over the tables ({origin(used, runs)}). "
        f'"{models[ours]}" less {models[theirs]}, with standard errors over tables: '
        + ", ".join(gaps),
        code(kind, [runs[k] for k in sorted({row["run"] for row in used})]),
        text_table(kind, header, [[models[k], *cells[k]] for k in order]),
    )


@table("intervals", "intervals.json")
def intervals(kind, results):
    from intervals import COVERAGES, mean_over_tables

    rows, runs = results
    models = list(dict.fromkeys(row["model"] for row in rows))
    lines = []
    for model in models:
        cells = [mean_over_tables(rows, model, coverage) for coverage in COVERAGES]
        numbers = [number(v, "{:.3f}") for own in cells for v in own[:2]]
        lines.append([model, *numbers, f"{cells[0][3]:.2g}"])
    header = ["model", *(f"{c:.0%}, {what}" for c in COVERAGES for what in ("in it", "width"))]
    n_tables = len({row["table"] for row in rows})
    return page(
        f"{n_tables} tables of at most 800 rows, three folds: share of targets inside and width of "
        f"intervals, in standard deviations of the target ({origin(rows, runs)})",
        code(kind, runs),
        text_table(kind, [*header, "seconds, fit"], lines),
    )


@table("distill", "distill.json")
def imitations(kind, results):
    from distill import FAITHFUL, MODELS

    rows, runs = results
    lines = []
    for name in dict.fromkeys(row["table"] for row in rows):
        own = {row["model"]: row for row in rows if row["table"] == name}
        fidelities = [(own[model]["observed"], own[model]["permuted"]) for model in MODELS]
        cells = [", ".join(number(value, "{:.3f}") for value in pair) for pair in fidelities]
        lines.append([name, str(own[next(iter(MODELS))]["columns"]), *cells])
    faithful = sum(min(row["observed"], row["permuted"]) >= FAITHFUL for row in rows)
    seconds, explaining = ([row[name] for row in rows] for name in ("seconds", "explaining"))
    trees = [row["trees"] for row in rows if row["trees"] and row["observed"] >= FAITHFUL]
    return page(
        "Share of the scores' variance that imitations explain, on held-out rows and on these with "
        f"permuted columns: {faithful} of {len(rows)} pairs have {FAITHFUL} on both. An imitation "
        f"takes {np.median(seconds):.1f} s in the median, {max(seconds):.0f} s at most; exact "
        f"Shapley values of 100 rows then take {max(explaining):.2f} s at most, and correlate with "
        f"those of the exact tree explainer by {min(trees):.3f} to {max(trees):.3f} where "
        f"{FAITHFUL} of the held-out variance is explained ({origin(rows, runs)})",
        code(kind, runs),
        text_table(kind, ["table", "columns", *MODELS], lines),
    )
