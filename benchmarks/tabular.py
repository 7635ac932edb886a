"""Accuracy and log-loss on tables beside scikit-learn's models, in 5 stratified folds.

    python benchmarks/tabular.py
    python benchmarks/tabular.py --data FOLDER --cap 5000 --models MPS,HGB

Tables: scikit-learn's bundled ones, and every FOLDER/*.npz with arrays X and y (NaN = missing).
Each model has its own preprocessing in a pipeline. Prints one row a table and the mean ranks.
"""

import argparse
import time
import warnings

import numpy as np
from _tables import labelled
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktn import MPSClassifier, MPSClassifierCV

BUNDLED = ("breast_cancer", "wine", "iris", "digits")


def scaled(estimator):
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), estimator)


MODELS = {
    "MPS": lambda: MPSClassifier(random_state=0),
    "MPSCV": lambda: MPSClassifierCV(random_state=0),
    "LogReg": lambda: scaled(LogisticRegression(max_iter=2000)),
    "kNN5": lambda: scaled(KNeighborsClassifier(5)),
    "RF300": lambda: RandomForestClassifier(300, random_state=0),
    "HGB": lambda: HistGradientBoostingClassifier(random_state=0),
    "MLP": lambda: scaled(MLPClassifier((128, 128), early_stopping=True, random_state=0)),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="folder of .npz tables")
    parser.add_argument("--cap", type=int, default=5000, help="rows at most (stratified)")
    parser.add_argument("--models", default=",".join(MODELS))
    arguments = parser.parse_args()
    names = arguments.models.split(",")
    warnings.simplefilter("ignore")
    print(f"{'accuracy / log-loss':24s}" + "".join(f"{name:>16s}" for name in names), flush=True)
    scores, seconds = [], np.zeros(len(names))
    for table, X, y in labelled(BUNDLED, arguments.data, arguments.cap):
        folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(X, y))
        row = np.zeros((len(names), 2))
        for k, name in enumerate(names):
            for train, test in folds:
                start = time.perf_counter()
                model = MODELS[name]().fit(X[train], y[train])
                seconds[k] += time.perf_counter() - start
                proba = np.clip(model.predict_proba(X[test]), 1e-7, 1)
                proba /= proba.sum(1, keepdims=True)
                loss = log_loss(y[test], proba, labels=np.unique(y))
                row[k] += np.mean(model.predict(X[test]) == y[test]), loss
        row /= len(folds)
        scores.append(row)
        cells = "".join(f"{f'{a:.4f} / {loss:.4f}':>16s}" for a, loss in row)
        print(f"{table:24s}{cells}", flush=True)
    # Rank 1 is the best; ties share the mean of their ranks.
    stacked = np.stack(scores) * [-1, 1]
    better = (stacked[:, None] < stacked[:, :, None]).sum(2)
    ties = (stacked[:, None] == stacked[:, :, None]).sum(2)
    ranks = (better + (ties + 1) / 2).mean(0)
    cells = "".join(f"{f'{a:.2f} / {loss:.2f}':>16s}" for a, loss in ranks)
    print(f"{'mean rank':24s}{cells}")
    print(f"{'seconds':24s}" + "".join(f"{s:16.1f}" for s in seconds))


if __name__ == "__main__":
    main()
