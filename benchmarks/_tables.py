"""Tables of the benchmarks: those that scikit-learn brings along, and a folder of .npz files."""

import argparse
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def parser_of(doc, models, cap, folds):
    """The command line of a cross-validation of models on tables."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="folder of .npz tables")
    parser.add_argument("--tables", nargs="+", help="names; default: all")
    parser.add_argument("--models", nargs="+", default=models, choices=models)
    parser.add_argument("--cap", type=int, default=cap, help="rows at most")
    parser.add_argument("--folds", type=int, default=folds)
    parser.add_argument("--out", help="file of results, read and extended")
    parser.add_argument("--again", action="store_true", help="measure what the file has already")
    parser.add_argument("--summary", help="print what a file of results says, compute nothing")
    return parser


def each_fit(tables, folds, arguments, has):
    """(key, (nominal, X, y, train, test)) of every fit that is wanted and has no result yet.

    tables: (name, X, y, nominal) each; folds: (X, y) -> (train, test) each; has: key -> bool
    """
    for table, X, y, nominal in tables:
        if arguments.tables and table not in arguments.tables:
            continue
        for fold, (train, test) in enumerate(folds(X, y)):
            for model in arguments.models:
                key = {"table": table, "model": model, "fold": fold}
                if not has(**key):
                    yield key, (nominal, X, y, train, test)
        print(table, X.shape, flush=True)


def bundled(names):
    """(name, X, y) of scikit-learn's own tables."""
    for name in names:
        yield name, *getattr(datasets, f"load_{name}")(return_X_y=True)


def read_table(path):
    """(X, y, nominal) of a file: X with NaN for gaps and codes of nominal columns, which are a
    mask `cat` in the file (none without it)."""
    with np.load(path) as data:
        X = data["X"].astype(float)
        nominal = data["cat"].astype(bool) if "cat" in data else np.zeros(X.shape[1], bool)
        return X, data["y"], nominal


def labelled(names, folder, cap, fewest=1, used=lambda *_: None):
    """(name, X, labels, nominal): the bundled tables of these names, then every folder/**/*.npz of
    another name, at most `cap` rows of it, stratified, of classes with at least `fewest` rows.
    used: told the name and arrays of every whole table."""
    found = [(name, X, y, np.zeros(X.shape[1], bool)) for name, X, y in bundled(names)]
    for path in sorted(Path(folder).glob("**/*.npz")) if folder else []:
        name = path.stem.removeprefix("openml_")
        if name not in names:
            found.append((name, *read_table(path)))
    for name, X, y, nominal in found:
        y = np.unique(y, return_inverse=True)[1]
        used(name, X, y)
        # Histogram boosting fails on a column without any value.
        there = ~np.isnan(X).all(axis=0)
        X, nominal = X[:, there], nominal[there]
        keep = np.bincount(y)[y] >= fewest
        X, y = X[keep], y[keep]
        if len(y) > cap:
            X, _, y, _ = train_test_split(X, y, train_size=cap, random_state=0, stratify=y)
        yield name, X, np.unique(y, return_inverse=True)[1], nominal


def scaled(estimator):
    """Medians for gaps and standardised columns in front."""
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), estimator)


def indicators(estimator, nominal):
    """Nominal columns as indicators in front of models that do not take them."""
    if not nominal.any():
        return estimator
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False, max_categories=20)
    columns = make_column_transformer(
        (encoder, np.flatnonzero(nominal)), remainder="passthrough", sparse_threshold=0
    )
    return make_pipeline(columns, estimator)
