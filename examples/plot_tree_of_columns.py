"""
A tree where a chain has to carry too much
==========================================

A chain sees neighbours best. Where every column interacts with one that is far from it, and no
correlation says with which, each bond in the middle of the chain has to carry all that is begun on
its left. A tree that joins the partners first carries one product at a time.
"""

# %%
# Partners
# --------
# Eight independent columns; the target is made of four products, of the columns k and k + 4.
import matplotlib.pyplot as plt
import numpy as np
from scipy.cluster.hierarchy import dendrogram

from sktn import MPSRegressor, TTNRegressor
from sktn.inspection import variance_shares

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, size=(900, 8))
y = sum(np.sin(3 * X[:, k] * X[:, k + 4]) for k in range(4))
y += 0.1 * rng.normal(size=900)
train, test = slice(600), slice(600, None)

# %%
# The tree is found from the convex limit: the two sets of columns are joined again and again whose
# bond would have the least to carry.
names = [f"x{k}" for k in range(8)]
model = TTNRegressor(topology="found", bond_dim=8, degree=4, random_state=0)
model.fit(X[train], y[train])

linkage, count = [], np.ones(15)
for j, (a, b) in enumerate(model.merges_):
    count[8 + j] = count[a] + count[b]
    linkage.append([a, b, j + 1, count[8 + j]])
fig, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
dendrogram(linkage, labels=names, ax=ax, color_threshold=0, above_threshold_color="0.3")
ax.set(title="The tree that was found", xlabel="column", ylabel="merge")
plt.show()

# %%
# At equal bond dimension
# -----------------------
# The same basis, ridge and convex limit for both: only the network differs.
bond_dims = [2, 3, 4, 6, 8, 12, 16]
fig, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
for label, kind in [("chain", MPSRegressor), ("tree", TTNRegressor)]:
    scores = []
    for bond_dim in bond_dims:
        fitted = kind(bond_dim=bond_dim, degree=4, alpha=0.01, random_state=0)
        scores.append(fitted.fit(X[train], y[train]).score(X[test], y[test]))
    ax.plot(bond_dims, scores, "o-", label=label)
    print(label, np.round(scores, 3))
ax.set(xlabel="bond dimension", ylabel="$R^2$ on other rows", xscale="log")
ax.set_xticks(bond_dims, labels=bond_dims)
ax.minorticks_off()
ax.legend()
plt.show()

# %%
# The tree is explained as exactly as a chain is: shares of the variance name the partners.

pairs = variance_shares(model).pairs
for k in np.argsort(-np.triu(pairs).ravel())[:4]:
    a, b = np.unravel_index(k, pairs.shape)
    print(f"{names[a]} and {names[b]}: {pairs[a, b]:.2f} of the variance")
