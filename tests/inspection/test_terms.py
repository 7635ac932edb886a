"""Terms that are taken out of models, against sums over the product of the columns' values."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from enumeration import FAST, conditional_means, enumerated, few_levels
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktn import MPSClassifier, MPSClassifierCV, MPSRegressor
from sktn.inspection import remove_terms, variance_shares


def term(f, rows, shares, subset):
    """What the subset says, less what its subsets do."""
    total = 0
    for k in range(len(subset) + 1):
        for fixed in combinations(subset, k):
            given = conditional_means(f, rows, shares, list(fixed))
            total = total + (-1) ** (len(subset) - k) * given
    return total


@pytest.mark.parametrize(
    "feature_order", ["correlation", [-1, 2, 0, 3, 1, 4], [2, 0, 3, 1, 4, -1]], ids=str
)
def test_a_term_is_what_its_features_do_together(rng, feature_order):
    X, y = few_levels(rng)
    model = MPSRegressor(**FAST, feature_order=feature_order).fit(X, y)
    rows, shares = enumerated(X)
    f = model.predict(rows)
    terms = [(2,), (2, 1), (0, 3, 4)]
    result = remove_terms(model, terms=terms)
    expected = f - sum(term(f, rows, shares, subset) for subset in terms)
    np.testing.assert_allclose(result.model.predict(rows), expected, atol=1e-3 * np.abs(f).max())
    assert result.removed == [("x2",), ("x1", "x2"), ("x0", "x3", "x4")]
    before = variance_shares(model, subsets=terms).subsets
    np.testing.assert_allclose(result.lost_share, before.sum(), rtol=1e-6)
    assert variance_shares(result.model, subsets=terms).subsets.max() < 1e-7
    assert "score" not in result


def test_the_smallest_terms_go_until_a_share_is_lost(rng):
    X = rng.uniform(-1, 1, size=(300, 4))
    y = X[:, 0] + X[:, 1] * X[:, 2] + 0.15 * X[:, 3] + 0.01 * X[:, 0] * X[:, 3]
    model = MPSRegressor(degree=2, alpha=0.01, random_state=0).fit(X, y)
    result = remove_terms(model, max_share=0.005)
    assert 0 < result.lost_share <= 0.005
    kept = {("x0",), ("x3",), ("x1", "x2")}
    assert not kept & set(result.removed)
    assert ("x0", "x3") in result.removed
    more = remove_terms(model, X, y, max_share=0.05)
    assert ("x3",) in more.removed
    assert result.lost_share < more.lost_share <= 0.05
    assert more.score[1] < more.score[0]
    assert remove_terms(model, max_share=0).removed == []


def test_the_share_of_a_weak_term_is_of_what_there_is(rng):
    X = rng.normal(size=(200, 2))
    y = 0.02 * X[:, 0] + rng.normal(size=200)
    model = MPSRegressor(degree=1, alpha=10.0, random_state=0).fit(X, y)
    assert remove_terms(model, terms=[(0,), (1,), (0, 1)]).lost_share == pytest.approx(1)


def test_terms_of_averages_classes_pipelines_and_gaps(rng):
    X, y = load_iris(return_X_y=True)
    X[::9, 1] = np.nan
    frame = pd.DataFrame(X, columns=list("abcd"))
    for model in (
        MPSClassifier(**FAST, n_estimators=2),
        MPSClassifierCV(bases=[("standard", 2), ("quantile", 3)], cv=3, random_state=0),
        make_pipeline(StandardScaler(), MPSClassifier(**FAST)),
    ):
        model.fit(frame, y)
        before = model.predict_proba(frame)
        result = remove_terms(model, frame, y, terms=["a", ("c", "d")])
        assert result.removed == [("a",), ("c", "d")]
        assert 0 < result.lost_share < 0.5
        assert result.score == (model.score(frame, y), result.model.score(frame, y))
        np.testing.assert_array_equal(model.predict_proba(frame), before)
        assert (result.model.predict_proba(frame) != before).any()


def test_constant_columns_have_no_terms(rng):
    X = rng.normal(size=(60, 3))
    X[:, 1] = 1.0
    model = MPSRegressor(degree=2, alpha=0.1, random_state=0).fit(X, X[:, 0] * X[:, 2])
    result = remove_terms(model, terms=[(0, 1), 1])
    assert result.lost_share == 0
    np.testing.assert_array_equal(result.model.predict(X), model.predict(X))
    with pytest.raises(ValueError, match="as it was fitted"):
        result.model.predict_interval(X)


def test_terms_that_are_none_are_refused(rng):
    X = rng.normal(size=(60, 3))
    model = MPSRegressor(degree=1, alpha=0.1).fit(X, X[:, 0])
    for terms, words in (
        ([(0, 1), (1, 0)], "must not repeat"),
        ([()], "at least one feature"),
        ([(0, "no")], "no feature 'no'"),
    ):
        with pytest.raises(ValueError, match=words):
            remove_terms(model, terms=terms)
    with pytest.raises(ValueError, match="max_share"):
        remove_terms(model, max_share=1)
    with pytest.raises(ValueError, match="y needs X"):
        remove_terms(model, y=X[:, 0])
