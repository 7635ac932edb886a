"""The search of a grid: a first look, and relevances that held-out rows had no say in."""

import numpy as np
import pytest
from sklearn.model_selection import KFold, LeaveOneOut
from sklearn.utils import check_random_state

from sktn import MPSClassifier, MPSClassifierCV, MPSRegressor, MPSRegressorCV
from sktn.backend import one_blas_thread
from sktn.chains.search import points as search_module
from sktn.chains.search.exploration import Exploration
from sktn.chains.search.grid import grid_of
from sktn.chains.search.points import Search, basis_of
from sktn.chains.selection import clearly_worse, complementary, greedy_average
from sktn.losses import Gamma, SquaredError
from sktn.solvers.problem import Clock
from sktn.tables.reading import table_weight


def planted(rng, n_rows=150, n_columns=4):
    """One column matters, by a curve that no linear term follows."""
    X = rng.normal(size=(n_rows, n_columns))
    return X, np.cos(2 * X[:, 0]) + 0.05 * rng.normal(size=n_rows)


def searched(model, X, y):
    rng, template = check_random_state(0), model._template()
    reading = model._read(X, y, template)
    target = template._make_target(reading.y, table_weight(None, reading.X))
    search = model._search(X, reading, target, None, template, rng)
    for scaling, degree in model.bases:
        search.add_basis(scaling, degree)
    return search


def test_a_look_tells_the_basis_that_fits(rng):
    model = MPSRegressorCV(bases=[("standard", 1), ("quantile", 8)], smoothnesses=[1.0])
    search = searched(model, *planted(rng))
    designs = grid_of(model)[:: len(model.alphas)]
    designs = [point for point in designs if point["relevance"] == "equal"]
    looks = [search.look(point) for point in designs]
    best = int(np.argmin([search.look_loss(look) for look in looks]))
    assert designs[best]["degree"] == 8
    assert search.promising(looks)[0] == best


class Looked(Search):
    """Four rows of equal weight that a first look was at."""

    look_rows = rows = np.arange(4)

    def __init__(self, quadratic):
        self.quadratic, self.target = quadratic, type("Target", (), {"weight": np.ones(4)})


def test_designs_that_are_no_worse_for_sure_are_kept():
    # The third is worse in the mean, by no more than its rows differ; the second in all of them.
    losses = np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.1, 2.0], [0.0, 3.0, 0.5, 1.0]])
    assert Looked(False).promising(np.sqrt(2 * losses)[:, :, None]) == [0, 2]


def test_designs_that_complement_the_best_are_kept_where_errors_are_squared():
    # The second is next to the first; the third worse than both, and wrong elsewhere.
    missed = np.array([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.01], [-1.5, 1.5, -1.5, 1.5]])
    search = Looked(True)
    assert search.promising(missed[:, :, None]) == [0, 2]
    np.testing.assert_allclose(search.look_loss(missed[2][:, None]), 1.125)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_complementary_shares_are_those_of_a_greedy_average(rng, n_outputs):
    missed, weight = rng.normal(size=(5, 30, n_outputs)), rng.random(30)

    def losses(counts, step):
        total = np.einsum("m,mnc->nc", counts, missed)
        return (((total + missed) / step) ** 2).sum(-1) @ weight

    expected, _ = greedy_average(losses, 5)
    np.testing.assert_allclose(complementary(missed, weight), expected)


@pytest.mark.parametrize("looks", [True, False])
def test_relevances_find_the_column_that_matters(rng, monkeypatch, looks):
    monkeypatch.setattr(Search, "look_pays", property(lambda self: looks))
    monkeypatch.setattr(search_module, "_MOST_PROMISING", 2)
    model = MPSRegressorCV(
        bases=[("standard", 3), ("quantile", 8)],
        smoothnesses=[1.0],
        alphas=[1.0, 0.1, 0.01],
        interaction_penalties=[1.0, 4.0],
        bond_dims=[4],
        random_state=0,
    )
    X, y = planted(rng)
    search = searched(model, X, y)
    points, scores, losses, candidates = Exploration(search, model, Clock()).of(grid_of(model))
    for factors in search.factors.values():
        assert factors.shape == (4,)
        assert factors[0] > 10 * factors[1:].max()
    found = {(p["scaling"], p["relevance"]) for p in points}
    assert ("quantile", "auto") in found
    assert len(points) == len(scores) == len(losses)
    # All: four designs with equal relevances and those of two that are better for sure.
    assert len(points) <= 4 * 3 if looks else len(points) in (5 * 3, 6 * 3)
    assert points[int(np.argmin(losses))]["relevance"] == "auto"
    assert set(candidates) <= set(range(len(points)))


@pytest.mark.parametrize("outcome", ["gains", "is no better", "is given up"])
def test_smaller_bonds_of_a_second_design_where_the_first_gains(rng, monkeypatch, outcome):
    """Two designs of each of three bases: the third basis, and the next designs, are asked for
    where the best are better than in the convex limit."""
    model = MPSRegressorCV(
        bases=[("standard", 2), ("quantile", 3), ("mixed", 2)],
        smoothnesses=[1.0],
        alphas=[1.0, 0.1],
        interaction_penalties=[1.0, 4.0],
        relevances=["equal"],
        bond_dims=[2, 9],
    )
    X = rng.normal(size=(60, 3))
    search, asked = searched(model, X, X[:, 0] * X[:, 1]), []
    truth = search.target.loss(np.float32)[1]

    def chain_path(path, limits):
        asked.append((path[0]["scaling"], path[0]["interaction_penalty"], path[0]["bond_dim"]))
        scores = truth if outcome == "gains" else np.zeros_like(truth)
        loss = np.inf if outcome == "is given up" else limits.mean()
        return np.stack([scores] * len(path)), np.full(len(path), loss)

    monkeypatch.setattr(search, "chain_path", chain_path)
    points, scores, losses, candidates = Exploration(search, model, Clock()).of(grid_of(model))
    assert len({scaling for scaling, _, _ in asked}) == (3 if outcome == "gains" else 2)
    assert len(asked) == len(set(asked)) == (6 if outcome == "gains" else 2)
    assert {bond_dim for _, _, bond_dim in asked} == {2}
    assert len(points) == len(scores) == len(losses)
    # What was given up has no scores, and no part in an average.
    assert len(candidates) == 6 + (len(asked) if outcome != "is given up" else 0)


def test_limits_of_folds_are_losses_of_the_rows_in_them(rng):
    model = MPSRegressorCV(bases=[("standard", 1)])
    X = rng.normal(size=(60, 2))
    search = searched(model, X, X[:, 0])
    search.folds = np.where(np.arange(60) < 10, -1, np.arange(60) % 2)
    truth = search.target.loss(np.float32)[1]
    scores = truth + np.where(search.folds == 1, 2.0, 1.0)[:, None]
    np.testing.assert_allclose(search.fold_losses(scores), [0.5, 2.0], rtol=1e-5)


def test_members_make_two_sweeps_unless_an_estimator_says_otherwise(rng):
    X = rng.normal(size=(80, 3))
    y = X[:, 0] * X[:, 1] * X[:, 2]
    given = {"bases": [("standard", 2)], "bond_dims": [2], "max_members": 1, "random_state": 0}
    few = MPSRegressorCV(**given).fit(X, y).estimators_[0]
    estimator = MPSRegressor(solver="sweep")
    many = MPSRegressorCV(estimator=estimator, **given).fit(X, y).estimators_[0]
    # The start, its readout again, two sweeps.
    assert few.n_iter_ < many.n_iter_
    assert few.solver.max_iter == 2


def test_held_out_rows_have_no_say_in_the_relevances_they_are_judged_by(rng):
    """Where the target is noise, relevances are no better than equal ones."""
    model = MPSRegressorCV(
        bases=[("quantile", 8)], smoothnesses=[1.0], interaction_penalties=[1.0], bond_dims=[24]
    )
    X, y = rng.normal(size=(150, 20)), rng.normal(size=150)
    search = searched(model, X, y)
    point = grid_of(model)[-1]
    assert point["relevance"] == "auto"
    nothing = np.zeros((150, 1), np.float32)
    search.find_relevances(point, model.alphas, nothing)
    assert not search.factors
    search.find_relevances(point, model.alphas)
    assert search.factors["quantile", 8].max() > 3
    losses = search.path(point, model.alphas)[1]
    equal = search.path({**point, "relevance": "equal"}, model.alphas)[1]
    assert losses.min() > equal.min() - 0.02


@pytest.mark.parametrize(
    ("quadratic", "n_rows", "n_landmarks", "n_scores", "pays"),
    [
        (True, 300, 500, 1, True),
        (True, 299, 500, 1, False),
        (True, 300, 250, 1, False),
        (False, 400, 500, 5, True),
        (False, 399, 500, 9, False),
        (False, 400, 500, 4, False),
    ],
)
def test_a_look_pays_where_paths_cost_more(quadratic, n_rows, n_landmarks, n_scores, pays):
    search = Search.__new__(Search)
    search.quadratic, search.rows, search.n_scores = quadratic, np.arange(n_rows), n_scores
    search.n_landmarks = n_landmarks
    assert search.look_pays == pays


def test_members_have_the_relevances_that_all_rows_say(rng):
    X, y = planted(rng)
    model = MPSRegressorCV(
        bases=[("quantile", 4)],
        smoothnesses=[1.0],
        relevances=["auto"],
        bond_dims=[3],
        random_state=0,
    )
    search = searched(model, X, y)
    point = grid_of(model)[0]
    with one_blas_thread():  # as in a fit: searches amplify the order of sums
        search.find_relevances(point, model.alphas)
        mean = search.factors["quantile", 4]
        found = search.refined(point)
    assert found["relevance"].shape == (4,)
    assert not np.allclose(found["relevance"], mean, rtol=1e-3)
    # In units of the prior's variance the same strength; looked for once.
    ratio = search.unit(point, found["relevance"]) / search.unit(point)
    np.testing.assert_allclose(found["alpha"], point["alpha"] * ratio)
    assert search.refined({**point, "alpha": 1.0})["relevance"] is found["relevance"]
    equal = {**point, "relevance": "equal"}
    assert search.refined(equal) is equal
    search.quadratic = False
    assert search.refined(point) is point
    fitted = model.fit(X, y)
    np.testing.assert_allclose(fitted.estimators_[0].relevance, found["relevance"])


def test_few_rows_with_classes_have_no_relevances(rng):
    """A model that was sure of what 100 irises said lost .64 a row on the other 50, others .15."""
    model = MPSClassifierCV(bases=[("quantile", 8)], smoothnesses=[1.0], bond_dims=[24])
    for n_rows in (240, 260):
        X = rng.normal(size=(n_rows, 4))
        search = searched(model, X, (X[:, 0] > 0).astype(int))
        point = next(p for p in grid_of(model) if p["relevance"] == "auto")
        search.find_relevances(point, model.alphas, np.zeros((n_rows, 1), np.float32))
        assert bool(search.factors) == (n_rows > 250)


def test_relevances_are_shrunk_where_that_tells_the_first_share_better(rng, monkeypatch):
    model = MPSClassifierCV(bases=[("quantile", 8)], smoothnesses=[1.0], bond_dims=[24])
    X = rng.normal(size=(260, 4))
    point = next(p for p in grid_of(model) if p["relevance"] == "auto")
    found, basis = {}, basis_of(point)
    for better in (1.0, -1.0):
        # What the first share gains grows, or falls, with how unequal the relevances are.
        monkeypatch.setattr(
            Search,
            "_gain_of_share",
            lambda self, point, factors, *_, better=better: 9 + better * np.log(factors).std(),
        )
        search = searched(model, X, (X[:, 0] > 0).astype(int))
        search.find_relevances(point, model.alphas, np.zeros((260, 1), np.float32))
        found[better] = search
    as_found, shrunk = found[1.0], found[-1.0]
    np.testing.assert_allclose(shrunk.factors[basis] ** 2, as_found.factors[basis])
    for half, whole in zip(shrunk.share_factors[basis], as_found.share_factors[basis], strict=True):
        np.testing.assert_allclose(half**2, whole)
    # Other bases begin with what was found.
    np.testing.assert_array_equal(shrunk.share_variances, as_found.share_variances)


def test_relevances_that_lose_in_the_first_share_are_not_found_for_others(rng, monkeypatch):
    calls, find = [], search_module.few_or_all
    monkeypatch.setattr(
        search_module, "few_or_all", lambda *args, **known: calls.append(1) or find(*args, **known)
    )
    model = MPSClassifierCV(bases=[("quantile", 8)], smoothnesses=[1.0], bond_dims=[24])
    X = rng.normal(size=(260, 4))
    point = next(p for p in grid_of(model) if p["relevance"] == "auto")
    sure = np.where(X[:, :1] > 0, 9, -9).astype(np.float32)
    for rival, n_calls in ((sure, 1), (-sure, 3)):
        calls.clear()
        search = searched(model, X, (X[:, 0] > 0).astype(int))
        search.find_relevances(point, model.alphas, rival)
        assert len(calls) == n_calls
        assert bool(search.factors) == (n_calls == 3)


@pytest.mark.parametrize("looks", [False, True])
def test_where_paths_are_cheap_a_second_basis_waits_for_the_first(rng, monkeypatch, looks):
    asked = []
    monkeypatch.setattr(Search, "find_relevances", lambda self, p, *_: asked.append(basis_of(p)))
    monkeypatch.setattr(Search, "look_pays", looks)
    model = MPSClassifierCV(bases=[("standard", 1), ("quantile", 3)], bond_dims=[24])
    X = rng.normal(size=(60, 3))
    search = searched(model, X, (X[:, 0] > 0).astype(int))
    Exploration(search, model, Clock()).of(grid_of(model))
    assert len(asked) == (2 if looks else 1)


def test_relevances_compete_where_they_are_better_by_a_standard_error():
    class Target:
        weight = np.ones(5)

        def loss(self, dtype):
            return SquaredError(), np.zeros((5, 1))

    class Rows:
        # The last row is held out by no fold.
        folds, rows, target = np.array([0, 0, 1, 1, -1]), np.arange(5), Target()
        gain, decisive = Search.gain, Search.decisive

        def __init__(self, quadratic):
            self.quadratic = quadratic

    def point(scaling, name):
        return {"scaling": scaling, "degree": 1, "name": name}

    losses = np.array([[1.0, 1, 1, 1, 9], [0.8, 0.9, 0.8, 0.9, 0], [0, 2, 0, 1.9, 0]])
    before, *more = np.sqrt(2 * losses)[:, :, None]
    equal = [point("standard", "best"), point("quantile", "worse")]
    equal = equal, np.array([before, np.sqrt(2 * (losses[:1].T + 0.5))]), np.array([1.0, 1.5])
    found = [point("standard", "sure"), point("standard", "by chance")]
    found = found, np.array(more), np.array([0.85, 0.97])
    points, scores, kept = Rows(quadratic=False).decisive(1, equal, found)
    assert [point["name"] for point in points] == ["sure"]
    assert len(scores) == 1
    assert kept == [0.85]
    # Of squared losses every basis has its own.
    other = [point("quantile", "sure")], np.array([before + 1e-3]), np.array([1.01])
    for quadratic in (True, False):
        assert len(Rows(quadratic).decisive(1, equal, other)[0]) == quadratic
    np.testing.assert_allclose(Rows(True).gain(before, more[0]), [0.15, 0.025])


@pytest.mark.parametrize(("n_rows", "most"), [(300, {500}), (1500, {500, 1000})])
def test_relevances_are_found_by_half_of_the_rows_of_a_share(rng, monkeypatch, n_rows, most):
    asked, find = [], search_module.few_or_all

    def limited(*args, max_rows, **known):
        asked.append(max_rows)
        return find(*args, max_rows=300, **known)

    monkeypatch.setattr(search_module, "few_or_all", limited)
    model = MPSRegressorCV(bases=[("quantile", 4)], smoothnesses=[1.0], bond_dims=[24], cv=3)
    search = searched(model, *planted(rng, n_rows))
    point = next(p for p in grid_of(model) if p["relevance"] == "auto")
    search.find_relevances(point, model.alphas)
    assert set(asked) == most  # of two shares, one of one fold, one of two
    # Paths have a quarter of the landmarks that a fit has.
    assert search.n_landmarks == 500


def test_factors_of_a_share_are_those_of_the_other_rows(rng):
    model = MPSRegressorCV(bases=[("quantile", 8)], smoothnesses=[1.0], bond_dims=[24])
    X, y = planted(rng)
    # In the last fold alone another column matters.
    search = searched(model, X, y)
    held_out = search.folds == search.folds.max()
    y[held_out] = np.cos(2 * X[held_out, 1])
    target = model._template()._make_target(y, np.ones(len(y)))
    search.target = target
    point = next(p for p in grid_of(model) if p["relevance"] == "auto")
    search.find_relevances(point, model.alphas)
    first, *_, last = search.share_factors["quantile", 8]
    assert last[1] < 0.2 * first[1]


@pytest.mark.parametrize(
    ("n_rows", "n_folds", "n_columns", "n_shares"),
    [
        (100, 5, 9, 3),
        (499, 5, 9, 3),
        (400, 3, 9, 3),
        (500, 5, 9, 2),
        (900, 3, 9, 2),
        (500, 5, 99, 3),
    ],
)
def test_few_shares_are_enough_where_rows_are_many(n_rows, n_folds, n_columns, n_shares):
    assert search_module._shares(n_rows, n_folds, n_columns) == n_shares


def test_a_search_by_relevances_alone_has_a_result_whatever_the_time(rng):
    X, options = rng.normal(size=(40, 3)), {"relevances": ["auto"], "random_state": 0}
    template = MPSClassifier(solver="convex", time_limit=1e-6)
    model = MPSClassifierCV(bases=[("standard", 1), ("mixed", 3)], estimator=template, **options)
    assert np.isfinite(model.fit(X, X[:, 0] > 0).predict_proba(X)).all()


@pytest.mark.parametrize("cv", [LeaveOneOut(), KFold(3)])
def test_a_search_whose_folds_leave_nothing_to_train_on_says_so(rng, cv):
    X, weight = rng.normal(size=(12, 2)), (np.arange(12) == 5).astype(float)
    model = MPSRegressorCV(bases=[("standard", 1)], relevances=["auto"], cv=cv)
    with pytest.raises(ValueError, match=r"all rows of positive weight \(1\) at once"):
        model.fit(X, X[:, 0], sample_weight=weight)


@pytest.mark.parametrize(
    ("model", "n", "said"),
    [(MPSRegressorCV, 1, "1 sample of"), (MPSClassifierCV, 2, "2 samples of")],
)
def test_rows_of_positive_weight_that_are_too_few_are_counted(rng, model, n, said):
    X, rows = rng.normal(size=(12, 2)), np.arange(12)
    with pytest.raises(ValueError, match=f"distinct rows for cross-validation, of {said} pos"):
        model(bases=[("standard", 1)]).fit(X, rows % 2, sample_weight=(rows < n).astype(float))


def test_a_fold_of_nothing_but_zeros_under_gamma_has_a_prediction(rng):
    X, y = rng.normal(size=(5, 2)), np.array([0.0, 0.0, 0.0, 2.0, 0.0])
    options = {"bases": [("quantile", 2)], "alphas": [1.0, 0.01], "bond_dims": [3]}
    model = MPSRegressorCV(loss=Gamma(), cv=LeaveOneOut(), random_state=0, **options).fit(X, y)
    assert np.isfinite(model.best_score_)
    assert np.isfinite(model.predict(X)).all()


def test_what_diverged_is_no_candidate():
    def losses(counts, step):
        return np.array([np.nan, np.inf, 1.0])

    np.testing.assert_array_equal(greedy_average(losses, 3)[0], [0, 0, 1])
    shares, _ = greedy_average(lambda counts, step: np.full(2, np.nan), 2)
    assert shares.sum() == 1


def test_relevances_that_do_not_gain_for_the_best_bases_are_not_asked_for_others(rng, monkeypatch):
    asked, find = [], Search.find_relevances

    def counted(search, point, *others):
        asked.append(point)
        find(search, point, *others)

    monkeypatch.setattr(Search, "find_relevances", counted)
    bases = [("standard", 1), ("standard", 2), ("quantile", 3), ("quantile", 2)]
    model = MPSRegressorCV(
        bases=bases,
        smoothnesses=[1.0],
        alphas=[1.0, 0.1],
        interaction_penalties=[1.0],
        bond_dims=[4],
    )
    X = rng.normal(size=(120, 4))
    for target, n_bases in ((rng.normal(size=120), 2), (X[:, 0] + np.cos(2 * X[:, 0]), 4)):
        asked.clear()
        search = searched(model, X, target)
        Exploration(search, model, Clock()).of(grid_of(model))
        assert len(asked) == n_bases
    first = [(p["scaling"], p["degree"]) for p in asked]
    assert set(first) == set(bases)


def test_parameters_that_are_searched_give_way_with_a_warning(rng):
    X = rng.normal(size=(40, 2))
    lists = {"bases": [("standard", 1)], "alphas": [0.1], "bond_dims": [2], "max_members": 1}
    model = MPSClassifierCV(
        estimator=MPSClassifier(alpha=5.0, bond_dim=3, max_landmarks=30), **lists
    )
    with pytest.warns(
        UserWarning, match=r"alpha=5\.0, bond_dim=3 of estimator .* alphas, bond_dims\."
    ):
        model.fit(X, X[:, 0] > 0)
    assert model.estimators_[0].max_landmarks == 30


def test_only_three_standard_errors_are_clearly_worse():
    n = 10_000
    others, share = np.zeros(n), np.full(n, 1 / n)
    noise = np.tile([-1.0, 1.0], n // 2)  # a standard error of the mean is 0.01
    assert not clearly_worse(others + noise + 0.029, others, share)
    assert clearly_worse(others + noise + 0.031, others, share)
    assert not clearly_worse(others, others, share)


def test_columns_that_no_share_has_use_for_have_no_sites(rng):
    X = rng.normal(size=(90, 6))
    model = MPSRegressorCV(bases=[("standard", 2)], relevances=["auto"], random_state=0)
    search = searched(model, X, X[:, 1] + X[:, 3])
    point = grid_of(model)[0]
    shares = [np.array([0, 2.0, 0, 1.0, 0, 0]), np.array([0, 0, 0, 3.0, 0, 1.0])]
    search.share_factors["standard", 2] = shares
    search.factors["standard", 2] = np.mean(shares, axis=0)
    problems, _ = search._problems(point)
    assert [problem.n_sites for problem in problems] == [3, 3]
    assert [problem.penalty[:, 1].max() > 1e6 for problem in problems] == [True, True]
    assert search.problem({**point, "relevance": "equal"}).n_sites == 6
    # Where columns are not few, shares say little of each.
    found = search_module._mean_of_shares([np.array([1.0, 4.0]), np.array([1.0, 1.0])])
    np.testing.assert_allclose(found, [1, 2])


def test_other_columns_are_refused_in_the_name_of_the_search(rng):
    X, y = planted(rng, 40)
    model = MPSRegressorCV(bases=[("standard", 1)], relevances=["equal"]).fit(X, y)
    with pytest.raises(ValueError, match="X has 3 features, but MPSRegressorCV is expecting 4"):
        model.predict(X[:, :3])
