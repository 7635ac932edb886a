"""Tables, targets, weights, labels and tensors that a program meets in the wild, by a seed."""

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp

DTYPES = ["float64", "float32", "float16", "int64", "int8", "uint16", "bool", ">f8", "longdouble"]
CONTAINERS = ["array", "array", "fortran", "readonly", "strided", "list", "pandas", "polars"]
CONTAINERS += ["masked", "object", "nones", "frame of kinds", "polars of kinds", "strings", "index"]
# What no estimator reads as numbers: it says so.
REFUSED = ["sparse", "complex", "dates", "bytes", "3-d", "1-d", "frame of dates", "text array"]
REFUSED += ["same names", "mixed names", "lists in cells"]
# What seeds an estimator.
SEEDS = [0, 3, 2**32 - 1]
# Lengths of tables, and how many have them.
ROWS, SHARES = [1, 2, 3, 5, 12, 20, 30, 40], [0.03, 0.05, 0.05, 0.1, 0.2, 0.2, 0.2, 0.17]


def pick(rng, values):
    return values[rng.integers(len(values))]


def some(rng, share=0.3, **options):
    """A few of the options: name to one of its values."""
    return {k: pick(rng, v) for k, v in options.items() if rng.random() < share}


def column(rng, n):
    """One column: (n,) float64"""
    kind = rng.integers(16)
    x = rng.standard_normal(n)
    if kind == 0:
        x = rng.standard_t(1.0, n)
    elif kind == 1:
        x = rng.integers(-3, 4, n).astype(float)
    elif kind == 2:
        x = (x > 1.0).astype(float)
    elif kind == 3:
        x = np.full(n, pick(rng, [0.0, -0.0, 1.0, -7.5, 1e9, 1e300, 1e-300, 5e-324]))
    elif kind == 4:
        x = 10.0 ** rng.integers(6, 17) + x
    elif kind == 5:
        x = x * 10.0 ** rng.uniform(-300, 300)
    elif kind == 6:
        x[rng.integers(n)] = pick(rng, [1e6, -1e12, 1e150, 1e300])
    elif kind == 7:
        x = np.exp(10.0 * x)
    elif kind == 8:
        x = np.where(rng.random(n) < 0.9, 0.0, x)
    elif kind == 9:
        x = np.sign(x) * pick(rng, [1.7e308, 1e-308, 5e-324])
    elif kind == 10:
        x = np.arange(n) * pick(rng, [1.0, -1e-12, 1e7])
    elif kind == 11:
        x = np.round(x, 1)
    return x


def numbers(rng, n, d):
    """A table of numbers with gaps, sometimes with columns and rows that repeat: (n, d) float64"""
    X = np.column_stack([column(rng, n) for _ in range(d)])
    if d > 1 and rng.random() < 0.3:
        X[:, 1] = X[:, 0] * pick(rng, [1.0, 1.0, -1.0])
    if rng.random() < 0.1:
        X = X[rng.integers(0, max(1, n // 4), n)]
    X[rng.random((n, d)) < pick(rng, [0.0, 0.0, 0.0, 0.1, 0.5])] = np.nan
    if rng.random() < 0.1:
        X[:, rng.integers(d)] = np.nan
    if rng.random() < 0.1:
        X[rng.integers(n)] = np.nan
    if rng.random() < 0.03:
        X[rng.integers(n), rng.integers(d)] = pick(rng, [np.inf, -np.inf])
    return X


def typed(rng, X):
    """X in one of the dtypes: whole numbers where it must be, infinite where the dtype ends."""
    dtype = np.dtype(pick(rng, ["float64", "float64", *DTYPES]))
    if dtype.kind in "iub":
        X = np.clip(np.nan_to_num(X, nan=0.0, posinf=1.0), 0, 100)
    elif rng.random() < 0.9:
        largest = np.finfo(dtype).max
        X = np.where(np.isinf(X), X, np.clip(X, -largest, largest))
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
    if kind in ("object", "nones"):
        X = X.astype(object)
        if kind == "nones":
            X[rng.random(X.shape) < 0.2] = pick(rng, [None, pd.NA, np.nan])
        return X
    if kind == "array" or X.dtype in (np.dtype(">f8"), np.dtype("longdouble")):
        return X
    names = [f"c{j}" for j in range(X.shape[1])]
    if kind.startswith("polars"):
        frame = pl.DataFrame(dict(zip(names, X.T.tolist(), strict=True)))
        return frame if kind == "polars" else polars_kinds(rng, frame)
    frame = pd.DataFrame(X, columns=names)
    if kind == "frame of kinds":
        return kinds(rng, frame)
    if kind == "strings":
        frame["c0"] = [pick(rng, ["red", "green", "blue"]) for _ in range(len(X))]
    if kind == "index":
        frame.index = rng.permutation(len(X)) % 3
        frame.columns = pd.Index(range(X.shape[1]))
    return frame


def kinds(rng, frame):
    """A pandas frame with more columns, each of a kind of its own."""
    n = len(frame)
    words = pd.Series(rng.choice(["a", "b", "c", "a rare one"], n, p=[0.5, 0.3, 0.15, 0.05]))
    gaps = rng.random(n) < 0.2
    more = {
        "word": lambda: words.astype("category") if rng.random() < 0.7 else words,
        "flag": lambda: rng.random(n) < 0.5,
        "whole": lambda: pd.array(np.where(gaps, None, rng.integers(0, 5, n)), dtype="Int64"),
        "size": lambda: pd.Categorical(
            np.where(gaps, None, words), ["a rare one", "c", "b", "a", "never"], ordered=True
        ),
        "text": lambda: words.where(~gaps).astype("string"),
        "maybe": lambda: pd.array(np.where(gaps, None, rng.random(n) < 0.5), dtype="boolean"),
        "real": lambda: pd.array(np.where(gaps, None, rng.standard_normal(n)), dtype="Float32"),
        "nothing": lambda: pd.Series([None] * n, dtype=object),
        "level": lambda: pd.Categorical(rng.integers(0, 3, n) * 10**12),
    }
    # Names of the type `str`: a frame that mixes it with NumPy's is refused by its names.
    for name in rng.permutation(list(more))[: rng.integers(1, 5)].tolist():
        frame[name] = more[name]()
    return frame


def polars_kinds(rng, frame):
    """A polars frame with more columns, each of a kind of its own."""
    n = len(frame)
    words = [None if rng.random() < 0.1 else pick(rng, ["a", "b", "c"]) for _ in range(n)]
    more = {
        "word": pl.Series(words, dtype=pl.String),
        "kind": pl.Series(words, dtype=pl.Categorical),
        "enum": pl.Series(words, dtype=pl.Enum(["c", "b", "a", "never"])),
        "whole": pl.Series([None if w is None else len(w) for w in words], dtype=pl.Int32),
        "flag": pl.Series([None if w is None else w == "a" for w in words], dtype=pl.Boolean),
        "nothing": pl.Series([None] * n, dtype=pl.Null),
        "price": pl.Series([1.25] * n, dtype=pl.Decimal(10, 2)),
    }
    names = rng.permutation(list(more))[: rng.integers(1, 4)].tolist()
    return frame.with_columns(more[name].alias(name) for name in names)


def refused(rng, X):
    """X as something that is no table of numbers and categories."""
    kind = pick(rng, REFUSED)
    n = len(X)
    frame = pd.DataFrame(np.nan_to_num(X), columns=[f"c{j}" for j in range(X.shape[1])])
    if kind == "sparse":
        return sp.csr_array(np.nan_to_num(X))
    if kind == "complex":
        return X + 1j
    if kind == "dates":
        return np.full(X.shape, "2020-01-01", dtype=pick(rng, ["datetime64[D]", "datetime64[ns]"]))
    if kind == "bytes":
        return np.full(X.shape, b"abc")
    if kind == "3-d":
        return X[:, :, None]
    if kind == "1-d":
        return X[:, 0]
    if kind == "text array":
        return np.full(X.shape, "red")
    if kind == "frame of dates":
        frame["day"] = pd.date_range("2020-01-01", periods=n, tz=pick(rng, [None, "UTC"]))
    elif kind == "same names":
        frame.columns = ["c"] * X.shape[1]
    elif kind == "mixed names":
        frame[3] = 1.0
    else:
        frame["list"] = [[1, 2]] * n
    return frame


def table(rng):
    """A table: n rows in a container"""
    n, d = int(rng.choice(ROWS, p=SHARES)), int(pick(rng, [1, 1, 2, 3, 4, 6]))
    if rng.random() < 0.02:
        n, d = pick(rng, [(0, d), (n, 0)])
        return contained(rng, np.zeros((n, d)))
    X = numbers(rng, n, d)
    return refused(rng, X) if rng.random() < 0.04 else contained(rng, typed(rng, X))


def entries(rng):
    """Where entries of a tensor are, a level a mode: (n, N) in a container; sometimes a table"""
    if rng.random() < 0.1:
        return table(rng)
    n, n_modes = int(pick(rng, [1, 2, 5, 30, 100, 300])), int(pick(rng, [1, 2, 2, 3, 3, 4, 6]))
    X = np.stack([rng.integers(pick(rng, [1, 2, 5, 20, 10**9]), size=n) for _ in range(n_modes)], 1)
    if rng.random() < 0.1:
        X = X[rng.integers(0, max(1, n // 4), n)]
    kind = rng.integers(12)
    if kind == 0:
        return X - 10
    if kind == 1:
        return X * 0.5
    if kind == 2:
        return np.where(rng.random(X.shape) < 0.1, np.nan, X)
    if kind == 3:
        return X.astype(str)
    if kind == 4:
        return X.astype(str).astype(object)
    if kind == 5:
        return X.tolist()
    names = [f"mode {k}" for k in range(n_modes)]
    if kind in (6, 7):
        frame = pd.DataFrame(X, columns=names)
        frame["mode 0"] = frame["mode 0"].astype(pick(rng, ["str", "category", "Int64", "float32"]))
        return frame
    if kind == 8:
        return pl.DataFrame({name: X[:, k].astype(str) for k, name in enumerate(names)})
    return X.astype(pick(rng, ["int64", "int32", "uint8", "float32", ">i8"]))


def n_rows(X):
    return X.shape[0] if hasattr(X, "shape") else len(X)


def n_columns(X):
    shape = X.shape if hasattr(X, "shape") else np.shape(np.asarray(X, dtype=object))
    return shape[1] if len(shape) > 1 else 1


def first_rows(X, n):
    return X[:n]


def changed(rng, X):
    """New rows for a model of X: some of its rows with gaps, in another unit, container or order"""
    kind = pick(rng, ["one", "reversed", "gaps", "large", "single", "list"])
    if kind == "one" or isinstance(X, list):
        return first_rows(X, 1)
    if kind == "reversed" or not isinstance(X, np.ndarray) or X.dtype.kind != "f" or X.ndim != 2:
        return X[::-1] if not isinstance(X, pd.DataFrame) else X.iloc[::-1]
    if kind == "gaps":
        return np.where(rng.random(X.shape) < 0.5, np.nan, X)
    with np.errstate(all="ignore"):
        if kind == "large":
            return np.clip(X * 1e6, -1e300, 1e300)
        return X.astype(np.float32) if kind == "single" else X.tolist()


def labels(rng, n):
    """Labels of n rows"""
    k = 1 if rng.random() < 0.02 else int(pick(rng, [*[2] * 8, 3, 3, 3, 5]))
    share = np.r_[1.0, 10.0 ** rng.uniform(-2, 0, k - 1)]
    code = rng.choice(k, n, p=share / share.sum())
    if n and rng.random() < 0.1:  # One label once.
        code[0] = k
    if n > 1 and k > 1 and rng.random() < 0.98:
        code[:2] = 0, 1
    words = np.array(["no", "yes", "maybe", "ünïcode", "", "once"])[code]
    kind = rng.integers(16)
    made = {
        0: lambda: words,
        1: lambda: words.astype(object),
        2: lambda: code > 0,
        3: lambda: code - 2,
        4: lambda: code.astype(np.float32),
        5: lambda: pd.Series(code).astype("category"),
        6: lambda: [int(c) * 10**15 for c in code],
        7: lambda: pd.Series(words, dtype="string"),
        8: lambda: pl.Series(words.tolist()),
        9: lambda: code[:, None],
        10: lambda: pd.array(code, dtype="Int64"),
    }
    if kind == 11 and rng.random() < 0.4:
        wrong = [code + 0.5, np.where(code == 0, np.nan, code), np.append(code, 0), code * 1j]
        wrong += [np.column_stack([code, code]), np.where(code == 0, None, words)]
        return pick(rng, wrong)
    return made.get(kind, lambda: code)()


def targets(rng, n):
    """Numbers of n rows, of one or of several outputs"""
    y = numbers(rng, max(n, 1), int(pick(rng, [1, 1, 1, 1, 2, 4])))[:n]
    if rng.random() < 0.95:
        y = np.nan_to_num(y, nan=0.0, posinf=0.0, neginf=0.0)
    y = y.ravel() if y.shape[1] == 1 and rng.random() < 0.9 else y
    if rng.random() < 0.3:
        y = np.abs(y)
    y = typed(rng, y)
    kind = rng.integers(16)
    if kind == 0:
        return y.tolist()
    if kind == 1 and y.dtype.kind != "g" and y.dtype.isnative:
        return pd.Series(y) if y.ndim == 1 else pd.DataFrame(y)
    if kind == 2 and rng.random() < 0.4:
        with np.errstate(all="ignore"):
            return pick(rng, [y.astype(str), y * 1j, np.append(y, y[:1], axis=0), y[..., None]])
    return y


def weights(rng, n):
    """Weights of n rows, mostly none"""
    kind = rng.integers(20)
    if kind == 0:
        return rng.integers(0, 4, n)
    if kind == 1:
        return np.full(n, pick(rng, [1e-300, 1e300, 5e-324, 1.7e308]))
    if kind == 2:
        return np.where(np.arange(n) == 0, 1.0, 0.0)
    if kind == 3:
        return 10.0 ** rng.uniform(-300, 300, n)
    if kind == 4:
        return np.where(rng.random(n) < 0.5, 0.0, rng.random(n))
    if kind == 5:
        wrong = [np.zeros(n), -np.ones(n), np.full(n, np.nan), np.ones(n + 1), np.full(n, np.inf)]
        return pick(rng, [*wrong, np.ones((n, 2)), np.full(n, "heavy")])
    if kind == 6:
        return pick(rng, [rng.random(n).tolist(), pd.Series(rng.random(n)), 2.5, rng.random(n) < 1])
    return None


def tensor(rng):
    """A tensor of 1 to 10 modes, or a table"""
    order = int(pick(rng, [1, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7, 8, 9, 10]))
    if order == 2 and rng.random() < 0.5:
        return table(rng)
    most = [0, 30, 14, 7, 5, 4, 3, 3, 2, 2, 2][order]
    shape = rng.integers(1, most + 1, order)
    if order < 4 and rng.random() < 0.1:  # One mode is much longer than the others.
        shape = np.minimum(shape, 3)
        shape[rng.integers(order)] = pick(rng, [100, 257])
    if rng.random() < 0.02:
        shape[rng.integers(order)] = 0
    T = values(rng, shape)
    if rng.random() < 0.4:
        T[rng.random(T.shape) < pick(rng, [0.1, 0.5, 0.95, 1.0])] = np.nan
    if rng.random() < 0.15 and order > 1 and T.size:  # Slices without any entry.
        np.moveaxis(T, rng.integers(order), 0)[0] = np.nan
    if rng.random() < 0.03 and T.size:
        T.flat[0] = np.inf
    T = typed(rng, T)
    if T.ndim == 2:
        return contained(rng, T)
    kind = rng.integers(12)
    if kind == 0:
        return np.ma.masked_array(T, rng.random(T.shape) < 0.1)
    if kind == 1:
        return T.tolist()
    if kind == 2:
        return T.T
    if kind == 3:
        T.flags.writeable = False
    return T


def values(rng, shape):
    """Zeros, noise, a constant, or a few products and noise: (I_1, .., I_N)"""
    kind = rng.integers(8)
    if kind == 0:
        T = np.zeros(shape)
    elif kind == 1:
        T = rng.standard_normal(shape)
    elif kind == 2:
        T = np.full(shape, 3.0)
    elif kind == 3:
        T = (rng.random(shape) < 0.1).astype(float)
    else:
        T = np.zeros(shape)
        for _ in range(pick(rng, [1, 2])):
            product = np.ones(())
            for n in shape:
                product = np.multiply.outer(product, rng.standard_normal(n))
            T = T + product
        T = T + pick(rng, [0.0, 1e-3, 0.3]) * rng.standard_normal(shape)
    if rng.random() < 0.1 and T.size:
        T.flat[rng.integers(T.size)] = pick(rng, [1e6, -1e20])
    with np.errstate(over="ignore"):
        T = T * pick(rng, [1.0, 1.0, 1.0, 1e-300, 1e300, 1e155, 1e-160])
    return T + pick(rng, [0, 0, 0, 1e9])
