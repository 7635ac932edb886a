"""
Classify a table
================

A matrix product state classifier in a pipeline, tuned by a grid search and compared with
scikit-learn's own models by cross-validation. What counts besides accuracy is whether the
probabilities can be believed: the log-loss says so, and the reliability curve shows it.
"""

# %%
# The table: 569 rows, 30 numeric columns, two classes.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.calibration import CalibrationDisplay
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sktn import MPSClassifier

X, y = load_breast_cancer(return_X_y=True)
folds = StratifiedKFold(5, shuffle=True, random_state=0)

# %%
# A grid search over numbers compiles nothing: the default solver works at unlimited bond dimension,
# where training is a convex problem, and compresses its solution. The columns need no scaling,
# and missing values no imputing, but both may stand in front as in any pipeline.
pipeline = make_pipeline(SimpleImputer(), MPSClassifier(scaling="standard", degree=2))
search = GridSearchCV(
    pipeline,
    {
        "mpsclassifier__interaction_penalty": [1.0, 4.0],
        "mpsclassifier__bond_dim": [4, 16],
    },
    scoring="neg_log_loss",
    cv=StratifiedKFold(3, shuffle=True, random_state=1),
).fit(X, y)
print("Best of the grid:", search.best_params_)
tuned = search.best_estimator_

# %%
# Cross-validated accuracy and log-loss beside models that a practitioner would try.
models = {
    "MPS, defaults": MPSClassifier(random_state=0),
    "MPS, tuned": tuned,
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegression()),
    "SVC": make_pipeline(StandardScaler(), SVC()),
    "random forest": RandomForestClassifier(random_state=0),
    "gradient boosting": HistGradientBoostingClassifier(random_state=0),
}
probabilities, log_losses = {}, {}
print(f"\n{'model':22s} accuracy  log-loss")
for name, model in models.items():
    if name == "SVC":
        # Without probabilities: accuracy only.
        accuracy = np.mean(cross_val_predict(model, X, y, cv=folds) == y)
        print(f"{name:22s} {accuracy:8.4f}         -")
        continue
    proba = cross_val_predict(model, X, y, cv=folds, method="predict_proba")
    probabilities[name] = proba[:, 1]
    log_loss = -np.mean(np.log(np.maximum(proba[np.arange(len(y)), y], 1e-7)))
    log_losses[name] = log_loss
    print(f"{name:22s} {np.mean(proba.argmax(1) == y):8.4f}  {log_loss:8.4f}")

# %%
# Reliability of the probabilities, and the log-losses of the table above.
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for name in ("MPS, defaults", "random forest", "gradient boosting"):
    CalibrationDisplay.from_predictions(
        y, probabilities[name], n_bins=8, strategy="quantile", name=name, ax=left
    )
left.set(xlabel="predicted probability", ylabel="observed share", title="Calibration")
left.legend(loc="upper left")

right.barh(list(log_losses)[::-1], list(log_losses.values())[::-1], color="0.6")
right.set(xlabel="cross-validated log-loss", title="Lower is better")
fig.savefig("classify_breast_cancer.png", dpi=120)
print("\nSaved classify_breast_cancer.png")
plt.show()
