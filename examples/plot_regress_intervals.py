"""
Predict a number, with an interval
==================================

The noise of a measurement grows along x. A quantile is a loss of its own: three models draw the
median and the band between the 5 % and the 95 % quantile.
"""

import matplotlib.pyplot as plt
import numpy as np

from sktn import MPSRegressor
from sktn.losses import Quantile

rng = np.random.default_rng(0)
x = np.sort(rng.uniform(0, 1, 400))
y = np.sin(6 * x) + (0.1 + 0.4 * x) * rng.normal(size=400)
X, train = x[:, None], rng.random(400) < 0.7

levels = (0.05, 0.5, 0.95)
models = [
    MPSRegressor(loss=Quantile(level), degree=6, random_state=0).fit(X[train], y[train])
    for level in levels
]
low, middle, high = (model.predict(X) for model in models)
inside = (low <= y) & (y <= high)
print(f"inside the band: {inside[train].mean():.0%} of the training rows, ", end="")
print(f"{inside[~train].mean():.0%} of the others")

# %%
# Rows that were held out fall outside a little more often than they should; the tutorial on
# regression widens the band by as much as left-out rows ask for.
_, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.fill_between(x, low, high, alpha=0.2, label="90 % band")
ax.plot(x, middle, label="median")
ax.plot(x[train], y[train], ".", color="0.6", label="training rows")
ax.plot(x[~train], y[~train], "k.", label="held-out rows")
ax.set(xlabel="x", ylabel="y (units of the measurement)")
ax.legend()
plt.show()
