"""
Explain a forest by a chain that imitates it
============================================

A random forest has no exact explanation that is cheap, and sampled ones take their time. A chain
that imitates it has: :func:`sktn.inspection.distill` asks the forest about many rows, says how
faithful the imitation is, and what is exact for chains becomes exact for it.
"""

# %%
# A forest for the progression of diabetes. Its answers are steps; the functions of single columns
# that the chain is made of are read off the forest, so they are steps, too.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import train_test_split

from sktn.display import InteractionDisplay, MarginalEffectDisplay, ShapleyDisplay
from sktn.inspection import distill, shapley_values, variance_shares

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
forest = RandomForestRegressor(50, min_samples_leaf=5, random_state=0).fit(X_train, y_train)
result = distill(forest, X_train, max_fits=1, random_state=0, verbose=1)

# %%
# How faithful is it?
# -------------------
# The fidelity is measured on rows that the chain has not seen: as they are, and with permuted
# columns, which is where explanations look.
fidelity = result.fidelity
print(
    f"R2 on held-out rows {fidelity.r2_observed:.3f}, on permuted ones {fidelity.r2_permuted:.3f}"
)
print(f"largest error {fidelity.max_error_permuted:.1f}, spread of y {y.std():.1f}")
for feature, low, high, size in fidelity.worst_places[:2]:
    print(f"largest errors for {feature} from {low:g} to {high:g}: {size:.2f} times the usual")

fig, ax = plt.subplots(figsize=(4.2, 4), layout="constrained")
ax.plot(forest.predict(X_test), result.model.predict(X_test), ".", alpha=0.6)
ax.axline((150, 150), slope=1, color="0.7", lw=1)
ax.set(xlabel="forest (progression)", ylabel="chain (progression)", title="held-out rows")

# %%
# Explained
# ---------
# Shapley values of all held-out rows, exact for the chain:
ShapleyDisplay(shapley_values(result.model, X_test)).plot()

# %%
# What the forest makes of the body mass index, averaged over all other columns, and what features
# do in pairs:
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
MarginalEffectDisplay.from_estimator(result.model, X_train, "bmi", ax=left)
left.set(xlabel="body mass index (kg/m²)", ylabel="averaged prediction (progression)")
InteractionDisplay.from_estimator(result.model, X_test, max_features=6, ax=right)

# %%
# How much of the forest's variance no additive model could have:
shares = variance_shares(result.model)
for order, share in enumerate(shares.by_order[:3], start=1):
    print(f"interactions of {order} features: {share:6.1%}")
strongest = np.unravel_index(np.argmax(shares.pairs), shares.pairs.shape)
print("strongest pair:", " and ".join(shares.feature_names[list(strongest)]))
