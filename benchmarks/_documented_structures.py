"""What the docs say of `structure_search.py` and `ablation.py`: a row a method or variant, the
tensors beside each other."""

import numpy as np
from _documented import code, columns, counted, number, origin, page, table, text_table


@table("structures", "structure_search.json")
def structures(kind, results):
    from structure_search import METHODS

    rows, runs = results
    return page(
        f"Parameters in per cent of the entries at a relative error, {_seeds(rows)}, and seconds "
        f"of the CPU ({origin(rows, runs)})",
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
