"""Fitting is a transaction: what a fit found becomes visible in one step, or not at all."""


def commit(estimator, found):
    """Replace everything that an earlier fit left on an estimator by what this one found.

    All attributes that end with an underscore go, then those of `found` come, in one assignment: an
    interrupted or refused fit, which does not get here, leaves the estimator as it was, and nothing
    stale survives one that succeeds.

    estimator : object with `get_params`; found : dict of str to object -> estimator
    """
    parameters = estimator.get_params(deep=False)
    kept = {
        name: value
        for name, value in vars(estimator).items()
        if name in parameters or not name.endswith("_")
    }
    estimator.__dict__ = kept | found
    return estimator
