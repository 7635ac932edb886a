"""Files of skops, which hold no code, of every estimator that was fitted to a frame."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io

import sktn

RNG = np.random.default_rng(0)
N = 60
TABLE = pd.DataFrame(
    {
        "size": RNG.normal(size=N),
        "count": pd.array(RNG.integers(9, size=N), dtype="Int64"),
        "good": RNG.random(N) < 0.5,
        "kind": pd.Categorical(RNG.choice(["x", "y", "z"], N)),
        "grade": pd.Categorical(RNG.integers(3, size=N), categories=[2, 0, 1], ordered=True),
        "word": pd.array(RNG.choice(["a", "b"], N), dtype="string"),
    }
)
TABLE.loc[::7, "size"] = np.nan
NUMBERS = TABLE["count"].to_numpy(float) + (TABLE["kind"] == "x")
FAST = {"alpha": 0.1, "degree": 2, "bond_dim": 4, "random_state": 0}
SEARCH = {"bases": [("standard", 1)], "random_state": 0}
ESTIMATORS = [
    sktn.MPSClassifier(**FAST),
    sktn.MPSClassifierCV(**SEARCH),
    sktn.MPSRegressor(**FAST, loss=sktn.losses.Quantile(0.3)),
    sktn.MPSRegressorCV(**SEARCH),
    sktn.TTNClassifier(**FAST),
    sktn.TTNRegressor(**FAST),
    sktn.SMPOAnomalyDetector(random_state=0),
    sktn.MPSDensityEstimator(n_components=1, alpha=0.1, random_state=0),
    sktn.MPSImputer(random_state=0),
]


def restored(model):
    blob = skops.io.dumps(model)
    return skops.io.loads(blob, trusted=skops.io.get_untrusted_types(data=blob))


def answers(model, X):
    """All that a model says of rows, and what it draws."""
    asked = ["predict_proba", "predict_interval", "score_samples", "transform"]
    found = [np.asarray(getattr(model, name)(X)) for name in asked if hasattr(model, name)]
    if hasattr(model, "sample"):
        found.append(model.set_output(transform="pandas").sample(3, random_state=0))
    return found


@pytest.mark.parametrize("model", ESTIMATORS, ids=lambda model: type(model).__name__)
def test_files_without_code_hold_every_estimator_of_frames(model):
    y = np.round(NUMBERS) > 4 if "Classifier" in type(model).__name__ else NUMBERS
    model.fit(TABLE, y)
    for before, after in zip(answers(model, TABLE), answers(restored(model), TABLE), strict=True):
        if isinstance(before, pd.DataFrame):
            pd.testing.assert_frame_equal(after, before)
        else:
            np.testing.assert_array_equal(after, before)


def test_files_without_code_hold_the_levels_of_polars():
    kinds = pl.Series(RNG.choice(["x", "y"], N), dtype=pl.Enum(["y", "x", "none"]))
    frame = pl.DataFrame({"kind": kinds, "size": RNG.normal(size=N)})
    model = sktn.MPSDensityEstimator(n_components=1, alpha=0.1, random_state=0).fit(frame)
    model.set_output(transform="polars")
    assert restored(model).sample(5, random_state=0).equals(model.sample(5, random_state=0))
    assert restored(model).sample(5, random_state=0).schema == frame.schema


def test_files_without_code_hold_decomposers_and_completers():
    X = np.einsum("ir,jr,kr->ijk", *[RNG.normal(size=(n, 2)) for n in (8, 6, 5)])
    for model in sktn.RGTNDecomposer(target_error=0.5, random_state=0), sktn.TTDecomposer(0.5):
        model.fit(X)
        np.testing.assert_array_equal(restored(model).predict(X), model.predict(X))
    holes = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
    filler = sktn.RGTNImputer(n_growths=1, max_steps=1, random_state=0).fit(holes)
    np.testing.assert_array_equal(restored(filler).transform(holes), filler.transform(holes))
    regressor = sktn.RGTNRegressor(random_state=0).fit(X.swapaxes(0, 2), X[0, 0])
    predicted = regressor.predict(X.swapaxes(0, 2))
    np.testing.assert_array_equal(restored(regressor).predict(X.swapaxes(0, 2)), predicted)
    names = TABLE[["kind", "grade"]]
    completer = sktn.RGTNCompleter(max_steps=1, random_state=0).fit(names, NUMBERS)
    np.testing.assert_array_equal(restored(completer).predict(names), completer.predict(names))
