"""
Fill the gaps of a table
========================

A fifth of the wine table is hidden. Every column is predicted from the others, and the error on
rows left out, which needs no truth, says beforehand how well.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.impute import KNNImputer, SimpleImputer

from sktn import MPSImputer

wine = load_wine(as_frame=True).data
X = (wine - wine.mean()) / wine.std()
gaps = np.random.default_rng(0).random(X.shape) < 0.2
holes = X.mask(gaps)

imputers = {
    "mean": SimpleImputer(),
    "nearest neighbours": KNNImputer(),
    "MPSImputer": MPSImputer(random_state=0),
}
errors = {}
for name, imputer in imputers.items():
    filled = np.asarray(imputer.fit_transform(holes))
    squares = np.where(gaps, (filled - X) ** 2, np.nan)
    errors[name] = np.sqrt(np.nanmean(squares, axis=0))
    print(f"{name:20s} {np.sqrt(np.nanmean(squares)):.3f} standard deviations")

expected = imputers["MPSImputer"].left_out_error_
order = np.argsort(expected)
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, error in errors.items():
    ax.plot(error[order], "o-", label=name)
ax.plot(expected[order], "k:", label="MPSImputer, as expected")
ax.set_xticks(range(len(order)), wine.columns[order], rotation=60, ha="right")
ax.set_ylabel("error of what was filled in\n(standard deviations)")
ax.set_ylim(0)
ax.legend()
plt.show()
