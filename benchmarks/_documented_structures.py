"""What the docs say of `structure_search.py` and `ablation.py`: a row a method or variant, the
tensors beside each other."""

import numpy as np
from _documented import code, columns, number, numbered, origin, page, table, text_table


@table("structures", "structure_search.json")
def structures(kind, results):
    from structure_search import METHODS

    rows, runs = results
    cases = sorted({(row["tensor"], row["target"]) for row in rows})
    methods = [name for name in METHODS if any(row["method"] == name for row in rows)]
    cells = {name: [] for name in methods}
    for case in cases:
        sizes, seconds = [], []
        for name in methods:
            own = [r for r in rows if (r["tensor"], r["target"], r["method"]) == (*case, name)]
            met = [100 * r["ratio"] for r in own if r["met"]]
            sizes.append([np.mean(met) if met else np.nan])
            seconds.append(np.mean([r["cpu"] for r in own]) if own else np.nan)
        for name, size, cpu in zip(
            methods, columns(sizes, ["{:.4g}"], [True]), seconds, strict=True
        ):
            spent = number(cpu, "{:.1f}")
            cells[name] += [size[0] or ("missed" if spent else ""), spent]
    header = ["method"]
    for tensor, target in cases:
        header += [f"{tensor} at {number(target, '{:g}')}", "CPU s"]
    seeds = len({row["seed"] for row in rows})
    return page(
        f"Parameters in per cent of the entries at a relative error, {numbered(seeds)} "
        f"{'seed' if seeds == 1 else 'seeds'}, and seconds of the CPU ({origin(rows, runs)})",
        code(kind, runs),
        text_table(kind, header, [[name, *cells[name]] for name in methods]),
    )


@table("ablation", "ablation.json")
def ablation(kind, results):
    from ablation import VARIANTS

    rows, runs = results
    cases = sorted({(row["tensor"], row["target"]) for row in rows})
    variants = [name for name in VARIANTS if any(row["variant"] == name for row in rows)]
    lines = [[name] for name in variants]
    for case in cases:
        for line in lines:
            own = [r for r in rows if (r["tensor"], r["target"], r["variant"]) == (*case, line[0])]
            met = [100 * r["ratio"] for r in own if r["met"]]
            missed = "missed" if own else ""
            line.append(number(np.mean(met), "{:.4g}") if met else missed)
            line.append(number(np.mean([r["cpu"] for r in own]), "{:.1f}") if own else "")
    header = ["variant"]
    for tensor, target in cases:
        header += [f"{tensor} at {number(target, '{:g}')}", "CPU s"]
    seeds = len({row["seed"] for row in rows})
    return page(
        f"Parameters in per cent of the entries with one mechanism off, mean of {numbered(seeds)} "
        f"{'seed' if seeds == 1 else 'seeds'}, and seconds of the CPU ({origin(rows, runs)})",
        code(kind, runs),
        text_table(kind, header, lines),
    )
