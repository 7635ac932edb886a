"""Tables and figures of README.md and doc/, from the result files.

    python benchmarks/make_tables.py           # writes them between their markers
    python benchmarks/make_tables.py --check   # fails where the text is not what the results say

A marker names a function of `_documented.py`, which makes the lines from result files:

    .. table: regression                <!-- table: regression -->
    ...                                 ...
    .. end of table                     <!-- end of table -->

--check also fails where a section with such a table names a model that its results do not have, and
where a table of figures stands outside of markers.
"""

import argparse
import re
from pathlib import Path

import _documented_explanations  # noqa: F401 -- files its tables
import _documented_large  # noqa: F401
import _documented_structures  # noqa: F401
import _documented_studies  # noqa: F401
from _documented import RESULTS, RIVALS, TABLES

ROOT = Path(__file__).parents[1]
MARKERS = {
    ".rst": re.compile(r"(?ms)^(\.\. table: ([^\n]+)\n)(.*?)(^\.\. end of table$)"),
    ".md": re.compile(r"(?ms)^(<!-- table: ([^\n]+) -->\n)(.*?)(^<!-- end of table -->$)"),
}
HEADINGS = {
    ".rst": re.compile(r"(?m)^(?=[^\n ][^\n]*\n(?:={3,}|-{3,}|~{3,})\n)"),
    ".md": re.compile(r"(?m)^(?=#+ )"),
}
# A line of a table with a decimal figure in it.
FIGURES = {
    ".rst": re.compile(r"(?m)^\S.* {2,}\**(?:\d*\.\d+)\b"),
    ".md": re.compile(r"(?m)^\|.*\|\s*\**\d*\.\d+"),
}


def documents(root):
    """README.md and the pages of doc/ that are written by hand."""
    found = [root / "README.md", *sorted((root / "doc").rglob("*.rst"))]
    made = ("_build", "auto_examples", "generated")
    return [path for path in found if not any(part in path.parts for part in made)]


def filled(text, kind):
    """The text with every table as the results have it."""

    def fill(match):
        start, name, _, end = match.groups()
        if name not in TABLES:
            raise SystemExit(f"table {name!r} is not a function of _documented.py")
        return f"{start}\n{TABLES[name](kind).strip()}\n\n{end}"

    return MARKERS[kind].sub(fill, text)


def unmeasured(text, kind):
    """Models that a section with tables names and its results do not have."""
    missing = []
    for section in HEADINGS[kind].split(text):
        names = [match[2] for match in MARKERS[kind].finditer(section)]
        if names:
            measured = set().union(*(RESULTS[name]() for name in names))
            for word, labels in RIVALS.items():
                named = re.search(rf"(?i)(?<!\w){re.escape(word)}(?!\w)", section)
                if named and not measured.intersection(labels):
                    missing.append(f"{word} (in the section of {', '.join(names)})")
    return missing


def loose_figures(text, kind):
    """Lines of tables with figures that no marker encloses."""
    return [match[0] for match in FIGURES[kind].finditer(MARKERS[kind].sub("", text))]


def complaints(root):
    found = []
    for path in documents(root):
        text, kind, name = path.read_text(), path.suffix, path.relative_to(root)
        if filled(text, kind) != text:
            found.append(f"{name}: tables differ from the results; run make_tables.py")
        found += [f"{name}: no results of {rival}" for rival in unmeasured(text, kind)]
        found += [f"{name}: figures without a result file: {x}" for x in loose_figures(text, kind)]
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        raise SystemExit("\n".join(complaints(ROOT)) or 0)
    for path in documents(ROOT):
        text = path.read_text()
        new = filled(text, path.suffix)
        if new != text:
            path.write_text(new)
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
