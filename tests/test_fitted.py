"""What a fit leaves behind."""

from sklearn.base import BaseEstimator

from sktn.fitted import blank, commit


class Model(BaseEstimator):
    def __init__(self, size=1, odd_=2):
        self.size, self.odd_ = size, odd_


def test_a_commit_replaces_what_was_fitted_and_nothing_else():
    model = Model(3)
    model._private = 1
    commit(model, {"coef_": 1, "old_": 2, "_n_features_out": 4})
    assert commit(model, {"coef_": 5}) is model
    assert vars(model) == {"size": 3, "odd_": 2, "_private": 1, "coef_": 5, "_n_features_out": 4}


def test_a_blank_copy_has_the_parameters_and_nothing_that_a_fit_left():
    model = commit(Model(3), {"coef_": 1})
    assert vars(blank(model)) == {"size": 3, "odd_": 2}
    assert model.coef_ == 1
