"""
Regression on images over time
==============================

Every sample is a tensor, and a linear model has a weight for each of its entries: more than there
are samples. A network of weights has few parameters, and its structure is found.
"""

# %%
# Few samples of many entries
# ---------------------------
# What matters is a cross on an image of 12 x 12 pixels, and more and more of it over five times:
# 720 weights, of which 300 samples have to tell.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV

from sktn import NetworkDisplay, RGTNRegressor

rng = np.random.default_rng(0)
cross = np.zeros((12, 12))
cross[5:7, 2:10] = cross[2:10, 5:7] = 1
weights = np.einsum("ij,t->ijt", cross, np.linspace(0.2, 1, 5))
X = rng.normal(size=(800, 12, 12, 5))
y = np.tensordot(X, weights, 3)
y += 0.3 * y.std() * rng.normal(size=len(y))
train, test = slice(0, 300), slice(300, 800)

# %%
# A network of weights beside ridge regression
# --------------------------------------------
model = RGTNRegressor(random_state=0).fit(X[train], y[train])
ridge = RidgeCV(np.logspace(-2, 4, 13)).fit(X[train].reshape(300, -1), y[train])
print(f"ridge regression: R2 {ridge.score(X[test].reshape(500, -1), y[test]):.2f}")
print(f"network of {model.n_parameters_} parameters: R2 {model.score(X[test], y[test]):.2f}")
for entry in model.history_:
    print(f"{entry['action']:8s} {entry['n_parameters']:4d}  error {entry['relative_error']:.3f}")

fig, axes = plt.subplots(1, 3, figsize=(8, 2.8), layout="constrained")
shown = {
    "what matters": weights,
    "ridge regression": ridge.coef_.reshape(weights.shape),
    "network": model.coef_,
}
for ax, (name, tensor) in zip(axes, shown.items(), strict=True):
    ax.imshow(tensor[:, :, -1], cmap="RdBu_r", vmin=-1, vmax=1)
    ax.set(title=name, xticks=[], yticks=[])

# %%
# The structure
# -------------
# Rows and columns of pixels share a bond, and time has none: the cross only grows.
_ = NetworkDisplay.from_estimator(model)
plt.show()
