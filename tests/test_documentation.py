"""Every estimator's HTML representation links to its own page, and the page is listed."""

import re
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils import estimator_html_repr

import sktn

PAGES = (Path(__file__).parents[1] / "doc" / "api").glob("*.rst")
API = "\n".join(page.read_text() for page in PAGES)
SOLVERS = {"RGSearch"}
ESTIMATORS = sorted(
    name
    for name in sktn.__all__
    if isinstance(getattr(sktn, name), type)
    and issubclass(getattr(sktn, name), BaseEstimator)
    and name not in SOLVERS
)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_html_links_to_the_page_of_the_estimator(name):
    estimator = getattr(sktn, name)()
    page = f"https://sktn.readthedocs.io/en/stable/generated/sktn.{name}.html"
    assert f'href="{page}"' in estimator_html_repr(estimator)
    assert re.search(rf"^   {name}$", API, re.MULTILINE), "no page of doc/api lists it"
