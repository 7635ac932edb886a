"""
=================================================
A classifier that needs no values to be filled in
=================================================

A density for every class makes a classifier: by Bayes' rule the probability of class :math:`c` is
proportional to :math:`p(c)\\, p(x \\mid c)`. :class:`~sktn.MPSDensityEstimator` integrates over
missing values exactly, so :math:`p(x \\mid c)` of a row with gaps is the density of what is there,
and nothing has to be filled in, neither in training nor afterwards. A classifier that learned to
tell the classes apart from complete rows has to be given a guess instead.
"""

# %%
# One density a class
# -------------------
import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_wine
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktn import MPSDensityEstimator


class BayesClassifier(ClassifierMixin, BaseEstimator):
    """Bayes' rule on densities of the classes."""

    def fit(self, X, y):
        self.classes_, counts = np.unique(y, return_counts=True)
        self.log_prior_ = np.log(counts / len(y))
        self.densities_ = [
            MPSDensityEstimator(random_state=0).fit(X[y == c]) for c in self.classes_
        ]
        return self

    def predict_proba(self, X):
        logs = np.stack([density.score_samples(X) for density in self.densities_], axis=1)
        logs += self.log_prior_
        p = np.exp(logs - logs.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.classes_[np.argmax(self.predict_proba(X), axis=1)]


X, y = load_wine(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
rivals = {
    "densities of the classes": BayesClassifier(),
    "logistic regression on medians": make_pipeline(
        SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(max_iter=1000)
    ),
}
for model in rivals.values():
    model.fit(X_train, y_train)

# %%
# What is lost with every value
# -----------------------------
# More and more values of the test rows are taken away at random, in ten different ways.
shares = np.linspace(0, 0.8, 5)
_, ax = plt.subplots(figsize=(6, 4))
for name, model in rivals.items():
    accuracy = np.empty((len(shares), 10))
    for i, share in enumerate(shares):
        for seed in range(10):
            gaps = np.random.default_rng(seed).uniform(size=X_test.shape) < share
            accuracy[i, seed] = model.score(np.where(gaps, np.nan, X_test), y_test)
    ax.errorbar(shares, accuracy.mean(axis=1), accuracy.std(axis=1), label=name, capsize=3)
ax.set(xlabel="share of values that are missing", ylabel="accuracy")
ax.legend()
plt.show()

# %%
# What else the densities know
# ----------------------------
# They draw new rows of a class, and fill the gaps of a row with medians given the rest.
barolo = rivals["densities of the classes"].densities_[0]
print("drawn:    ", barolo.sample(2, random_state=0)[:, :4].round(2).tolist())
row = np.where(np.arange(13) < 2, np.nan, X_test[:1])
print(
    "filled in:", barolo.impute(row)[0, :2].round(2).tolist(), "instead of", X_test[0, :2].tolist()
)
