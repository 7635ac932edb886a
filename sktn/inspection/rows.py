"""Tables whose columns are taken from rows of another one: permuted, or with one column changed."""

import numpy as np


def mixed_rows(X, index):
    """The table with X[index[k, j], j] in row k and column j, in the container of X.

    X array or data frame of shape (N, n), index (b, n) integers
    """
    if not hasattr(X, "columns"):
        return np.take_along_axis(np.asarray(X), index, axis=0)
    import narwhals as nw

    frame = nw.from_native(X, eager_only=True)
    columns = [
        frame[name].gather_every(1)[rows.tolist()].alias(name)
        for name, rows in zip(frame.columns, index.T, strict=True)
    ]
    if nw.get_native_namespace(frame).__name__ == "pandas":
        import pandas as pd

        # Its columns would be aligned by their labels.
        parts = [column.to_native().reset_index(drop=True) for column in columns]
        return pd.concat(parts, axis=1)
    return nw.concat([column.to_frame() for column in columns], how="horizontal").to_native()


def column_values(X, j):
    """One column as an array."""
    if hasattr(X, "iloc"):
        return X.iloc[:, j].to_numpy()
    if hasattr(X, "columns"):
        return X[:, j].to_numpy()
    return np.asarray(X)[:, j]


def permuted_index(rng, n_rows, n_features, n_wanted):
    """Every column from a row of its own: -> (n_wanted, n_features)"""
    return rng.integers(n_rows, size=(n_wanted, n_features))


def observed_index(rows, n_features):
    """Rows as they are: rows (b,) -> (b, n_features)"""
    return np.repeat(np.asarray(rows)[:, None], n_features, axis=1)
