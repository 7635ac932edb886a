"""What the docs say of the studies: rows, parameters, solvers, bond dimensions, images."""

import numpy as np
from _documented import code, number, numbered, origin, page, table, text_table

_SPELLED = {None: "one"}


@table("study of parameters", "sensitivity.json")
def parameters(kind, results):
    from sensitivity import differences

    rows, runs = results
    lines = []
    for parameter, part in differences(rows).items():
        for k, value in enumerate(part["values"]):
            spelled = str(_SPELLED.get(value, value))
            own = [row for row in rows if row["parameter"] == parameter]
            if part["mean"][k] == part["error"][k] == 0:
                lines.append([parameter, spelled, part["measure"], "", "", "", "1.0"])
                continue
            lines.append(
                [
                    parameter,
                    spelled,
                    part["measure"],
                    number(part["mean"][k], "{:+.4f}"),
                    number(part["error"][k], "{:.4f}"),
                    f"{part['worse'][k]} of {len({row['table'] for row in own})}",
                    number(part["time"][k], "{:.1f}"),
                ]
            )
    header = ["parameter", "value", "measure", "change", "its error", "worse on", "time"]
    return page(
        "One parameter moved from what the others are compared with (the lines without a change): "
        "mean change over tables, its standard error, tables on which it is worse by .005 or more, "
        f"and the time of a fit in units of that ({origin(rows, runs)})",
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
        f"Log-loss of chains trained by Adam, {numbered(seeds)} "
        f"{'split' if seeds == 1 else 'splits'} ({origin(rows, runs)})",
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
    rows, runs = results
    used = [row for row in rows if row["model"] in models]
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
