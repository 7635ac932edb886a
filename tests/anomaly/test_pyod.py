"""The adapter of the page for PyOD's users."""

from pathlib import Path

import numpy as np
import pytest

from sktn import SMPOAnomalyDetector

PAGE = Path(__file__).parents[2] / "doc" / "coming_from" / "pyod.rst"


def adapter():
    lines = PAGE.read_text().splitlines()
    code = lines[lines.index(".. code-block:: python") + 1 :]
    found = {}
    exec("\n".join(line[3:] for line in code), found)
    return found["SMPO"]


@pytest.mark.filterwarnings("ignore")
def test_the_adapter_on_the_page_keeps_the_conventions_of_pyod(rng):
    pytest.importorskip("pyod")
    X = rng.normal(size=(100, 3))
    X[:5] += 8
    detector = adapter()(contamination=0.05, random_state=0).fit(X)
    ours = SMPOAnomalyDetector(random_state=0).fit(X)
    np.testing.assert_array_equal(detector.decision_scores_, -ours.score_samples(X))
    np.testing.assert_array_equal(np.flatnonzero(detector.labels_), np.arange(5))
    np.testing.assert_array_equal(detector.predict(X), detector.labels_)
    assert detector.predict_proba(X).shape == (100, 2)
    assert detector.predict_proba(X)[:5, 1].min() > detector.predict_proba(X)[5:, 1].max()
