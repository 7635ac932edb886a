"""Where an estimator is documented: its HTML representation links there."""


class DocLinks:
    """Estimators whose page is that of their public name, whatever module they are defined in."""

    _doc_link_module = "sktn"
    _doc_link_template = (
        "https://sktn.readthedocs.io/en/stable/generated/sktn.{estimator_name}.html"
    )
