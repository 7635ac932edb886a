"""Sphinx configuration. The build needs no network."""

import re
import warnings
from pathlib import Path

import sktn

project = "sktn"
author = "the sktn developers"
copyright = f"2026, {author}"
version = release = sktn.__version__

extensions = [
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "data"]
html_static_path = ["_static"]
html_css_files = ["pages.css"]
# A copy of the inventory (of 1.2, whose pages are where they were): the build needs no network.
intersphinx_mapping = {
    "sklearn": (
        "https://scikit-learn.org/stable/",
        str(Path(__file__).parent / "_inventories" / "sklearn.inv"),
    ),
}
# A copy with its fonts: formulas need no network.
mathjax_path = "mathjax/tex-chtml.js"
templates_path = ["_templates"]
# Single backticks are code; cross-references say so (:class:`...`).
default_role = "literal"
# The bibliography may list more than what is cited.
suppress_warnings = ["ref.citation"]

autosummary_generate = True
# Types stand in the docstrings, with their shapes.
autodoc_typehints = "none"
# What scikit-learn documents is not repeated: its pages link to labels that are not here.
autodoc_default_options = {
    "members": True,
    "inherited-members": "BaseEstimator,ClassifierMixin,RegressorMixin,DensityMixin,OutlierMixin,"
    "TransformerMixin,ClassNamePrefixFeaturesOutMixin,CallbackSupportMixin,_SetOutputMixin,"
    "_MetadataRequester",
    "exclude-members": ",".join(
        f"set_{method}_request"
        for method in (
            *("fit", "partial_fit", "predict", "predict_proba"),
            *("transform", "inverse_transform", "score"),
        )
    ),
}
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False


class ByTask:
    """Examples in the order of their tasks, not of their length."""

    tasks = (
        *("classify_breast_cancer", "search_mixed_frame", "generative_classifier"),
        *("regress_intervals", "anomaly_digits", "density_draws", "fill_table"),
        *("explain_model", "interactions", "distill_forest"),
        *("tree_of_columns", "tree_of_images"),
        *("compress_images", "tensor_features", "recover_structure", "fill_video"),
    )

    def __init__(self, folder):
        pass

    def __call__(self, name):
        task = Path(name).stem.removeprefix("plot_")
        return self.tasks.index(task) if task in self.tasks else len(self.tasks)


# sphinx-gallery refuses a folder without examples.
examples = Path(__file__).parent.parent / "examples"
if any(examples.glob("plot_*.py")):
    extensions.append("sphinx_gallery.gen_gallery")
    sphinx_gallery_conf = {
        "examples_dirs": [str(examples)],
        "gallery_dirs": ["auto_examples"],
        "filename_pattern": r"plot_",
        "within_subsection_order": ByTask,
        # What is printed and drawn, not the representation of a last line.
        "capture_repr": (),
        "download_all_examples": False,
        # Pages of the API show the examples that use what they describe.
        "doc_module": ("sktn",),
        "backreferences_dir": "auto_examples/backreferences",
        "show_memory": False,
        # Its page of times takes styles from the network.
        "write_computation_times": False,
        "min_reported_time": 10,
    }
    # Not picklable (the gallery sorts by functions): Sphinx only rebuilds more than it must.
    suppress_warnings.append("config.cache")

html_theme = "pydata_sphinx_theme"
html_title = "sktn"
html_theme_options = {
    "show_toc_level": 2,
    # One line at 1,280 pixels.
    "header_links_before_dropdown": 4,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
}
html_show_sourcelink = False
# Pages that stand alone have no section to navigate.
alone = ("install", "benchmarks", "peers", "glossary", "references")
html_sidebars = {page: [] for page in alone}
# `fit()` instead of `MPSClassifier.fit()`, which the sidebar cuts off.
toc_object_entries_show_parents = "hide"

warnings.filterwarnings("ignore", message=".*non-interactive.*", category=UserWarning)


def escape_markup(app, what, name, obj, options, lines):
    """`shape (n_iter_,)` is a shape, not a link, and |psi(x)| a number, not a substitution."""
    for k, line in enumerate(lines):
        # Every second part is a literal.
        parts = line.split("``")
        parts[::2] = [re.sub(r"(?<=\w)_(?=[,)])|\|", r"\\\g<0>", part) for part in parts[::2]]
        lines[k] = "``".join(parts)


def setup(app):
    # Before numpydoc, which reads the lines.
    app.connect("autodoc-process-docstring", escape_markup, priority=400)
