"""
Predict a number, with an interval
==================================

The noise of a measurement grows along x. The regressor finds it in the errors of rows that were
left out, and its intervals grow with it.
"""

import matplotlib.pyplot as plt
import numpy as np

from sktn import MPSRegressor
from sktn.display import ReliabilityDisplay

rng = np.random.default_rng(0)
x = np.sort(rng.uniform(0, 1, 400))
y = np.sin(6 * x) + (0.1 + 0.4 * x) * rng.normal(size=400)
X, train = x[:, None], rng.random(400) < 0.7

model = MPSRegressor(degree=6, random_state=0).fit(X[train], y[train])
middle, deviation = model.predict(X, return_std=True)
low, high = model.predict_interval(X, coverage=0.9).T
inside = (low <= y) & (y <= high)
print(f"inside the band: {inside[train].mean():.0%} of the training rows, ", end="")
print(f"{inside[~train].mean():.0%} of the others")

# %%
_, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.fill_between(x, low, high, alpha=0.2, label="90 % band")
ax.plot(x, middle, label="prediction")
ax.plot(x[train], y[train], ".", color="0.6", label="training rows")
ax.plot(x[~train], y[~train], "k.", label="held-out rows")
ax.set(xlabel="x", ylabel="y (units of the measurement)")
ax.legend()

# %%
# The deviation to be expected is a model of its own, which is near to the true one.
_, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
ax.plot(x, deviation, label="found")
ax.plot(x, 0.1 + 0.4 * x, color="0.6", ls="--", label="true")
ax.set(xlabel="x", ylabel="standard deviation", ylim=(0, None))
ax.legend()

# %%
# Of the held-out rows a share of q lies below the predicted quantile q, or nearly.
ReliabilityDisplay.from_estimator(model, X[~train], y[~train])
plt.show()
