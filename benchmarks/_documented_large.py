"""What the docs say of `large_tables.py`: a row a table, its figures beside each other."""

import numpy as np
from _documented import code, number, origin, page, table, text_table

# In the order of the columns; how the text calls ours.
_MODELS = ("MPS", "MPSCV", "hist. boosting", "LightGBM")
_OURS = {"MPS": "one chain", "MPSCV": "searched"}


@table("large tables", "large_tables.json")
def large_tables(kind, results):
    rows, runs = results
    found = {}
    for row in rows:
        place = found.setdefault((row["table"], row["rows"]), {})
        place.setdefault(row["model"], []).append(row)
    # Beside nothing of ours there is nothing to be seen.
    found = {key: own for key, own in sorted(found.items()) if "MPS" in own}
    models = [name for name in _MODELS if any(name in own for own in found.values())]
    lines = []
    for (name, n_rows), own in found.items():
        measure = "rmse" if "rmse" in next(iter(own.values()))[0] else "log_loss"
        form = "{:,.0f}" if measure == "rmse" else "{:.4f}"
        values = [_mean(own, model, measure) for model in models]
        texts = [number(value, form) for value in values]
        best = texts[int(np.nanargmin(values))]
        seconds = _mean(own, "MPS", "fit_seconds")
        cells = [f"**{text}**" if text == best else text for text in texts]
        word = {"rmse": "RMSE", "log_loss": "log-loss"}[measure]
        lines.append([name, f"{n_rows:,}", word, *cells, f"{seconds:.0f}"])
    header = [
        "table",
        "rows",
        "measure",
        *(_OURS.get(name, name) for name in models),
        "seconds, chain",
    ]
    used = [row for own in found.values() for part in own.values() for row in part]
    return page(
        "Whole tables, one random split: log-loss or RMSE on at most 20,000 rows that were held "
        f"out, defaults of every model, nominal columns as they are ({origin(used, runs)})",
        code(kind, [runs[k] for k in sorted({row["run"] for row in used})]),
        text_table(kind, header, lines),
    )


def _mean(own, model, measure):
    return np.mean([row[measure] for row in own.get(model, [])] or [np.nan])
