"""Held-out log-likelihood of standardised columns beside other densities, and draws to the test.

    python benchmarks/density.py
    python benchmarks/density.py --data FOLDER --tables concrete phoneme --models MPS GMM

Tables: scikit-learn's iris, wine and breast cancer, and every FOLDER/**/*.npz with an array X (and
`cat`, True for nominal columns, which are left out here, as are constant columns and rows with
missing values; the rivals take neither). 70 % of the rows, at most `--cap`, train.

Rivals: a Gaussian mixture (1 to 10 components and the type of covariance by BIC), a kernel density
estimate (bandwidth by five-fold cross-validation), a Gaussian copula under kernel estimates of the
columns, and a masked autoregressive flow of rational quadratic splines (flowjax, if installed).

Two-sample test: how well gradient boosting tells the held-out rows from as many draws, the area
under the ROC curve in five folds; .5 is not at all.

Prints one row a table and the mean ranks. What is in the result file is not computed again.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from _results import Results
from scipy.special import logsumexp, ndtr, ndtri
from scipy.stats import rankdata
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_val_predict, train_test_split
from sklearn.neighbors import KernelDensity

from sktn import MPSDensityEstimator

BUNDLED = ("iris", "wine", "breast_cancer")


class MixtureByBIC:
    """Gaussian mixture, 1 to 10 components of the four types of covariance."""

    def __init__(self, seed):
        self.seed = seed

    def fit(self, X):
        found = [
            GaussianMixture(k, covariance_type=kind, random_state=self.seed).fit(X)
            for k in range(1, min(10, len(X) // 2) + 1)
            for kind in ("full", "tied", "diag", "spherical")
        ]
        self.model = min(found, key=lambda model: model.bic(X))
        return self

    def score_samples(self, X):
        return self.model.score_samples(X)

    def sample(self, n):
        return self.model.sample(n)[0]


class KernelByCV:
    """Gaussian kernels whose bandwidth five folds choose."""

    def __init__(self, seed):
        self.seed = seed

    def fit(self, X):
        grid = {"bandwidth": np.geomspace(0.03, 3, 12)}
        self.model = GridSearchCV(KernelDensity(), grid).fit(X).best_estimator_
        return self

    def score_samples(self, X):
        return self.model.score_samples(X)

    def sample(self, n):
        return self.model.sample(n, random_state=self.seed)


class GaussianCopula:
    """Normal scores of Gaussian kernel estimates of the columns (Silverman's rule), correlated."""

    def __init__(self, seed):
        self.seed = seed

    def fit(self, X):
        self.X = X
        spread = np.minimum(
            X.std(axis=0), np.subtract(*np.quantile(X, [0.75, 0.25], axis=0)) / 1.34
        )
        self.width = 0.9 * np.where(spread > 0, spread, X.std(axis=0)) * len(X) ** -0.2
        scores, _ = self._scores(X)
        self.correlation = 0.999 * np.corrcoef(scores.T) + 0.001 * np.eye(X.shape[1])
        return self

    def _scores(self, X):
        u, logs = np.empty(X.shape), np.empty(X.shape)
        for i, width in enumerate(self.width):
            z = (X[:, i, None] - self.X[:, i]) / width
            u[:, i] = ndtr(z).mean(axis=1)
            logs[:, i] = logsumexp(-(z**2) / 2, axis=1) - np.log(
                len(self.X) * width * np.sqrt(2 * np.pi)
            )
        return ndtri(np.clip(u, 1e-9, 1 - 1e-9)), logs

    def score_samples(self, X):
        z, logs = self._scores(X)
        L = np.linalg.cholesky(self.correlation)
        white = np.linalg.solve(L, z.T)
        copula = ((z.T**2).sum(0) - (white**2).sum(0)) / 2 - np.log(np.diag(L)).sum()
        return copula + logs.sum(axis=1)

    def sample(self, n):
        rng = np.random.default_rng(self.seed)
        z = rng.multivariate_normal(np.zeros(len(self.width)), self.correlation, n)
        out = np.empty(z.shape)
        for i, width in enumerate(self.width):
            low, high = self.X[:, i].min() - 5 * width, self.X[:, i].max() + 5 * width
            grid = np.linspace(low, high, 1000)
            cdf = ndtr((grid[:, None] - self.X[:, i]) / width).mean(axis=1)
            out[:, i] = np.interp(ndtr(z[:, i]), cdf, grid)
        return out


class Flow:
    """Masked autoregressive flow of rational quadratic splines, early stopping."""

    def __init__(self, seed):
        self.seed = seed

    def fit(self, X):
        import jax
        from flowjax.bijections import RationalQuadraticSpline
        from flowjax.distributions import Normal
        from flowjax.flows import masked_autoregressive_flow
        from flowjax.train import fit_to_data

        start, train, self.key = jax.random.split(jax.random.key(self.seed), 3)
        flow = masked_autoregressive_flow(
            start,
            base_dist=Normal(np.zeros(X.shape[1])),
            transformer=RationalQuadraticSpline(knots=8, interval=5),
            flow_layers=4,
        )
        self.flow, _ = fit_to_data(
            train, flow, X.astype(np.float32), max_epochs=200, max_patience=15, show_progress=False
        )
        return self

    def score_samples(self, X):
        return np.asarray(self.flow.log_prob(X.astype(np.float32)), np.float64)

    def sample(self, n):
        return np.asarray(self.flow.sample(self.key, (n,)))


class MPS:
    """Ours, with bins for repeated and rounded values."""

    parameters: dict = {}

    def __init__(self, seed):
        self.model = MPSDensityEstimator(random_state=seed, **self.parameters)

    def fit(self, X):
        self.model.fit(X)
        return self

    def score_samples(self, X):
        return self.model.score_samples(X)

    def sample(self, n):
        return self.model.sample(n, random_state=1)


class Smooth(MPS):
    """Ours, with smooth densities of all columns."""

    parameters: dict = {"resolution": None}


class Chain(MPS):
    """Ours, the chain alone, with smooth densities of all columns."""

    parameters: dict = {"resolution": None, "n_components": 0}


MODELS = {
    "MPS": MPS,
    "smooth": Smooth,
    "chain": Chain,
    "GMM": MixtureByBIC,
    "KDE": KernelByCV,
    "copula": GaussianCopula,
    "flow": Flow,
}


def tables(folder, wanted):
    """Name and numeric columns of every table."""
    for name in BUNDLED:
        if wanted is None or name in wanted:
            yield name, getattr(datasets, f"load_{name}")().data
    for path in sorted(Path(folder).glob("**/*.npz")) if folder else []:
        name = path.stem.removeprefix("openml_").removeprefix("keel_")
        if name in BUNDLED or (wanted is not None and name not in wanted):
            continue
        data = np.load(path)
        X = data["X"].astype(float)
        if "cat" in data.files:
            X = X[:, ~data["cat"].astype(bool)]
        yield name, X[~np.isnan(X).any(axis=1)]


def split(X, seed, cap):
    """Standardised training and test rows, without columns that are constant."""
    train, test = train_test_split(X, test_size=0.3, random_state=seed)
    train, test = train[:cap], test[:cap]
    kept = train.std(axis=0) > 0
    center, scale = train[:, kept].mean(axis=0), train[:, kept].std(axis=0)
    return (train[:, kept] - center) / scale, (test[:, kept] - center) / scale


def two_sample(real, drawn):
    """How well boosting tells the two from each other: area under the ROC curve in five folds."""
    X, y = np.vstack([real, drawn]), np.repeat([0, 1], [len(real), len(drawn)])
    order = np.random.default_rng(0).permutation(len(y))
    model = HistGradientBoostingClassifier(max_iter=50, random_state=0)
    p = cross_val_predict(model, X[order], y[order], cv=5, method="predict_proba")[:, 1]
    return float(roc_auc_score(y[order], p))


def measure(model, train, test):
    """Mean log-likelihood of the test rows, seconds of the fit, two-sample area."""
    start = time.process_time()
    model.fit(train)
    seconds = time.process_time() - start
    score = float(np.mean(model.score_samples(test)))
    return {
        "score": score,
        "seconds": seconds,
        "auc": two_sample(test, model.sample(len(test))),
    }


def means(rows, column, models):
    """(tables, (tables, models) means over the seeds) of the tables that all these models have"""
    cells = {}
    for row in rows:
        cells.setdefault((row["table"], row["model"]), []).append(row[column])
    names = dict.fromkeys(table for table, _ in cells)
    names = [table for table in names if all((table, model) in cells for model in models)]
    return names, np.array([[np.mean(cells[t, model]) for model in models] for t in names])


def show(rows, models):
    """The tables, and the mean ranks of the scores."""
    for key, form in (("score", "{:9.2f}"), ("auc", "{:9.2f}"), ("seconds", "{:9.1f}")):
        print(f"\n{key:24s}" + "".join(f"{name:>9s}" for name in models))
        names, values = means(rows, key, models)
        for table, found in zip(names, values, strict=True):
            print(f"{table:24s}" + "".join(form.format(value) for value in found))
        if key == "score":
            ranks = rankdata(-values, axis=1).mean(axis=0)
            print(f"{'mean rank':24s}" + "".join(f"{rank:9.2f}" for rank in ranks))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="folder of .npz tables")
    parser.add_argument("--tables", nargs="+", help="names; default: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cap", type=int, default=5000, help="training and test rows at most")
    models = ["MPS", "smooth", "chain", "GMM", "KDE", "copula"]
    parser.add_argument("--models", nargs="+", default=models, choices=list(MODELS))
    parser.add_argument("--out", help="file of results, read and extended")
    parser.add_argument("--again", action="store_true", help="measure what the file has already")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    results = Results(
        args.out, key=("table", "seed", "model"), packages=("flowjax",), again=args.again
    )
    for table, X in tables(args.data, args.tables):
        results.used(table, X)
        for seed in range(args.seeds):
            train, test = split(X, seed, args.cap)
            for name in args.models:
                key = {"table": table, "seed": seed, "model": name}
                if not results.has(**key):
                    results.add(**key, rows=len(train), **measure(MODELS[name](seed), train, test))
        print(table, train.shape, flush=True)
    show(results.rows, args.models)


if __name__ == "__main__":
    main()
