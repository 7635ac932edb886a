"""Fill a folder with the public tables of the benchmarks, where there is a network.

    python benchmarks/fetch_data.py FOLDER                     # everything
    python benchmarks/fetch_data.py FOLDER classification      # or regression, anomaly, images
    python benchmarks/fetch_data.py FOLDER --compare           # fetch nothing: compare hashes

    python benchmarks/tabular.py --data FOLDER/classification --out mine.json

Tables come from OpenML (by name and version, through scikit-learn), anomalies from the repository
of ADBench, MNIST from OpenML. A file holds X (floats, NaN missing, codes of the sorted levels of
nominal columns), y and `cat`, the mask of nominal columns; images X_train, y_train, X_test, y_test.
Afterwards the hashes of the tables are compared with those in `results/`: what is called
"different" is another edition than the one that was measured (its levels or rows may have another
order, too), and figures need not agree. Tensors (light fields, videos) are not fetched: their
authors' pages are in the docs' list of references; TensorLy ships IL-2.
"""

import argparse
import urllib.request
from pathlib import Path

import numpy as np
from _results import FOLDER as RESULTS
from _results import digest, read
from sklearn.datasets import fetch_openml

# Names and versions on OpenML; those that scikit-learn brings along are not fetched.
CLASSIFICATION = {
    "adult": 2,
    "bank-marketing": 1,
    "breast-w": 1,
    "credit-g": 1,
    "diabetes": 1,
    "electricity": 1,
    "higgs": 2,
    "ionosphere": 1,
    "kr-vs-kp": 1,
    "lymph": 1,
    "phoneme": 1,
    "satimage": 1,
    "segment": 1,
    "sick": 1,
    "sonar": 1,
    "soybean": 1,
    "spambase": 1,
    "tic-tac-toe": 1,
    "twonorm": 1,
    "vehicle": 1,
}
# Identifiers on OpenML, of the suite CTR23 and of the collection of L. Torgo.
REGRESSION = {
    "abalone": 44956,
    "airfoil": 44957,
    "autompg": 196,
    "california_housing": 44977,
    "concrete": 44959,
    "cpu_act": 197,
    "diamonds": 44979,
    "elevators": 216,
    "kin8nm": 189,
    "wine_quality": 287,
}
ADBENCH = (
    "https://raw.githubusercontent.com/Minqi824/ADBench/"
    "f7fed68dea6901fe9a81ed51b251b1d2456790cd/adbench/datasets/Classical/"
)
ANOMALY = (
    *("2_annthyroid", "5_campaign", "7_Cardiotocography", "8_celeba", "11_donors", "14_glass"),
    *("17_InternetAds", "19_landsat", "21_Lymphography", "22_magic.gamma", "24_mnist"),
    *("26_optdigits", "29_Pima", "30_satellite", "32_shuttle", "34_smtp", "37_Stamps"),
    *("39_vertebral", "41_Waveform", "43_WDBC", "45_wine"),
)


def as_arrays(frame, target, classes):
    """A frame as X with sorted levels coded, y (coded if there are classes), the nominal mask"""
    nominal = ~frame.columns.isin(frame.select_dtypes("number").columns)
    X = np.empty(frame.shape)
    for k, name in enumerate(frame):
        column = frame[name]
        if nominal[k]:
            missing = column.isna().to_numpy()
            text = np.array([str(value) for value in column])
            levels = np.unique(text[~missing])
            X[:, k] = np.where(missing, np.nan, np.searchsorted(levels, text))
        else:
            X[:, k] = column.astype(float)
    y = np.array([str(value) for value in target]) if classes else target.to_numpy(float)
    return X, np.unique(y, return_inverse=True)[1] if classes else y, nominal


def openml(path, classes, **source):
    data = fetch_openml(as_frame=True, parser="liac-arff", **source)
    X, y, nominal = as_arrays(data.data, data.target, classes)
    np.savez_compressed(path, X=X, y=y, cat=nominal)


def mnist(path):
    X, y = fetch_openml("mnist_784", version=1, as_frame=False, return_X_y=True)
    X, y = X.astype(np.uint8).reshape(-1, 28, 28), y.astype(int)
    np.savez_compressed(
        path, X_train=X[:60000], y_train=y[:60000], X_test=X[60000:], y_test=y[60000:]
    )


def adbench(path):
    urllib.request.urlretrieve(ADBENCH + path.name, path)


def sources(folder):
    """(part, path, function of the path) of everything"""
    for name, version in CLASSIFICATION.items():

        def fetch(path, name=name, version=version):
            openml(path, True, name=name, version=version)

        yield "classification", folder / "classification" / f"{name}.npz", fetch
    for name, number in REGRESSION.items():

        def fetch(path, number=number):
            openml(path, False, data_id=number)

        yield "regression", folder / "regression" / f"{name}.npz", fetch
    for name in ANOMALY:
        yield "anomaly", folder / "anomaly" / f"{name}.npz", adbench
    yield "images", folder / "images" / "mnist.npz", mnist


def measured(folder):
    """{table: hashes that results have}"""
    found = {}
    for path in sorted(folder.glob("*.json")):
        for run in read(path)[1]:
            for name, value in run["data"].items():
                found.setdefault(name, set()).add(value)
    return found


def verdict(path, known):
    """Whether a file is what was measured"""
    name = path.stem.lstrip("0123456789").removeprefix("_")
    with np.load(path) as data:
        if name not in known or "X" not in data:
            return "not measured"
        X = data["X"].astype(float)
        y = np.unique(data["y"], return_inverse=True)[1]
        same = {digest(X, y), digest(X, data["y"])} & known[name]
    return "as measured" if same else "different"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    kinds = ("classification", "regression", "anomaly", "images")
    parser.add_argument("parts", nargs="*", default=kinds, help=", ".join(kinds))
    parser.add_argument("--compare", action="store_true", help="fetch nothing")
    arguments = parser.parse_args()
    known = measured(RESULTS)
    for part, path, fetch in sources(arguments.folder):
        if part not in arguments.parts:
            continue
        if not path.exists() and not arguments.compare:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                fetch(path)
            except OSError as error:
                print(f"{path}: {error}", flush=True)
                continue
        if path.exists():
            print(f"{path}: {verdict(path, known)}", flush=True)


if __name__ == "__main__":
    main()
