"""
What features do together
=========================

A Shapley value puts everything that a feature does, alone and with others, into one number. The
interaction indices take it apart: what does a pair, a triple, a group of columns do beyond what
fewer do? Sums over all coalitions have exact values for a chain, whatever the order.
"""

# %%
# Pairs
# -----
# The faithful Shapley index: effects of single features and of pairs that together come as close to
# the score of every coalition as any such sum does.
import numpy as np
from sklearn.datasets import load_breast_cancer

from sktn import MPSClassifier
from sktn.display import InteractionDisplay
from sktn.inspection import interactions, variance_shares

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
# Mean, error and worst value of a measure are neighbours along the chain; see below.
order = np.arange(30).reshape(3, 10).T.ravel()
model = MPSClassifier(
    alpha=0.1, interaction_penalty=0.2, solver="convex", feature_order=order, random_state=0
).fit(X, y)
pairs = interactions(model, X[:100], index="faithful")
print(f"{pairs.values.shape[1]} sets of features for {len(pairs.values)} rows")
InteractionDisplay(pairs).plot(max_features=8)

# %%
# One row, with signs: red pairs speak for "benign" more than their features do one by one.
InteractionDisplay(pairs).plot(row=19, max_features=8)

# %%
# Single features and pairs add up to the score, all of it:
score = pairs.base_values + pairs.values.sum(axis=1)
gap = np.abs(score - model.decision_function(X[:100])).max()
print(f"largest gap to the score: {gap:.1e}")

# %%
# Groups
# ------
# The table has ten measures, each as mean, error and worst value. A group is present or absent as
# a whole; ten players remain, and triples of them are cheap. Groups whose columns lie between each
# other along the chain cost more, so the model was fitted with an order that keeps them together.
measures = [name.removeprefix("mean ") for name in X.columns[:10]]
groups = {measure: [k, k + 10, k + 20] for k, measure in enumerate(measures)}
grouped = interactions(model, X[:100], order=3, index="shapley-taylor", groups=groups)
strength = np.abs(grouped.values).mean(axis=0)
for k in np.argsort(-strength)[:6]:
    names = " x ".join(grouped.player_names[list(grouped.subsets[k])])
    print(f"{strength[k]:6.3f}  {names}")

# %%
# Of the whole model
# ------------------
# Shares of the variance say which sets matter overall, without any row:
shares = variance_shares(model)
print("by number of features:", np.round(shares.by_order[:4], 4))
