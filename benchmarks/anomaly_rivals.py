"""The detectors that `anomaly_tables.py` compares: scikit-learn's, and short ones of our own.

Each is a function of a seed that returns an object with `fit` and `score_samples`, large for
normal rows. PyOD's own versions are added as "pyod NAME" where it is installed.
"""

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import skew
from sklearn.covariance import EllipticEnvelope, LedoitWolf
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.svm import OneClassSVM

from sktn import SMPOAnomalyDetector


class Neighbours:
    """Minus the distance to the k-th nearest training row, or the mean distance to k of them."""

    def __init__(self, k, mean):
        self.k, self.mean = k, mean

    def fit(self, X):
        self.index = NearestNeighbors(n_neighbors=min(self.k, len(X))).fit(X)
        return self

    def score_samples(self, X):
        distances = self.index.kneighbors(X)[0]
        return -(distances.mean(axis=1) if self.mean else distances[:, -1])


class Mahalanobis:
    """Minus the Mahalanobis distance with a shrunk covariance."""

    def fit(self, X):
        self.model = LedoitWolf().fit(X)
        return self

    def score_samples(self, X):
        return -self.model.mahalanobis(X)


class Reconstruction:
    """Minus the squared error of the principal components that hold 90 % of the variance."""

    def fit(self, X):
        self.model = PCA(0.9, svd_solver="full").fit(X)
        return self

    def score_samples(self, X):
        back = self.model.inverse_transform(self.model.transform(X))
        return -np.sum((X - back) ** 2, axis=1)


class SelectedMixture:
    """A Gaussian mixture with the number of components of largest held-out likelihood."""

    def __init__(self, seed):
        self.seed = seed

    def _mixture(self, k, n_columns):
        kind = "full" if n_columns <= 100 else "diag"
        return GaussianMixture(k, covariance_type=kind, reg_covar=1e-3, random_state=self.seed)

    def fit(self, X):
        train, held_out = train_test_split(X, test_size=0.2, random_state=self.seed)
        counts = [k for k in (1, 2, 4, 8, 16, 32) if k == 1 or len(train) >= 10 * k]
        scores = [self._mixture(k, X.shape[1]).fit(train).score(held_out) for k in counts]
        self.model = self._mixture(counts[int(np.argmax(scores))], X.shape[1]).fit(X)
        return self

    def score_samples(self, X):
        return self.model.score_samples(X)


class Histograms:
    """HBOS: the sum of the log densities of ten equal bins of every column (Goldstein and Dengel,
    2012)."""

    def fit(self, X):
        self.edges = [np.histogram_bin_edges(column, 10) for column in X.T]
        self.logs = [
            np.log(np.histogram(c, e, density=True)[0] + 0.1)
            for c, e in zip(X.T, self.edges, strict=True)
        ]
        return self

    def score_samples(self, X):
        total = np.zeros(len(X))
        for column, edges, logs in zip(X.T, self.edges, self.logs, strict=True):
            k = np.clip(np.searchsorted(edges, column, side="right") - 1, 0, len(logs) - 1)
            outside = (column < edges[0]) | (column > edges[-1])
            total += np.where(outside, np.log(0.1), logs[k])
        return total


class Tails:
    """ECOD (Li and others, 2022) and COPOD (2020): sums of logs of empirical tail probabilities of
    every column, left, right, or on the side that it is skewed to."""

    def __init__(self, columnwise):
        self.columnwise = columnwise

    def fit(self, X):
        self.sorted, self.skew = np.sort(X, axis=0), np.nan_to_num(skew(X, axis=0))
        return self

    def score_samples(self, X):
        n = len(self.sorted)
        pairs = list(zip(self.sorted.T, X.T, strict=True))
        left = np.array([np.searchsorted(s, c, side="right") for s, c in pairs]).T
        right = np.array([n - np.searchsorted(s, c, side="left") for s, c in pairs]).T
        left, right = (-np.log((count + 1) / (n + 1)) for count in (left, right))
        skewed = np.where(self.skew < 0, left, right)
        if self.columnwise:
            sums = [part.sum(axis=1) for part in (left, right, skewed)]
            return -np.max(sums, axis=0)
        return -np.sum(np.maximum(skewed, (left + right) / 2), axis=1)


class Density:
    """An exact kernel density estimate, without trees, which are slower in many columns."""

    def __init__(self, bandwidth):
        self.bandwidth = bandwidth

    def fit(self, X):
        self.X = X
        n, d = X.shape
        self.h = n ** (-1 / (d + 4)) if self.bandwidth == "scott" else self.bandwidth
        return self

    def score_samples(self, X):
        parts = np.array_split(X, max(1, len(X) // 500))
        logs = [-cdist(part, self.X, "sqeuclidean") / (2 * self.h**2) for part in parts]
        tops = [log.max(axis=1) for log in logs]
        return np.concatenate(
            [
                top + np.log(np.exp(log - top[:, None]).sum(axis=1))
                for log, top in zip(logs, tops, strict=True)
            ]
        )


DETECTORS = {
    "SMPO": lambda seed: SMPOAnomalyDetector(random_state=seed),
    "SMPO projector": lambda seed: SMPOAnomalyDetector(operator="projector", random_state=seed),
    "SMPO robust": lambda seed: SMPOAnomalyDetector(operator="robust", random_state=seed),
    "SMPO trained": lambda seed: SMPOAnomalyDetector(operator="trained", random_state=seed),
    "kNN 5": lambda seed: Neighbours(5, mean=False),
    "kNN 5 mean": lambda seed: Neighbours(5, mean=True),
    "LOF": lambda seed: LocalOutlierFactor(n_neighbors=20, novelty=True),
    "KDE 0.2": lambda seed: Density(0.2),
    "KDE 1": lambda seed: Density(1.0),
    "KDE scott": lambda seed: Density("scott"),
    "GMM 5": lambda seed: GaussianMixture(5, reg_covar=1e-3, random_state=seed),
    "GMM selected": SelectedMixture,
    "OCSVM": lambda seed: OneClassSVM(),
    "OCSVM 0.05": lambda seed: OneClassSVM(nu=0.05),
    "IForest": lambda seed: IsolationForest(random_state=seed),
    "EllipticEnvelope": lambda seed: EllipticEnvelope(support_fraction=0.9, random_state=seed),
    "Mahalanobis": lambda seed: Mahalanobis(),
    "PCA 90 %": lambda seed: Reconstruction(),
    "HBOS": lambda seed: Histograms(),
    "ECOD": lambda seed: Tails(columnwise=True),
    "COPOD": lambda seed: Tails(columnwise=False),
}


class Negated:
    """A detector of PyOD, for which large scores are anomalous."""

    def __init__(self, model):
        self.model = model

    def fit(self, X):
        self.model.fit(X)
        return self

    def score_samples(self, X):
        return -self.model.decision_function(X)


def with_pyod(detectors):
    """The detectors and, where PyOD is installed, its own of the same kinds."""
    try:
        from pyod.models.copod import COPOD
        from pyod.models.ecod import ECOD
        from pyod.models.hbos import HBOS
    except ImportError:
        return detectors
    theirs = {f"pyod {kind.__name__}": kind for kind in (COPOD, ECOD, HBOS)}
    return detectors | {
        name: lambda seed, kind=kind: Negated(kind()) for name, kind in theirs.items()
    }
