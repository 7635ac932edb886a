"""
A density, and what it draws
============================

:class:`~sktn.MPSDensityEstimator` fits two moons. The density is exact: it integrates to one, and
what it draws is independent, without a chain of samples.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.mixture import GaussianMixture

from sktn import MPSDensityEstimator

X, _ = make_moons(600, noise=0.08, random_state=0)
train, test = X[:400], X[400:]
density = MPSDensityEstimator(random_state=0).fit(train)
mixture = min(
    (GaussianMixture(k, random_state=0).fit(train) for k in range(1, 11)),
    key=lambda model: model.bic(train),
)
print(f"mean log-density of held-out rows: {density.score_samples(test).mean():.2f}, ", end="")
print(f"Gaussian mixture of {mixture.n_components}: {mixture.score_samples(test).mean():.2f}")

# %%
# The density on a grid, with training rows, and as many rows drawn from it.
grid = np.stack(np.meshgrid(np.linspace(-1.6, 2.6, 120), np.linspace(-1.1, 1.6, 100)), axis=-1)
values = np.exp(density.score_samples(grid.reshape(-1, 2))).reshape(grid.shape[:2])
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharex=True, sharey=True, layout="constrained")
levels = axes[0].contourf(grid[..., 0], grid[..., 1], values, levels=12, cmap="Blues")
axes[0].plot(*train.T, "k.", markersize=2)
axes[0].set(title="density and training rows", xlabel="first column", ylabel="second column")
axes[1].plot(*density.sample(400, random_state=0).T, ".", markersize=3)
axes[1].set(title="400 rows drawn", xlabel="first column")
fig.colorbar(levels, ax=axes, label="density", shrink=0.8)
plt.show()
