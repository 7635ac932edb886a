"""Points of the receiver operating curve against counting."""

import numpy as np
import pytest
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer

from sktn.metrics import fpr_at_tpr, tpr_at_fpr


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.95, 1.0])
def test_agrees_with_counting(rng, share):
    y = rng.integers(0, 2, 80)
    scores = (y + rng.normal(size=80)).round(1)
    points = [((scores[y == 0] >= t).mean(), (scores[y == 1] >= t).mean()) for t in scores]
    points.append((0.0, 0.0))
    assert fpr_at_tpr(y, scores, tpr=share) == pytest.approx(
        min(f for f, t in points if t >= share)
    )
    assert tpr_at_fpr(y, scores, fpr=share) == pytest.approx(
        max(t for f, t in points if f <= share)
    )


def test_weights_repeat_rows(rng):
    y, scores = rng.integers(0, 2, 40), rng.normal(size=40)
    weight = rng.integers(1, 4, 40)
    for metric in (fpr_at_tpr, tpr_at_fpr):
        repeated = metric(y.repeat(weight), scores.repeat(weight))
        assert metric(y, scores, sample_weight=weight) == pytest.approx(repeated)


def test_errors():
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        fpr_at_tpr([0, 1], [0, 1], tpr=95)
    with (
        pytest.warns(UndefinedMetricWarning),
        pytest.raises(ValueError, match="one class"),
    ):
        tpr_at_fpr([1, 1], [0, 1], pos_label=1)


def test_as_a_scorer(rng):
    X = rng.normal(size=(60, 2))
    y = X[:, 0] > 0
    model = LogisticRegression().fit(X, y)
    scorer = make_scorer(tpr_at_fpr, response_method="decision_function")
    assert np.isclose(scorer(model, X, y), 1.0, atol=0.1)


def test_the_positive_class_may_be_named(rng):
    y, scores = rng.integers(0, 2, 60), rng.normal(size=60).round(1)
    labels = np.array(["typical", "strange"])[y]
    for metric in (fpr_at_tpr, tpr_at_fpr):
        assert metric(labels, scores, pos_label="strange") == metric(y, scores)
        assert metric(y, scores, pos_label=0) == metric(1 - y, scores)
        assert metric(y, scores, pos_label=0) != metric(y, scores)
