"""What the docs say of `structure_search.py` and `ablation.py`: a row a method or variant, the
tensors beside each other; and of `planted_structures.py`: a row an order and share of noise."""

import numpy as np
from _documented import code, columns, counted, number, origin, page, table, text_table


@table("structures", "structure_search.json")
def structures(kind, results):
    from structure_search import METHODS

    rows, runs = results
    limits = " or ".join(f"{limit:g}" for limit in sorted({row["limit"] for row in rows}))
    return page(
        f"Parameters in per cent of the entries at a relative error, {_seeds(rows)}, at most "
        f"{limits} s by the clock, and seconds of the CPU ({origin(rows, runs)})",
        code(kind, runs),
        _beside(kind, rows, "method", METHODS, "{:.4g}"),
    )


@table("ablation", "ablation.json")
def ablation(kind, results):
    from ablation import VARIANTS

    rows, runs = results
    return page(
        f"Parameters in per cent of the entries with one mechanism off, mean of {_seeds(rows)}, "
        f"and seconds of the CPU ({origin(rows, runs)})",
        code(kind, runs),
        _beside(kind, rows, "variant", VARIANTS, "{:.4g}!"),
    )


@table("planted structures", "planted_structures.json")
def planted_structures(kind, results):
    from planted_structures import groups

    rows, runs = results
    lines = []
    for (order, noise), own, signs in groups(rows):
        ended = [str(signs.count(sign)) for sign in (0, -1, 1)]
        seconds = number(np.mean([row["cpu"] for row in own]), "{:.2f}")
        lines.append([str(order), number(noise, "{:g}"), str(len(own)), *ended, seconds])
    header = ["order", "noise", "tensors", "exact", "smaller", "larger", "CPU s"]
    return page(
        "Tensors made of a random network with bonds 2 and 3, and noise of a share of the norm: "
        "how often the network found at an error of 1.02 times the noise (1e-4 without) has as "
        "many parameters as the one it was made of, fewer, or more (or misses the error), and the "
        f"mean seconds of the CPU ({origin(rows, runs)})",
        code(kind, runs),
        text_table(kind, header, lines),
    )


def _seeds(rows):
    return counted(len({row["seed"] for row in rows}), "seed")


def _beside(kind, rows, column, names, form):
    """The table of what names a line: sizes that met the target, as `columns` writes them, and
    seconds, the tensors beside each other."""
    names = [name for name in names if any(row[column] == name for row in rows)]
    header, lines = [column], [[name] for name in names]
    for case in sorted({(row["tensor"], row["target"]) for row in rows}):
        header += [f"{case[0]} at {number(case[1], '{:g}')}", "CPU s"]
        own = [
            [r for r in rows if (r["tensor"], r["target"], r[column]) == (*case, name)]
            for name in names
        ]
        met = [[100 * r["ratio"] for r in part if r["met"]] for part in own]
        sizes = columns([[np.mean(part or [np.nan])] for part in met], [form], [True])
        for line, part, (size,) in zip(lines, own, sizes, strict=True):
            seconds = number(np.mean([r["cpu"] for r in part] or [np.nan]), "{:.1f}")
            line += [size or ("missed" if part else ""), seconds]
    return text_table(kind, header, lines)
