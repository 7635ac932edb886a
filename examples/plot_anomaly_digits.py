"""
==============================================
Strange digits, and what makes them strange
==============================================

A detector that has only seen eights should find every other digit strange. Two operators of
:class:`~sktn.SMPOAnomalyDetector` are compared with two detectors of scikit-learn: the closed
form, which needs no training, and the published one, a spaced matrix product operator trained to
keep the norm of eights and to make every other state small. Then the detector says which pixels it
objects to.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import IsolationForest
from sklearn.metrics import RocCurveDisplay
from sklearn.neighbors import LocalOutlierFactor

from sktn import SMPOAnomalyDetector

X, y = load_digits(return_X_y=True)
eights = np.flatnonzero(y == 8)
train = eights[::2]
test = np.setdiff1d(np.arange(len(y)), train)

# %%
# Four detectors, ninety training images
# -------------------------------------------

detectors = {
    "closed form": SMPOAnomalyDetector(random_state=0),
    "trained": SMPOAnomalyDetector(init="identity", max_iter=40, random_state=0),
    "isolation forest": IsolationForest(random_state=0),
    "local outlier factor": LocalOutlierFactor(novelty=True),
}
fig, ax = plt.subplots(figsize=(5, 5))
for name, detector in detectors.items():
    detector.fit(X[train].astype(np.float32))
    scores = detector.score_samples(X[test].astype(np.float32))
    RocCurveDisplay.from_predictions(y[test] == 8, scores, name=name, ax=ax)
ax.set_xscale("log")
ax.set_xlim(5e-4, 1)
ax.set_title("Which of these digits is an eight?")

# %%
# Which pixels make an image strange
# ----------------------------------
#
# ``site_scores`` says by how much the score would rise if a pixel were missing. Red pixels are the
# ones that an eight would not have there, or would have.

detector = detectors["closed form"]
strange = [np.flatnonzero(y == digit)[0] for digit in (8, 1, 3, 9)]
changes = detector.site_scores(X[strange].astype(np.float32))
limit = np.abs(changes).max()
fig, axes = plt.subplots(2, len(strange), figsize=(7, 3.6))
for k, row in enumerate(strange):
    axes[0, k].imshow(X[row].reshape(8, 8), cmap="gray_r")
    axes[1, k].imshow(changes[k].reshape(8, 8), cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes[0, k].set_title(f"a {y[row]}")
for ax in axes.ravel():
    ax.set_axis_off()
plt.show()
