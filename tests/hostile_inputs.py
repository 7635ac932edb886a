"""Tables, targets, weights, labels and tensors that a program meets in the wild, by a seed."""

import numpy as np
import pandas as pd
import polars as pl

DTYPES = ["float64", "float32", "float16", "int64", "int8", "uint16", "bool", ">f8", "longdouble"]
CONTAINERS = ["array", "array", "fortran", "readonly", "strided", "list", "pandas", "polars"]
CONTAINERS += ["masked", "object", "frame of kinds", "strings"]


def pick(rng, values):
    return values[rng.integers(len(values))]


def column(rng, n):
    """One column: (n,) float64"""
    kind = rng.integers(12)
    x = rng.standard_normal(n)
    if kind == 0:
        x = rng.standard_t(1.0, n)
    elif kind == 1:
        x = rng.integers(-3, 4, n).astype(float)
    elif kind == 2:
        x = (x > 1.0).astype(float)
    elif kind == 3:
        x = np.full(n, pick(rng, [0.0, 1.0, -7.5, 1e9, 1e300, 1e-300]))
    elif kind == 4:
        x = 1e9 + x
    elif kind == 5:
        x = x * 10.0 ** rng.uniform(-300, 300)
    elif kind == 6:
        x[rng.integers(n)] = pick(rng, [1e6, -1e12, 1e150, 1e300])
    elif kind == 7:
        x = np.exp(10.0 * x)
    elif kind == 8:
        x = np.where(rng.random(n) < 0.9, 0.0, x)
    return x


def numbers(rng, n, d):
    """A table of numbers with gaps, sometimes with columns that repeat: (n, d) float64"""
    X = np.column_stack([column(rng, n) for _ in range(d)])
    if d > 1 and rng.random() < 0.2:
        X[:, 1] = X[:, 0]
    X[rng.random((n, d)) < pick(rng, [0.0, 0.0, 0.0, 0.1, 0.5])] = np.nan
    if rng.random() < 0.1:
        X[:, rng.integers(d)] = np.nan
    if rng.random() < 0.1:
        X[rng.integers(n)] = np.nan
    if rng.random() < 0.04:
        X[rng.integers(n), rng.integers(d)] = np.inf
    return X


def typed(rng, X):
    """X in one of the dtypes: whole numbers where it must be, infinite where the dtype ends."""
    dtype = np.dtype(pick(rng, ["float64", *DTYPES]))
    if dtype.kind in "iub":
        X = np.clip(np.nan_to_num(X, nan=0.0, posinf=1.0), 0, 100)
    with np.errstate(all="ignore"):
        return X.astype(dtype)


def contained(rng, X):
    """X in one of the containers."""
    kind = pick(rng, CONTAINERS)
    if kind == "fortran":
        return np.asfortranarray(X)
    if kind == "readonly":
        X.flags.writeable = False
        return X
    if kind == "strided":
        return np.repeat(X, 2, axis=0)[::2]
    if kind == "list":
        return X.tolist()
    if kind == "masked":
        return np.ma.masked_array(X, mask=rng.random(X.shape) < 0.1)
    if kind == "object":
        return X.astype(object)
    if kind == "array" or X.dtype in (np.dtype(">f8"), np.dtype("longdouble")):
        return X
    names = [f"c{j}" for j in range(X.shape[1])]
    if kind == "polars":
        return pl.DataFrame(dict(zip(names, X.T.tolist(), strict=True)))
    frame = pd.DataFrame(X, columns=names)
    if kind == "frame of kinds":
        words = pd.Series(
            rng.choice(["a", "b", "c", "a rare one"], len(X), p=[0.5, 0.3, 0.15, 0.05])
        )
        frame["word"] = words.astype("category") if rng.random() < 0.7 else words
        frame["flag"] = rng.random(len(X)) < 0.5
        frame["whole"] = pd.array(rng.integers(0, 5, len(X)), dtype="Int64")
        frame.loc[rng.random(len(X)) < 0.2, "whole"] = pd.NA
    if kind == "strings":
        frame["c0"] = [pick(rng, ["red", "green", "blue"]) for _ in range(len(X))]
    return frame


def table(rng):
    """A table: n rows in a container"""
    n, d = int(pick(rng, [2, 5, 12, 20, 30, 40])), int(pick(rng, [1, 2, 3, 4, 6]))
    if rng.random() < 0.02:
        n = int(pick(rng, [0, 1]))
        return contained(rng, np.zeros((n, d)))
    return contained(rng, typed(rng, numbers(rng, n, d)))


def n_rows(X):
    return X.shape[0] if hasattr(X, "shape") else len(X)


def first_rows(X, n):
    return X[:n]


def labels(rng, n):
    """Labels of n rows"""
    k = int(pick(rng, [1, 2, 2, 2, 3, 3, 5]))
    share = np.r_[1.0, 10.0 ** rng.uniform(-2, 0, k - 1)]
    code = rng.choice(k, n, p=share / share.sum())
    kind = rng.integers(8)
    if kind == 0:
        return np.array(["no", "yes", "maybe", "ünïcode", ""])[code]
    if kind == 1:
        return np.array(["no", "yes", "maybe", "x", ""], dtype=object)[code]
    if kind == 2:
        return code > 0
    if kind == 3:
        return code - 2
    if kind == 4:
        return code.astype(np.float32)
    if kind == 5:
        return pd.Series(code).astype("category")
    if kind == 6:
        return [int(c) * 10**15 for c in code]
    return code


def targets(rng, n):
    """Numbers of n rows, of one or of two outputs"""
    y = numbers(rng, max(n, 1), int(pick(rng, [1, 1, 1, 2])))[:n]
    if rng.random() < 0.95:
        y = np.nan_to_num(y, nan=0.0, posinf=0.0)
    y = y.ravel() if y.shape[1] == 1 and rng.random() < 0.9 else y
    y = typed(rng, y)
    return y.tolist() if rng.random() < 0.1 else y


def weights(rng, n):
    """Weights of n rows, mostly none"""
    kind = rng.integers(12)
    if kind == 0:
        return rng.integers(0, 4, n)
    if kind == 1:
        return np.full(n, 1e-300)
    if kind == 2:
        return np.full(n, 1e300)
    if kind == 3:
        return 10.0 ** rng.uniform(-300, 300, n)
    if kind == 4:
        return np.where(rng.random(n) < 0.5, 0.0, rng.random(n))
    if kind == 5:
        return pick(rng, [np.zeros(n), -np.ones(n), np.full(n, np.nan), np.ones(n + 1)])
    return None


def tensor(rng):
    """A tensor of 1 to 5 modes, or a table"""
    order = int(pick(rng, [2, 2, 3, 3, 4, 5]))
    shape = rng.integers(1, [0, 0, 14, 7, 5, 4][order], order)
    kind = rng.integers(8)
    if kind == 0:
        T = np.zeros(shape)
    elif kind == 1:
        T = rng.standard_normal(shape)
    elif kind == 2:
        T = np.full(shape, 3.0)
    else:
        T = np.ones(())
        for n in shape:
            T = np.multiply.outer(T, rng.standard_normal(n))
        T = T + pick(rng, [0.0, 1e-3, 0.3]) * rng.standard_normal(shape)
    T = T * pick(rng, [1.0, 1.0, 1.0, 1e-300, 1e300, 1e155, 1e-160]) + pick(rng, [0, 0, 0, 1e9])
    if rng.random() < 0.4:
        T[rng.random(T.shape) < pick(rng, [0.1, 0.5, 0.95])] = np.nan
    if rng.random() < 0.03:
        T.flat[0] = np.inf
    T = typed(rng, T)
    if T.ndim == 2:
        return contained(rng, T)
    return np.ma.masked_array(T, rng.random(T.shape) < 0.1) if rng.random() < 0.1 else T
