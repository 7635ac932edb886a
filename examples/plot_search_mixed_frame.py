"""
Search a model of a data frame with strings and gaps
====================================================

Penguins measured in the field: strings, numbers, gaps. :class:`~sktn.MPSClassifierCV` takes the
frame as it is, tries bases and penalties on all strengths at once, and averages the best.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import sktn
from sktn import MPSClassifierCV
from sktn.display import MarginalEffectDisplay

birds = pd.read_csv(Path(sktn.__file__).parents[1] / "doc" / "data" / "penguins.csv")
birds = birds.drop(columns="date_egg").dropna(subset=["sex"])
strings = ["species", "island", "clutch_completion"]
birds[strings] = birds[strings].astype("category")
X, y = birds.drop(columns="sex"), birds["sex"]

search = MPSClassifierCV(bases=[("standard", 1), ("standard", 3)], random_state=0).fit(X, y)
print("best alone:", {k: search.best_params_[k] for k in ("scaling", "degree", "alpha")})
print(f"log-loss {-search.best_score_:.3f}, of the average {-search.ensemble_score_:.3f}")

# %%
# The history of the search: one line for every basis and penalty, all strengths along it.
found = pd.DataFrame(search.cv_results_)
found = found[np.isfinite(found["mean_test_neg_log_loss"])]
_, ax = plt.subplots(figsize=(7, 4), layout="constrained")
tried = ["param_degree", "param_interaction_penalty", "param_relevance"]
styles = {0.25: ":", 1.0: "--", 4.0: "-"}
for (degree, penalty, _), path in found.groupby(tried):
    path = path.sort_values("param_alpha")
    ax.plot(
        path["param_alpha"],
        -path["mean_test_neg_log_loss"],
        color="C0" if degree == 1 else "C1",
        ls=styles[penalty],
        label=f"{degree}, {penalty:g}",
    )
ax.set(xscale="log", xlabel="strength alpha of the penalty", ylabel="cross-validated log-loss")
ax.legend(title="degree, interaction penalty")
plt.show()

# %%
# What the average says of one column, averaged exactly over all others.
display = MarginalEffectDisplay.from_estimator(search, X, "bill_depth_mm")
display.ax_.set_title("bill depth, everything else averaged")
plt.show()
