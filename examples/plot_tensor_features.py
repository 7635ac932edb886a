"""
Network codes as features of a classifier
=========================================

A decomposer is a transformer: the codes of samples are their least-squares coefficients on the rest
of the network. In a pipeline, the target error is one more parameter to search over.
"""

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktn import RGTNDecomposer

X, y = load_digits(return_X_y=True)
X, y = X[:300] / 16.0, y[:300]

pipeline = make_pipeline(
    RGTNDecomposer(tensor_shape=(8, 8), random_state=0),
    StandardScaler(),
    LogisticRegression(max_iter=1000),
)
search = GridSearchCV(pipeline, {"rgtndecomposer__target_error": [0.5, 0.4]}, cv=3)
search.fit(X, y)
for parameters, score in zip(
    search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
):
    print(f"target error {parameters['rgtndecomposer__target_error']}: accuracy {score:.3f}")
