"""The check of links in the built documentation."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "doc"))
from check_links import broken


@pytest.fixture
def site(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.html").write_text('<h1 id="top">B</h1><a href="../a.html">a</a>')
    (tmp_path / "x.png").write_bytes(b"")
    return tmp_path


def page(site, text):
    (site / "a.html").write_text(text)
    return broken(site)


def test_what_is_there_passes(site):
    good = '<p id="p"><a href="sub/b.html#top">b</a><a href="#p">p</a><img src="x.png?v=1">'
    assert page(site, good + '<a href="https://example.org/#x">elsewhere</a>') == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('<a href="c.html">c</a>', "c.html is not there"),
        ('<a href="sub/b.html#bottom">b</a>', "has no such anchor"),
        ('<a href="#nowhere">p</a>', "has no such anchor"),
        ('<img src="y.png">', "y.png is not there"),
        ('<script src="https://cdn.example.org/m.js"></script>', "from the network"),
        ('<link rel="stylesheet" href="//fonts.example.org/f.css">', "from the network"),
    ],
)
def test_what_leads_nowhere_is_named(site, text, complaint):
    [found] = page(site, text)
    assert found.startswith("a.html: ")
    assert complaint in found
