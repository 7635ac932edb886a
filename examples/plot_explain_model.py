"""
Explain a model, exactly
========================

A matrix product state can be asked questions that other models answer by sampling: how much of the
score's variance each feature and each interaction holds, what the score is on average as a function
of one feature, and how much every feature moved the score of a row. Here they are products of small
matrices, exact to rounding, in well under a second.
"""

# %%
# A model of the breast cancer table: 569 rows, 30 columns. The score is the log-odds of the second
# class, "malignant".
import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from sktn import MPSClassifier
from sktn.display import (
    ChainDisplay,
    MarginalEffectDisplay,
    ShapleyDisplay,
    VarianceSharesDisplay,
)
from sktn.inspection import prune, shapley_values, truncate, variance_shares

data = load_breast_cancer(as_frame=True)
X, y = data.data, data.target_names[data.target]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=0)
model = MPSClassifier(interaction_penalty=0.3, random_state=0).fit(X_train, y_train)
print(f"accuracy on held-out rows: {model.score(X_test, y_test):.3f}")

# %%
# Where the variance is
# ---------------------
# The shares add up to one over all sets of features. Sorted by the size of the sets they say how
# far the model is from an additive one.
shares = variance_shares(model)
for order, share in enumerate(shares.by_order[:4], start=1):
    print(f"interactions of {order} features: {share:8.3%}")
print(f"all orders together: {shares.by_order.sum():.12f}")

VarianceSharesDisplay(shares).plot(max_features=10)

# %%
# Which pairs act together, beyond what each does alone:
VarianceSharesDisplay(shares).plot(kind="pairs", max_features=10)

# %%
# What a feature does
# -------------------
# The score averaged over all other columns. No rows are averaged, so a curve costs as much as a few
# predictions.
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
MarginalEffectDisplay.from_estimator(model, X, "worst texture", ax=left)
MarginalEffectDisplay.from_estimator(model, X, ["worst texture", "worst area"], ax=right)

# %%
# Why this row
# ------------
# Shapley values of all rows, and one row in detail. They add up to the score.
start = time.perf_counter()
explanation = shapley_values(model, X)
print(f"{explanation.values.size} exact Shapley values in {time.perf_counter() - start:.2f} s")
score = explanation.base_values + explanation.values.sum(axis=1)
print(f"largest gap to the score: {np.abs(score - model.decision_function(X)).max():.1e}")

ShapleyDisplay(explanation).plot()

# %%
# The row the model is least sure of:
closest = int(np.abs(score).argmin())
ShapleyDisplay(explanation).plot(kind="waterfall", row=closest)

# %%
# Inside the network
# ------------------
# The chain: bonds are as wide as their dimension, and as dark as the entropy across them. Entropies
# far below the logarithm of the dimension mean that the bonds are wider than they need be.
ChainDisplay.from_estimator(model)

# %%
# So a smaller network does: cut as far as the accuracy on held-out rows falls by no more than half
# a percent. And some columns can go altogether.
smaller = truncate(model, max_error=0.1, X=X_test, y=y_test, max_score_loss=0.005)
before, after = smaller.n_parameters
print(f"{before} parameters -> {after}, relative error of the score {smaller.relative_error:.4f}")
print(f"accuracy on held-out rows {smaller.score[0]:.4f} -> {smaller.score[1]:.4f}")
ChainDisplay.from_estimator(smaller.model)

pruned = prune(model, max_share=0.02)
print(f"without {len(pruned.removed)} columns: {pruned.lost_share:.2%} of the variance is lost")
print(", ".join(pruned.removed))
plt.show()
