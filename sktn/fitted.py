"""Fitting is a transaction: what a fit found becomes visible in one step, or not at all."""

from copy import copy


def commit(estimator, found):
    """Replace everything that an earlier fit left on an estimator by what this one found.

    All attributes that end with an underscore go, then those of `found` come, in one assignment: an
    interrupted or refused fit, which does not get here, leaves the estimator as it was, and nothing
    stale survives one that succeeds.

    estimator : object with `get_params`; found : dict of str to object -> estimator
    """
    old = fitted_attributes(estimator)
    kept = {name: value for name, value in vars(estimator).items() if name not in old}
    estimator.__dict__ = kept | found
    return estimator


def fitted_attributes(estimator):
    """Everything that a fit left on an estimator: dict of str to object"""
    parameters = estimator.get_params(deep=False)
    return {
        name: value
        for name, value in vars(estimator).items()
        if name.endswith("_") and not name.endswith("__") and name not in parameters
    }


def blank(estimator):
    """A copy to learn on, with the parameters and nothing that a fit left: `commit` its attributes,
    or let the estimator take its `__dict__`, once all is there."""
    model = copy(estimator)
    for name in fitted_attributes(model):
        delattr(model, name)
    return model
