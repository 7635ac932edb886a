"""What the docs say of the studies: rows, parameters, solvers, bond dimensions, images."""

import numpy as np
from _documented import code, counted, number, origin, page, table, text_table


@table("sensitivity", "sensitivity.json")
def sensitivity(kind, results):
    from sensitivity import DEFAULT, differences

    rows, runs = results
    lines = []
    for parameter, part in differences(rows).items():
        for value, mean, error, worse, time in zip(
            *(part[name] for name in ("values", "mean", "error", "worse", "time")), strict=True
        ):
            if value == DEFAULT.get(parameter):
                continue
            change = number(mean, "{:+.3f}")
            spread = number(error, "{:.3f}")
            cells = [str(value), f"{change} ({spread})", str(worse), number(time, "{:.1f}")]
            lines.append([parameter, part["measure"], *cells])
    seeds = len({row["seed"] for row in rows})
    n_tables = {measure: set() for measure in ("log-loss", "AUROC")}
    for row in rows:
        n_tables[row["measure"]].add(row["table"])
    header = ["parameter", "measure", "value", "change (its error)", "worse on", "time"]
    return page(
        f"One parameter at a time away from its default, {len(n_tables['log-loss'])} tables with "
        f"labels, {len(n_tables['AUROC'])} with anomalies, {counted(seeds, 'split')} each: mean "
        "change of held-out log-loss or area under the ROC curve, its standard error over tables, "
        "on how many tables the value is worse by more than .005, and time relative to the "
        f"default's ({origin(rows, runs)})",
        code(kind, runs),
        text_table(kind, header, lines),
    )


@table("study of bond dimensions", "overfitting.json")
def bond_dimensions(kind, results):
    rows, runs = results
    bonds = sorted({row["bond_dim"] for row in rows})
    lines = []
    for name in dict.fromkeys(row["table"] for row in rows):
        for ridge in ("ridge", "none"):
            for measure, word in (("train_log_loss", "training"), ("log_loss", "held out")):
                cells = []
                for bond_dim in bonds:
                    own = [
                        row[measure]
                        for row in rows
                        if (row["table"], row["ridge"], row["bond_dim"]) == (name, ridge, bond_dim)
                    ]
                    cells.append(number(np.mean(own or [np.nan]), "{:.4f}"))
                lines.append([name, ridge, word, *cells])
    header = ["table", "penalty", "rows", *(f"D = {bond_dim}" for bond_dim in bonds)]
    seeds = len({row["seed"] for row in rows})
    return page(
        f"Log-loss of chains trained by Adam, {counted(seeds, 'split')} ({origin(rows, runs)})",
        code(kind, runs),
        text_table(kind, header, lines),
    )


@table("study of images", "cifar10.json")
def images(kind, results):
    rows, runs = results
    lines = [
        [
            row["model"],
            str(row["bond_dim"] or ""),
            number(row["accuracy"], "{:.3f}"),
            number(row.get("log_loss", np.nan), "{:.3f}"),
            number(row["cpu_s"], "{:.1f}"),
        ]
        for row in rows
    ]
    n_images = " and ".join(f"{count:,}" for count in sorted({row["images"] for row in rows}))
    return page(
        f"CIFAR-10, {n_images} training images ({origin(rows, runs)})",
        code(kind, runs),
        text_table(kind, ["model", "D", "accuracy", "log-loss", "seconds, fit"], lines),
    )


@table("study of rows", "rows.json")
def table_of_rows(kind, results):
    from rows import RIVALS, TARGETS

    return _by_rows(kind, results, RIVALS, TARGETS)


@table("study of solvers", "rows.json")
def table_of_solvers(kind, results):
    from rows import SOLVERS, TARGETS

    return _by_rows(kind, results, SOLVERS, TARGETS)


def _by_rows(kind, results, models, targets):
    from rows import N_COLUMNS

    rows, runs = results
    used = [row for row in rows if row["model"] in models and row["columns"] == N_COLUMNS]
    lines = []
    for target in targets:
        for n_rows in sorted({row["rows"] for row in used}):
            own = {r["model"]: r for r in used if (r["target"], r["rows"]) == (target, n_rows)}
            if not own:
                continue
            losses = [own[name]["log_loss"] if name in own else np.nan for name in models]
            texts = [number(loss, "{:.3f}") for loss in losses]
            best = texts[int(np.nanargmin(losses))]
            cells = []
            for name, text in zip(models, texts, strict=True):
                cells.append(f"**{text}**" if text == best else text)
                cells.append(number(own[name]["cpu_s"] if name in own else np.nan, "{:.1f}"))
            lines.append([target, f"{n_rows:,}", *cells])
    header = ["target", "rows", *(word for name in models for word in (name, "s"))]
    return page(
        f"Log-loss and seconds of a fit, 30 columns in a float32 memory map ({origin(used, runs)})",
        code(kind, [runs[k] for k in sorted({row["run"] for row in used})]),
        text_table(kind, header, lines),
    )


@table("study of memory", "rows.json")
def table_of_memory(kind, results):
    from rows import N_COLUMNS

    rows, runs = results
    large = [row for row in rows if row["rows"] >= 100_000 or row["columns"] != N_COLUMNS]
    used = [row for row in large if row["model"] in ("MPSClassifier", "HistGradientBoosting")]
    place = {(r["target"], r["rows"], r["columns"], r["model"]): r for r in used}
    lines = []
    for *size, model in sorted(place):
        rival = place.get((*size, "HistGradientBoosting"), {})
        if model != "MPSClassifier":
            continue
        own, (target, n_rows, n_columns) = place[*size, model], size
        cells = [
            number(own["log_loss"], "{:.3f}"),
            number(own["log_loss"] - own["excess"], "{:.3f}"),
        ]
        cells.append(number(rival.get("log_loss", np.nan), "{:.3f}"))
        cells += [f"{own['cpu_s']:.0f}", str(own["peak_mb"])]
        lines.append([target, f"{n_rows:,}", f"{n_columns:,}", *cells])
    header = ["target", "rows", "columns", "log-loss", "least", "HistGradientBoosting"]
    return page(
        "MPSClassifier on large tables, in a float32 memory map: log-loss beside that of who knows "
        "the probabilities and that of boosting, CPU seconds of the fit, and the largest memory of "
        f"the process, which has 270 MB once all is imported ({origin(used, runs)})",
        code(kind, [runs[k] for k in sorted({row["run"] for row in used})]),
        text_table(kind, [*header, "s", "peak MB"], lines),
    )
