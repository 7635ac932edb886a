"""Fitting is a transaction: what a fit found becomes visible in one step, or not at all."""

from copy import copy

import numpy as np
from sklearn.base import BaseEstimator, clone


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


def settled(estimator, live):
    """The parameters that the first of several fits has used up, as they are now: all but those
    that later ones read anew, `live`. -> dict of str to object"""
    given = estimator.get_params(deep=False)
    return {name: clone(given[name], safe=False) for name in given if name not in live}


def refuse_changes(estimator, settled):
    """What `partial_fit` would pass over in silence is refused by name."""
    for name, old in settled.items():
        new = getattr(estimator, name)
        if not _alike(old, new):
            raise ValueError(
                f"{name} was {old!r} when {type(estimator).__name__} was fitted and is {new!r} "
                f"now: partial_fit goes on with what was fitted. Call fit to begin anew, or "
                f"set_params({name}=...) to what it was."
            )


def _alike(old, new):
    if isinstance(old, BaseEstimator):
        names = old.get_params(deep=False)
        return type(old) is type(new) and all(
            _alike(getattr(old, name), getattr(new, name)) for name in names
        )
    if old is new:
        return True
    if np.ndim(old) or np.ndim(new):
        return np.array_equal(np.asarray(old), np.asarray(new))
    return bool(old == new)
