"""Tree estimators: what their parameters do, and what they are compared with."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.cluster.hierarchy import linkage
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from sktn import MPSClassifier, MPSRegressor, TTNClassifier, TTNRegressor, grid_topology
from sktn.losses import Quantile
from sktn.networks.tree import below

FAST = {"bond_dim": 4, "degree": 2, "alpha": 0.1, "random_state": 0}


def sites_of(model):
    return {tuple(part) for part in below(model.merges_, model.network_.n_sites)}


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return X[::3, :6], y[::3]


@pytest.mark.parametrize("params", [{"bond_dim": 3}, {"bond_dim": 3, "alpha": "auto"}])
def test_a_tree_in_the_shape_of_a_chain_is_the_chain(cancer, params):
    X, y = cancer
    tree = TTNClassifier(**{**FAST, **params}, topology="chain").fit(X, y)
    chain = MPSClassifier(**{**FAST, **params}).fit(X, y)
    np.testing.assert_allclose(tree.predict_proba(X), chain.predict_proba(X), atol=1e-12)
    assert tree.alpha_ == chain.alpha_
    assert tree.bond_dims_.max() <= 3
    start = TTNClassifier(**{**FAST, **params}, topology="chain", max_iter=0).fit(X, y)
    limit = MPSClassifier(**{**FAST, **params}, solver="convex").fit(X, y)
    np.testing.assert_allclose(start.predict_proba(X), limit.predict_proba(X), atol=1e-12)


@pytest.mark.parametrize("n", [1, 2])
def test_one_column_or_two_have_one_tree(cancer, n):
    X, y = cancer
    tree, chain = (kind(**FAST).fit(X[:, :n], y) for kind in (TTNClassifier, MPSClassifier))
    np.testing.assert_allclose(
        tree.predict_proba(X[:, :n]), chain.predict_proba(X[:, :n]), atol=1e-12
    )


def test_regression_is_that_of_the_chain_where_the_bond_dimension_is_enough():
    X, y = load_diabetes(return_X_y=True)
    X, y = X[:150, :4], y[:150]
    tree = TTNRegressor(**{**FAST, "bond_dim": 40}).fit(X, y)
    chain = MPSRegressor(**{**FAST, "bond_dim": 40}).fit(X, y)
    np.testing.assert_allclose(tree.predict(X), chain.predict(X), rtol=2e-3)


def test_sweeps_lower_the_loss(cancer):
    X, y = cancer
    start = TTNClassifier(**{**FAST, "bond_dim": 2, "alpha": 1e-3}, max_iter=0).fit(X, y)
    swept = TTNClassifier(**{**FAST, "bond_dim": 2, "alpha": 1e-3}).fit(X, y)
    assert swept.n_iter_ > start.n_iter_
    assert swept.loss_curve_[-1] < start.loss_curve_[-1]
    assert len(swept.loss_curve_) == swept.n_iter_


@pytest.mark.parametrize(
    ("topology", "sizes"),
    [("chain", [2, 2, 3, 3, 4, 4, 8]), ("halves", [2, 2, 2, 2, 4, 4, 8]), ("found", None)],
)
def test_topologies_by_name(topology, sizes):
    X, y = load_breast_cancer(return_X_y=True)
    X, y = X[::3, :8], y[::3]
    model = TTNClassifier(**FAST, topology=topology, max_iter=0).fit(X, y)
    found = sorted(len(part) for part in sites_of(model) if len(part) > 1)
    assert found == sizes if sizes else found[-1] == 8
    assert model.score(X, y) > 0.9


def test_columns_that_interact_are_joined_first(rng):
    """No correlation shows it."""
    X = rng.uniform(-1, 1, size=(250, 6))
    y = sum(np.sin(3 * X[:, i] * X[:, i + 3]) for i in range(3))
    model = TTNRegressor(**{**FAST, "degree": 3}, topology="found", max_iter=0).fit(X, y)
    assert {(i, i + 3) for i in range(3)} <= sites_of(model)


def test_auto_takes_the_chain_where_nothing_is_held_out(cancer):
    X, y = cancer
    model = TTNClassifier(**FAST, time_limit=1e-9).fit(X, y)
    chain = TTNClassifier(**FAST, topology="chain").fit(X, y)
    np.testing.assert_array_equal(model.merges_, chain.merges_)


def test_auto_takes_the_tree_that_tells_other_rows_better(rng):
    """Pairs of far columns interact: neither the order of the columns nor correlations show it."""
    X = rng.uniform(-1, 1, size=(250, 6))
    y = sum(np.sin(3 * X[:, i] * X[:, i + 3]) for i in range(3))
    params = {"bond_dim": 3, "degree": 3, "alpha": 1e-3, "random_state": 0}
    model = TTNRegressor(**params).fit(X, y)
    assert {(i, i + 3) for i in range(3)} <= sites_of(model)
    chain = MPSRegressor(**params).fit(X, y)
    assert model.truncation_error_ < chain.truncation_error_
    assert model.loss_curve_[-1] < chain.loss_curve_[-1]


def test_truncation_error_is_the_share_that_a_tree_cannot_carry(cancer):
    X, y = cancer
    errors = [TTNClassifier(**{**FAST, "bond_dim": D}).fit(X, y).truncation_error_ for D in (2, 40)]
    assert 1 > errors[0] > 1e-4 > errors[1]


def test_topologies_that_are_given(cancer):
    X, y = cancer
    names = list("abcdef")
    frame = pd.DataFrame(X, columns=names)
    nested = ((("a", "b"), "c"), ("d", ("e", "f")))
    model = TTNClassifier(**FAST, topology=nested, max_iter=0).fit(frame, y)
    assert {(0, 1), (0, 1, 2), (4, 5), (3, 4, 5)} <= sites_of(model)
    by_number = TTNClassifier(**FAST, topology=(((0, 1), 2), (3, (4, 5))), max_iter=0).fit(X, y)
    np.testing.assert_allclose(by_number.predict_proba(X), model.predict_proba(frame))
    Z = linkage(X.T)
    model = TTNClassifier(**FAST, topology=Z, max_iter=0).fit(X, y)
    np.testing.assert_array_equal(model.merges_, Z[:, :2])


def test_columns_without_a_site_drop_out_of_a_given_tree(cancer):
    X, y = cancer
    X = X.copy()
    X[:, 1] = 3.0
    model = TTNClassifier(**FAST, topology=((0, 1), (2, (3, 4)), 5), max_iter=0).fit(X, y)
    # Sites are the columns 0, 2, 3, 4, 5.
    assert {(2, 3), (1, 2, 3), (0, 1, 2, 3)} <= sites_of(model)


@pytest.mark.parametrize(
    "topology", [((0, 1), 2), (0, 1, 2, 3, 4, 4), np.zeros((3, 4)), (0, 1, 2, 3, 4, 9)]
)
def test_trees_that_do_not_fit_are_refused(cancer, topology):
    with pytest.raises(ValueError, match=r"topology must be one of|out of range"):
        TTNClassifier(**FAST, topology=topology).fit(*cancer)


def test_tensors_are_rows_of_their_entries(rng):
    X = rng.normal(size=(60, 2, 3))
    y = X[:, 0, 0] * X[:, 1, 2]
    flat = X.reshape(60, -1)
    for kind in (TTNRegressor, MPSRegressor):
        model = kind(**FAST).fit(X, y)
        assert model.tensor_shape_ == (2, 3)
        assert model.n_features_in_ == 6
        expected = kind(**FAST).fit(flat, y)
        assert not hasattr(expected, "tensor_shape_")
        np.testing.assert_array_equal(model.predict(flat), model.predict(X))
        np.testing.assert_array_equal(model.predict_interval(flat), model.predict_interval(X))
        with pytest.raises(ValueError, match=r"fitted to tensors of shape \(2, 3\)"):
            model.predict(X.swapaxes(1, 2))
        with pytest.raises(ValueError, match="fitted to a table"):
            expected.predict(X)
        assert not hasattr(model.fit(flat, y), "tensor_shape_")


def test_the_axes_of_tensors_make_a_tree(rng):
    X, y = rng.normal(size=(20, 2, 3)), np.arange(20) % 2
    model = TTNClassifier(**FAST, topology="grid").fit(X, y)
    assert {(0, 1, 3, 4), (2, 5)} <= sites_of(model)
    same = TTNClassifier(**FAST, topology=grid_topology(X.shape[1:])).fit(X.reshape(20, -1), y)
    np.testing.assert_array_equal(model.predict_proba(X), same.predict_proba(X.reshape(20, -1)))
    X[:, 0, 2] = 1.0  # without a site
    assert {(0, 1, 2, 3)} <= sites_of(TTNClassifier(**FAST, topology="grid").fit(X, y))
    with pytest.raises(ValueError, match="grid_topology"):
        TTNClassifier(topology="grid").fit(X.reshape(20, -1), y)


def test_auto_tries_the_axes_of_tensors(rng, capsys):
    X = rng.normal(size=(80, 2, 2))
    TTNRegressor(**FAST, verbose=1).fit(X, X[:, 0, 0] * X[:, 1, 1])
    assert "grid" in capsys.readouterr().out


def test_pickles_and_clones(cancer):
    X, y = cancer
    y = y + (X[:, 0] > np.median(X[:, 0]))  # three classes
    model = TTNClassifier(**FAST, topology=(((0, 1), 2), (3, (4, 5)))).fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    # A pickle brings arrays in the order of their axes; sums in another order differ by rounding.
    network = model.network_
    assert all(a.flags.c_contiguous for a in (network.readout, *network.leaves, *network.cores))
    again = clone(model).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_categories_and_gaps(rng):
    n = 200
    level = rng.choice(["low", "mid", "high"], n)
    frame = pd.DataFrame({"level": pd.Categorical(level), "x": rng.normal(size=n), "z": 1.0})
    y = (level == "high") ^ (frame["x"] > 0)
    frame.loc[::9, "x"] = np.nan
    model = TTNClassifier(**{**FAST, "alpha": 0.01}).fit(frame, y)
    assert model.score(frame, y) > 0.85
    assert np.isfinite(model.predict_proba(frame.assign(level=np.nan))).all()


def test_class_weights_and_sample_weights_are_repetitions(cancer):
    X, y = cancer
    weight = 1 + np.arange(len(y)) % 2
    options = {**FAST, "max_iter": 0, "topology": "halves"}
    weighted = TTNClassifier(**options).fit(X, y, sample_weight=weight)
    repeated = TTNClassifier(**options).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-5)
    heavy = TTNClassifier(**options, class_weight={0: 10.0, 1: 1.0}).fit(X, y)
    assert heavy.predict_proba(X)[:, 0].mean() > weighted.predict_proba(X)[:, 0].mean()


def test_the_learned_representation_gives_the_scores(cancer):
    X, y = cancer
    model = TTNClassifier(**FAST).fit(X, y)
    l, _, r = model.network_.readout.shape
    V = model.transform(X)
    assert V.shape == (len(X), l + r)
    scores = np.einsum("bl,lcr,br->bc", V[:, :l], model.network_.readout, V[:, l:])
    np.testing.assert_allclose(scores[:, 0], model.decision_function(X), rtol=1e-6)
    assert list(model.get_feature_names_out()[:1]) == ["ttnclassifier0"]


def test_several_targets_and_losses():
    X, y = load_diabetes(return_X_y=True)
    X, y = X[:120, :3], y[:120]
    both = TTNRegressor(**FAST).fit(X, np.column_stack([y, -y]))
    assert both.predict(X).shape == (120, 2)
    low = TTNRegressor(**FAST, loss=Quantile(0.1)).fit(X, y).predict(X)
    assert (low < TTNRegressor(**FAST, loss="absolute_error").fit(X, y).predict(X)).mean() > 0.9
    assert (TTNRegressor(**FAST, loss="poisson").fit(X, y).predict(X) > 0).all()


@pytest.mark.slow
def test_intervals_of_the_regressor():
    X, y = load_diabetes(return_X_y=True)
    model = TTNRegressor(**FAST).fit(X[:200], y[:200])
    low, high = model.predict_interval(X[200:], coverage=0.8).T
    assert 0.7 < ((low <= y[200:]) & (y[200:] <= high)).mean() < 0.9


def test_three_classes_by_default():
    X, y = load_iris(return_X_y=True)
    model = TTNClassifier(random_state=0).fit(X, y)
    assert model.predict_proba(X).shape == (150, 3)
    assert model.score(X, y) > 0.95


def test_a_time_limit_leaves_a_model(cancer):
    X, y = cancer
    model = TTNClassifier(time_limit=1e-6, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.8


def test_constant_tables_have_a_model():
    model = TTNClassifier(alpha=1.0).fit(np.ones((4, 2)), [0, 1, 0, 1])
    np.testing.assert_allclose(model.predict_proba(np.ones((1, 2))), 0.5)


@pytest.mark.parametrize("params", [{"bond_dim": 0}, {"topology": "ring"}, {"max_iter": -1}])
def test_parameters_out_of_range_are_refused(cancer, params):
    with pytest.raises(ValueError, match="parameter"):
        TTNClassifier(**params).fit(*cancer)


def test_standard_errors_and_novelty_are_those_of_the_chain(cancer):
    X, y = cancer
    tree, chain = (kind(**FAST).fit(X, y) for kind in (TTNClassifier, MPSClassifier))
    (_, found), (_, expected) = (model.predict_proba(X, return_std=True) for model in (tree, chain))
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert np.corrcoef(tree.novelty(X), chain.novelty(X))[0, 1] > 0.99
    assert tree.novelty(X + 10 * X.std(axis=0)).mean() > tree.novelty(X).mean()
