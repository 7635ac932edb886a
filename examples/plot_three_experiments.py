"""
Three first experiments
=======================

What the paper of tn4ml suggests to try first with a matrix product state: the breast cancer table
with quadratic features and D = 20; a start that does not match the embedding; and the price of a
large bond dimension. Here are all three, and what becomes of them when the basis is made
orthonormal and the solver is not left to its start.
"""

# %%
# Accuracy: degree 2 and D = 20
# -----------------------------
# The paper reports 97.3 %. Five folds, the strength of the ridge chosen inside each:
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, cross_val_score

from sktn import MPSClassifier
from sktn.chains.solvers import Adam

X, y = load_breast_cancer(return_X_y=True)
quadratic = {"embedding": "polynomial", "degree": 2, "scaling": "standard", "random_state": 0}
folds = StratifiedKFold(5, shuffle=True, random_state=0)
accuracy = cross_val_score(MPSClassifier(bond_dim=20, **quadratic), X, y, cv=folds)
print(f"Accuracy with D = 20: {accuracy.mean():.3f} +/- {accuracy.std():.3f}")

# %%
# The start must match the embedding
# ----------------------------------
# Adam begins where it is told to. "constant" and "identity" make the network the constant function
# with every gradient alive, since the first basis function is the constant: a start that matches.
# "gaussian" draws all entries at random, so that the score is a product of 30 random numbers, and
# "ones" adds up everything at once: both stay where they are, at log 2. The default, "convex",
# starts at the compressed minimum.
starts = ["convex", "constant", "identity", "gaussian", "ones"]
curves = {}
for start in starts:
    solver = Adam(init=start, max_iter=30, n_iter_no_change=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MPSClassifier(bond_dim=20, alpha=0.1, solver=solver, **quadratic).fit(X, y)
    curves[start] = model.loss_curve_
    print(f"{start:9s} loss {curves[start][0]:10.3g} -> {curves[start][-1]:.3g}")

# %%
# The price of the bond dimension
# -------------------------------
# An epoch multiplies a row by every core and goes back: D^2 numbers a core. The first fit of a
# shape compiles its program and is left out.
bonds = [2, 50, 200]
seconds = []
for bond_dim in bonds:
    model = MPSClassifier(
        bond_dim=bond_dim,
        alpha=0.1,
        solver=Adam(init="constant", max_iter=2, n_iter_no_change=None),
        **quadratic,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
        began = time.perf_counter()
        model.fit(X, y)
    seconds.append((time.perf_counter() - began) / 2)
    print(f"D = {bond_dim:3d}: {seconds[-1]:.4f} s an epoch")

# %%
# On a CPU D = 200 is dear. ``benchmarks/overfitting.py`` measures what it buys, with and without
# the ridge.
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for start in starts:
    left.plot(np.arange(1, 31)[: len(curves[start])], curves[start], label=start)
left.set(xlabel="epoch", ylabel="penalised loss", yscale="log", title="Where Adam starts")
left.legend()
right.loglog(bonds, seconds, "o-")
right.set(xlabel="bond dimension", ylabel="seconds an epoch", title="Cost")
plt.show()
