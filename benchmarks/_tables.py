"""Tables of the benchmarks: those that scikit-learn brings along, and a folder of .npz files."""

from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split


def bundled(names):
    """(name, X, y) of scikit-learn's own tables."""
    for name in names:
        yield name, *getattr(datasets, f"load_{name}")(return_X_y=True)


def labelled(names, folder, cap, fewest=1):
    """(name, X, labels): the bundled tables of these names, then every folder/**/*.npz with arrays
    X and y (NaN = missing), at most `cap` rows of it, stratified, of classes with at least `fewest`
    rows."""
    yield from bundled(names)
    for path in sorted(Path(folder).glob("**/*.npz")) if folder else []:
        with np.load(path) as data:
            X, y = data["X"].astype(float), np.unique(data["y"], return_inverse=True)[1]
        keep = np.bincount(y)[y] >= fewest
        X, y = X[keep], y[keep]
        if len(y) > cap:
            X, _, y, _ = train_test_split(X, y, train_size=cap, random_state=0, stratify=y)
        yield path.stem, X, y
