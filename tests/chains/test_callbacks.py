"""scikit-learn's callbacks and metadata routing: what a fit tells, and what reaches a splitter."""

import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GroupKFold, cross_val_score

from sktn import MPSClassifier, MPSClassifierCV, MPSRegressorCV
from sktn.chains.solvers import Adam

GRID = {
    "bases": [("quantile", 2), ("standard", 1)],
    "alphas": [1.0, 0.1],
    "interaction_penalties": [1.0],
    "smoothnesses": [1.0],
    "relevances": ["equal"],
    "cv": 2,
    "random_state": 0,
}


class Notes:
    """An auto-propagated callback that writes down the tasks it is told of."""

    max_propagation_depth = None

    def __init__(self, stop_at=None):
        self.stop_at, self.begun, self.ended = stop_at, [], []
        self.n_set_up = self.n_torn_down = 0

    def setup(self, estimator, context):
        self.n_set_up += 1

    def teardown(self, estimator, context):
        self.n_torn_down += 1

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(context.task_name)

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.ended.append(context.task_name)
        if context.parent is None:
            self.fitted = fitted_estimator
        return context.task_name == self.stop_at


@pytest.fixture
def table(rng):
    X = rng.normal(size=(60, 3))
    return X, (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)


@pytest.mark.parametrize("Model", [MPSClassifierCV, MPSRegressorCV])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_search_tells_of_itself_and_its_members(table, Model, n_jobs):
    notes = Notes()
    model = Model(bond_dims=(2, 4), n_jobs=n_jobs, **GRID).set_callbacks(notes).fit(*table)
    assert notes.begun[:2] == ["fit", "search"]
    assert sorted(notes.begun) == sorted(notes.ended)
    # A member's own fit is the task of the search.
    assert notes.begun.count("fit") == 1 + len(model.estimators_)
    assert notes.ended[-1] == "fit"
    assert (notes.n_set_up, notes.n_torn_down) == (1, 1)
    np.testing.assert_array_equal(notes.fitted.predict(table[0]), model.predict(table[0]))
    for fitted in (model, *model.estimators_):
        assert not [name for name in vars(fitted) if "callback_" in name and "ctx" in name]
    quiet = Model(bond_dims=(2, 4), **GRID).fit(*table)
    np.testing.assert_array_equal(model.predict(table[0]), quiet.predict(table[0]))


def test_a_callback_ends_a_search(table):
    """After its stage of designs the best member is fitted, and no other."""
    model = MPSClassifierCV(**GRID).set_callbacks(Notes(stop_at="search")).fit(*table)
    assert len(model.estimators_) == 1
    assert model.score(*table) > 0.5


def test_a_refused_search_tears_its_callbacks_down(table):
    notes = Notes()
    with pytest.raises(ValueError, match="alphas is empty"):
        MPSClassifierCV(**{**GRID, "alphas": []}).set_callbacks(notes).fit(*table)
    assert notes.n_set_up == notes.n_torn_down


def test_a_callback_ends_the_epochs_of_a_chain():
    # The rows of a chunk in test_classification.py, whose program serves here.
    table = tuple(part[::3] for part in load_iris(return_X_y=True))
    notes = Notes(stop_at="epoch")
    solver = Adam(max_iter=5, n_iter_no_change=None, batch_size=25)
    model = MPSClassifier(alpha=0.1, bond_dim=4, degree=3, solver=solver, random_state=0)
    model.set_callbacks(notes).fit(*table)
    assert model.n_iter_ == 1
    assert notes.ended == ["epoch", "fit"]
    np.testing.assert_array_equal(notes.fitted.predict(table[0]), model.predict(table[0]))


def test_a_fitted_search_with_callbacks_is_pickled_and_cloned(table):
    model = MPSClassifierCV(**GRID).set_callbacks(Notes()).fit(*table)
    same = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(same.predict_proba(table[0]), model.predict_proba(table[0]))
    assert not hasattr(clone(model), "estimators_")


@pytest.mark.parametrize("Model", [MPSClassifierCV, MPSRegressorCV])
def test_groups_reach_the_splitter(table, Model):
    """Directly, and through a search over it where metadata are routed."""
    groups = np.arange(60) // 6
    grid = {**GRID, "cv": GroupKFold(3)}
    direct = Model(**grid).fit(*table, groups=groups)
    parts = list(GroupKFold(3).split(*table, groups))
    given = Model(**{**grid, "cv": parts}).fit(*table)
    np.testing.assert_array_equal(direct.predict(table[0]), given.predict(table[0]))
    with pytest.raises(ValueError, match="groups"):
        Model(**grid).fit(*table)
    with sklearn.config_context(enable_metadata_routing=True):
        told = {"groups": groups}
        scores = cross_val_score(Model(**grid), *table, params=told, cv=GroupKFold(2))
        assert np.isfinite(scores).all()
        routes = Model(**grid).get_metadata_routing().consumes("fit", ["groups", "sample_weight"])
        assert routes == {"groups"}


def test_parts_of_another_table_are_refused(table):
    parts = [(np.arange(40), np.arange(40, 80)), (np.arange(40, 80), np.arange(40))]
    with pytest.raises(ValueError, match="another table"):
        MPSClassifierCV(**{**GRID, "cv": parts}).fit(*table)
