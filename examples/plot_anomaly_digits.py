"""
==============================================
Strange digits, and what makes them strange
==============================================

A detector that has only seen eights should find every other digit strange. Two operators of
:class:`~sktn.SMPOAnomalyDetector` are compared with four models of scikit-learn: the closed form,
which needs no training, and the published one, a spaced matrix product operator trained to keep the
norm of eights and to make every other state small. Then the detector says which pixels it objects
to.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import IsolationForest
from sklearn.metrics import RocCurveDisplay
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from sklearn.svm import OneClassSVM

from sktn import SMPOAnomalyDetector

X, y = load_digits(return_X_y=True)
eights = np.flatnonzero(y == 8)
train = eights[::2]
test = np.setdiff1d(np.arange(len(y)), train)

# %%
# Six detectors, 87 training images
# ---------------------------------
#
# The horizontal axis is logarithmic, since a detector is used where false alarms are few.

detectors = {
    "closed form": SMPOAnomalyDetector(random_state=0),
    "trained": SMPOAnomalyDetector(operator="trained", random_state=0),
    "isolation forest": IsolationForest(random_state=0),
    "local outlier factor": LocalOutlierFactor(novelty=True),
    "one-class SVM": OneClassSVM(),
    "kernel density": KernelDensity(bandwidth=10),
}
fig, ax = plt.subplots(figsize=(6, 4.5), layout="constrained")
for name, detector in detectors.items():
    detector.fit(X[train].astype(np.float32))
    strangeness = -detector.score_samples(X[test].astype(np.float32))
    RocCurveDisplay.from_predictions(y[test] != 8, strangeness, name=name, ax=ax)
ax.set(
    xscale="log",
    xlim=(1e-2, 1),
    aspect="auto",
    title="Which of these digits is not an eight?",
    xlabel="Share of the eights that raise an alarm",
    ylabel="Share of the other digits found",
)

# %%
# Which pixels make an image strange
# ----------------------------------
#
# ``feature_contributions`` says by how much the score would rise if a pixel were missing. Red
# pixels are not what they should be in an eight, given the others.

detector = detectors["closed form"]
strange = [test[y[test] == digit][0] for digit in (8, 1, 3, 9)]
changes = detector.feature_contributions(X[strange].astype(np.float32)).values
limit = np.abs(changes).max()
fig, axes = plt.subplots(2, len(strange), figsize=(7, 3.6), layout="constrained")
for k, row in enumerate(strange):
    axes[0, k].imshow(X[row].reshape(8, 8), cmap="gray_r")
    image = axes[1, k].imshow(changes[k].reshape(8, 8), cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes[0, k].set_title(f"a {y[row]}")
for ax in axes.ravel():
    ax.set_axis_off()
fig.colorbar(image, ax=axes[1], label="rise of the score\nwithout the pixel")
plt.show()
