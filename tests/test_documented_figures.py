"""Figures of the docs come from result files, and nobody is named who was not measured."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import _documented as documented
import make_tables

RUN = {"date": "2026-11-01", "commit": "abc", "machine": "x86_64, 2 CPUs"}
COMMAND = "python benchmarks/x.py --data FOLDER --cap 9 --models MPS 'SVC, tuned' --again --folds 3"
PAGE = """\
Title
=====

Regression
----------

.. table: small one

stale

.. end of table

More.
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    rows = [{"model": "LightGBM", "r2": 0.5, "run": 0}, {"model": "ridge", "r2": 0.25, "run": 0}]
    run = {**RUN, "command": COMMAND}
    (tmp_path / "small.json").write_text(json.dumps({"runs": [run], "rows": rows}))
    monkeypatch.setattr(documented, "FOLDER", tmp_path)
    tables, results = {}, {}
    monkeypatch.setattr(documented, "TABLES", tables)
    monkeypatch.setattr(documented, "RESULTS", results)
    monkeypatch.setattr(make_tables, "TABLES", tables)
    monkeypatch.setattr(make_tables, "RESULTS", results)

    @documented.table("small one", "small.json")
    def small(kind, found):
        rows, runs = found
        cells = documented.columns([[row["r2"]] for row in rows], ["{:.2f}"], [False])
        lines = [[row["model"], *cell] for row, cell in zip(rows, cells, strict=True)]
        return documented.page(
            f"Two models ({documented.origin(rows, runs)})",
            documented.code(kind, runs),
            documented.text_table(kind, ["model", "R2"], lines),
        )

    return tmp_path


def docs(root, text):
    (root / "doc").mkdir()
    (root / "doc" / "page.rst").write_text(text)
    (root / "README.md").write_text("# sktn\n")
    return root


def test_a_table_is_made_between_its_markers(small):
    text = make_tables.filled(PAGE, ".rst")
    assert "stale" not in text
    assert text.startswith(PAGE.split(".. table")[0])
    assert text.endswith(".. end of table\n\nMore.\n")
    assert "LightGBM **.50**\nridge    .25\n" in text
    assert "Two models (2026-11-01, commit abc, x86_64, 2 CPUs)" in text
    assert "    python benchmarks/x.py --data FOLDER --cap 9 --folds 3\n" in text
    assert make_tables.filled(text, ".rst") == text


def test_markdown_too(small):
    text = make_tables.filled("<!-- table: small one -->\n<!-- end of table -->\n", ".md")
    assert "| model | R2 |\n| --- | --- |\n| LightGBM | **.50** |\n" in text


def test_the_check_fails_when_a_table_is_not_what_the_results_say(small):
    right = make_tables.filled(PAGE, ".rst")
    root = docs(small, right)
    assert make_tables.complaints(root) == []
    (root / "doc" / "page.rst").write_text(right.replace(".25", ".26"))
    assert "differ from the results" in make_tables.complaints(root)[0]


def test_the_check_fails_when_a_model_is_named_that_was_not_measured(small):
    right = make_tables.filled(PAGE, ".rst")
    root = docs(small, right.replace("More.", "Beside LightGBM and a random forest."))
    [complaint] = make_tables.complaints(root)
    assert "no results of random forest" in complaint


def test_other_sections_may_name_whom_they_like(small):
    right = make_tables.filled(PAGE, ".rst")
    root = docs(small, f"{right}\nPlans\n-----\n\nA random forest.\n")
    assert make_tables.complaints(root) == []


def test_the_check_fails_on_a_table_of_figures_without_markers(small):
    loose = "\n===== ====\nmodel R2\n===== ====\nridge  .25\n===== ====\n"
    root = docs(small, make_tables.filled(PAGE, ".rst") + loose)
    [complaint] = make_tables.complaints(root)
    assert "figures without a result file" in complaint
    (root / "doc" / "page.rst").write_text("none")
    (root / "README.md").write_text("| a | b |\n|---|---|\n| x | 0.5 |\n")
    assert len(make_tables.complaints(root)) == 1


def test_an_unknown_table_is_an_error():
    with pytest.raises(SystemExit, match="'nobody' is not a function"):
        make_tables.filled(".. table: nobody\n\n.. end of table\n", ".rst")
