"""The report in one file: complete, self-contained, right for every kind of model."""

import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktn import MPSClassifier, MPSRegressor, TTNRegressor
from sktn.display import report

mpl.use("Agg")
SECTIONS = ["Summary", "Calibration", "Importances", "Effects", "Interactions", "Three rows"]


class Page(HTMLParser):
    """Headings, pictures and open elements of a page; what would be loaded from elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.headings, self.images, self.loaded, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "img":
            self.images.append(attrs)
        elif tag not in ("meta", "br"):
            self.open.append(tag)
        assert tag not in ("script", "link", "iframe")
        self.loaded += [v for k, v in attrs.items() if k in ("src", "href") and v[:5] != "data:"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def frame():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    X["sex"] = X["sex"].map(lambda v: "<f>" if v > 0 else "m").astype("category")
    return X, y


def models():
    X, y = frame()
    yield "regression", MPSRegressor(degree=2, random_state=0), X, y
    pipeline = make_pipeline(StandardScaler(), MPSRegressor(degree=2, random_state=0))
    yield "pipeline", pipeline, X.drop(columns="sex"), y
    yield "two classes", MPSClassifier(alpha=0.1, degree=2, random_state=0), X, y > 140
    yield "tree", TTNRegressor(degree=2, bond_dim=4, topology="halves", random_state=0), X, y
    X, y = load_iris(return_X_y=True)
    yield "three classes", MPSClassifier(degree=2, random_state=0), X, np.array(list("abc"))[y]


@pytest.mark.parametrize(("kind", "model", "X", "y"), list(models()), ids=lambda v: str(v)[:9])
def test_a_page_has_all_its_parts_and_needs_no_other_file(tmp_path, kind, model, X, y):
    model.fit(X[::3], y[::3])
    path = report(model, X[1::6], y[1::6], max_features=2).save(tmp_path / "page.html")
    page = Page(path.read_text(encoding="utf-8"))
    assert page.headings == SECTIONS
    assert not page.open
    assert not page.loaded
    # Calibration, shares, effects, three rows; pairs where there are some.
    assert len(page.images) >= 1 + 1 + 2 + 3
    for image in page.images:
        picture = base64.b64decode(image["src"].split("base64,")[1])
        svg = ElementTree.fromstring(picture)
        assert svg.tag.endswith("svg")
        assert not re.findall(rb'(?:href|src)="(?!#|data:)', picture)
        assert image["alt"]
    assert not plt.get_fignums()


def test_names_are_escaped_and_the_title_is_the_users():
    X, y = frame()
    X = X.rename(columns={"bmi": "<b>bmi & more</b>"})
    X, y = X[::6], y[::6]
    model = MPSRegressor(degree=1, random_state=0).fit(X, y)
    found = report(model, X, y, max_features=1, title="a <title>")
    assert "<b>bmi" not in found.html
    assert "&lt;b&gt;bmi &amp; more" in found.html
    assert "<h1>a &lt;title&gt;</h1>" in found.html
    assert ".save('report.html')" in repr(found)
    assert found._repr_html_().startswith("<iframe srcdoc=")


def test_what_has_no_report_is_refused():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=r"sktn\.inspection\.distill"):
        report(RandomForestClassifier(n_estimators=2).fit(X, y), X, y)
    model = MPSRegressor(degree=1, random_state=0).fit(X, np.stack([y, y], axis=1))
    with pytest.raises(ValueError, match="one target"):
        report(model, X, np.stack([y, y], axis=1))


def test_rows_and_targets_must_be_as_many():
    X, y = load_iris(return_X_y=True)
    model = MPSClassifier(degree=2, alpha=0.1, solver="convex").fit(X, y)
    with pytest.raises(ValueError, match=r"numbers of samples: \[150, 5\]"):
        report(model, X, y[:5])
