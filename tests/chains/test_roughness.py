"""MPSClassifier and MPSRegressor on tables whose columns want a rough prior, each its own."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import log_loss

from sktn import MPSClassifier, MPSClassifierCV, MPSRegressor, TTNRegressor
from sktn.chains import roughness
from sktn.chains.roughness import evidence_rows, may_be_rough
from sktn.chains.solvers import exact
from sktn.chains.target import class_target, real_target
from sktn.inspection import variance_shares
from sktn.losses import SquaredError
from sktn.solvers import convex, convex_chain
from sktn.solvers.problem import Clock

N = 2000


def turning(rng, n):
    """The score turns its sign with the days of the first column, and one column says nothing."""
    X = rng.uniform(size=(n, 3))
    return X, 4 * np.sign(np.sin(2 * np.pi * 12 * X[:, 0])) * (X[:, 1] > 0.4)


def labels(rng, score):
    return (rng.uniform(size=len(score)) < 1 / (1 + np.exp(-score))).astype(int)


@pytest.fixture(scope="module")
def rough():
    rng = np.random.default_rng(0)
    X, score = turning(rng, 2 * N)
    y = labels(rng, score)
    model = MPSClassifier(random_state=0, bond_dim=4, max_landmarks=400).fit(X[:N], y[:N])
    return X, y, model


def test_rough_columns_are_found(rough):
    X, y, model = rough
    given = {"random_state": 0, "bond_dim": 4, "max_landmarks": 400}
    smooth = MPSClassifier(**given, degree=8).fit(X[:N], y[:N])
    losses = [log_loss(y[N:], m.predict_proba(X[N:])) for m in (model, smooth)]
    assert losses[0] < losses[1] - 0.05
    assert model.relevance_[:2].min() > 3 * model.relevance_[2:].max()
    dims = model.basis_.mask.sum(axis=1)
    assert dims[0] > 2 * max(24, dims[2:].max())


def test_what_is_rough_is_explained(rough):
    X, _, model = rough
    shares = variance_shares(model, X)
    assert shares.total[:2].min() > 10 * shares.total[2:].max()


@pytest.mark.slow
def test_numbers_are_rough_as_well():
    rng = np.random.default_rng(1)
    X, score = turning(rng, 2 * N)
    y = score + rng.normal(size=len(score))
    model, smooth = (
        MPSRegressor(random_state=0, bond_dim=4, max_landmarks=400, solver="convex", **given).fit(
            X[:N], y[:N]
        )
        for given in ({}, {"degree": 8})
    )
    assert model.score(X[N:], y[N:]) > smooth.score(X[N:], y[N:]) + 0.05


def test_smooth_tables_get_no_waves_and_relevances_where_these_tell_more():
    rng = np.random.default_rng(2)
    X = rng.uniform(size=(2 * N, 12))
    curves = np.sin(4 * X[:, :3])
    y = labels(rng, 4 * curves[:, 0] * curves[:, 1] + 2 * curves[:, 2])
    given = {"random_state": 0, "bond_dim": 4, "solver": "convex", "max_landmarks": 150}
    found, smooth = (MPSClassifier(**given, **d).fit(X[:N], y[:N]) for d in ({}, {"degree": 8}))
    assert found.basis_.embedding.name == "legendre"
    assert found.relevance_[:3].min() > 2 * found.relevance_[3:].max()
    # What the prior hardly gives any variance is left out.
    dims = found.basis_.mask.sum(axis=1)
    assert dims[:3].min() > dims[3:].max()
    losses = [log_loss(y[N:], m.predict_proba(X[N:])) for m in (found, smooth)]
    assert losses[0] < losses[1] - 0.02


@pytest.mark.parametrize("n_classes", [2, 3])
def test_of_several_classes_few_paths_of_newton_steps_are_asked_for(monkeypatch, n_classes):
    """Priors are compared by ridge regressions; only the powers of the best are by log-loss."""
    rng = np.random.default_rng(6)
    X = rng.uniform(size=(1000, 8))
    score = np.sin(4 * X[:, 0]) + 2 * (X[:, 1] - 0.5) + 0.1 * rng.normal(size=1000)
    y = np.digitize(score, np.quantile(score, np.linspace(0, 1, n_classes + 1)[1:-1]))
    inner, asked = convex.search, []

    def search(designs, problem, *arguments, **more):
        asked.append(problem.loss.log_likelihood)
        return inner(designs, problem, *arguments, **more)

    monkeypatch.setattr(convex, "search", search)
    given = {"random_state": 0, "bond_dim": 2, "solver": "convex", "max_landmarks": 100}
    model = MPSClassifier(**given).fit(X, y)
    assert model.relevance_[:2].min() > 3 * model.relevance_[2:].max()
    assert (sum(asked) == 2) == (n_classes > 2)


def test_no_prior_is_found_where_a_look_does_not_gain(monkeypatch):
    rng = np.random.default_rng(2)
    X = rng.uniform(size=(N, 3))
    y = rng.integers(2, size=N)
    asked = []
    monkeypatch.setattr(roughness, "relevances_from", lambda *_: asked.append(1))
    inner = roughness.parts_of

    def parts_of(table, rows, *arguments, **more):
        asked.append(len(rows))
        return inner(table, rows, *arguments, **more)

    monkeypatch.setattr(roughness, "parts_of", parts_of)
    given = {"random_state": 0, "bond_dim": 2, "solver": "convex", "max_landmarks": 100}
    model = MPSClassifier(**given).fit(X, y)
    assert asked == [400]
    np.testing.assert_array_equal(model.relevance_, 1)


@pytest.mark.parametrize(
    "given", [{"degree": 8}, {"alpha": 0.1}, {"relevance": np.ones(3)}, {"scaling": "standard"}]
)
def test_what_is_given_is_taken(given):
    rng = np.random.default_rng(3)
    X, score = turning(rng, N)
    model = MPSClassifier(random_state=0, bond_dim=2, solver="convex", max_landmarks=100, **given)
    assert model.fit(X, labels(rng, score)).basis_.dim == 9


@pytest.mark.parametrize(
    ("n_rows", "n_columns", "wanted"),
    [
        (2000, 83, True),
        (2000, 84, False),
        (1000, 41, True),
        (1000, 42, False),
        (999, 3, False),
        (50_000, 100, True),
        (1_000_000, 100, True),
    ],
)
def test_rows_must_be_enough_for_the_columns(n_rows, n_columns, wanted):
    problem = SimpleNamespace(weight=np.ones(n_rows), n_sites=n_columns)
    assert may_be_rough(MPSClassifier(), problem) == wanted


def test_few_rows_are_not_looked_at():
    rng = np.random.default_rng(4)
    X, score = turning(rng, 300)
    y = labels(rng, score)
    found, smooth = (
        MPSClassifier(random_state=0, bond_dim=4, **given).fit(X, y)
        for given in ({}, {"degree": 8})
    )
    np.testing.assert_array_equal(found.predict_proba(X), smooth.predict_proba(X))


@pytest.mark.parametrize(("max_landmarks", "steps"), [(50, 1), (51, 0)])
def test_sweeps_take_the_strength_that_a_held_out_fold_wants(monkeypatch, max_landmarks, steps):
    asked = []

    def chain_path(problem, design, inputs, chain, held_out, alphas, rng, warm):
        asked.append((len(held_out) / problem.n_rows, alphas))
        assert warm
        scores = np.zeros((len(held_out), 1), np.float32)
        # The convex limit's own loss ends nothing.
        yield from ((scores, loss, None) for loss in (0.3, 0.5, 0.4, 0.45, 0.3))

    monkeypatch.setattr(convex_chain, "chain_path", chain_path)
    rng = np.random.default_rng(5)
    X, score = turning(rng, 100)
    y = labels(rng, score)
    given = {"bond_dim": 2, "degree": 2, "random_state": 0, "max_landmarks": max_landmarks}
    swept, convex = (MPSClassifier(solver=s, **given).fit(X, y) for s in ("sweep", "convex"))
    np.testing.assert_allclose(swept.alpha_, convex.alpha_ * 10 ** (-0.5 * steps))
    assert len(asked) == steps
    for held_out, alphas in asked:
        assert 0.1 < held_out < 0.5
        assert alphas[0] == convex.alpha_
    MPSClassifier(**given, alpha=0.1).fit(X, y)
    assert len(asked) == steps


@pytest.mark.parametrize(("shares", "clear"), [((0.3, -0.3), False), ((-3.0, -3.0), True)])
def test_chains_are_not_swept_where_that_clearly_harms_rows_held_out(monkeypatch, shares, clear):
    def chain_path(problem, design, inputs, chain, held_out, alphas, rng, warm):
        sign = np.where(problem.target[held_out], 1, -1).astype(np.float32)
        swept = 0.1 + np.resize(np.float32(shares), len(sign))[:, None]
        yield 0.1 * sign, 0.5, None
        yield swept * sign, 0.6, None

    monkeypatch.setattr(convex_chain, "chain_path", chain_path)
    rng = np.random.default_rng(5)
    X, score = turning(rng, 200)
    y = labels(rng, score)
    given = {"bond_dim": 2, "degree": 2, "random_state": 0, "max_landmarks": 40}
    swept, convex = (MPSClassifier(solver=s, **given).fit(X, y) for s in ("sweep", "convex"))
    assert swept.alpha_ == convex.alpha_
    assert (swept.n_iter_ == convex.n_iter_) == clear


SEARCH = {
    "estimator": MPSClassifier(solver="convex", max_landmarks=300),
    "alphas": [1.0, 0.1, 0.01],
    "interaction_penalties": [1.0],
    "relevances": ["equal"],
    "max_members": 1,
    "bond_dims": [4],
    "random_state": 0,
}


def test_a_search_takes_rough_columns_where_they_are_better(rough):
    X, y, _ = rough
    bases = [("quantile", 4), ("quantile", "auto")]
    model = MPSClassifierCV(bases=bases, **SEARCH).fit(X[:N], y[:N])
    assert model.best_params_["degree"] == "auto"
    assert list(model.cv_results_["param_degree"]) == [4] * 3 + ["auto"] * 3
    assert model.best_score_ > model.cv_results_["mean_test_neg_log_loss"][:3].max() + 0.05
    (member,) = model.estimators_
    assert member.basis_.mask.sum(axis=1)[0] > 24
    # The search sees three rows a landmark.
    assert log_loss(y[N:], model.predict_proba(X[N:])) < -model.best_score_


@pytest.mark.parametrize("bases", [[("quantile", 4), ("quantile", "auto")], [("quantile", "auto")]])
def test_a_search_of_few_rows_leaves_the_automatic_degree_out(bases):
    rng = np.random.default_rng(6)
    X, score = turning(rng, 200)
    model = MPSClassifierCV(bases=bases, **SEARCH).fit(X, labels(rng, score))
    assert set(model.cv_results_["param_degree"]) == {4 if len(bases) == 2 else 8}


def test_rows_that_say_which_columns_are_rough_are_not_judged_by(rough, monkeypatch):
    X, y, _ = rough
    seen = {}
    inner = MPSClassifierCV._choose

    def choose(self, search, *parts):
        seen["folds"] = search.folds
        return inner(self, search, *parts)

    monkeypatch.setattr(MPSClassifierCV, "_choose", choose)
    MPSClassifierCV(bases=[("quantile", "auto")], **SEARCH).fit(X[:N], y[:N])
    assert np.sum(seen["folds"] < 0) == pytest.approx(900 * (N // 3) / N, rel=0.2)


def test_members_beyond_the_landmarks_learn_from_all_rows(rough):
    X, y, _ = rough
    given = {**SEARCH, "bases": [("quantile", 4)], "estimator": None, "max_members": 2}
    few, many = (MPSClassifierCV(**given).fit(X[:n], y[:n]) for n in (1999, 2000))
    assert few.estimators_[0].solver == "convex"
    assert many.estimators_[0].solver == "auto"
    ratio = many.estimators_[0].alpha_ / many.best_params_["alpha"]
    assert ratio <= 1


@pytest.mark.slow
def test_relevances_are_shrunk_where_rows_say_so(monkeypatch):
    found = roughness.Roughness(np.array([4.0, 0.25]), np.ones((2, 2)), np.ones(2))
    np.testing.assert_allclose(found.shrunk(0.5).relevance, [2.0, 0.5])
    rng = np.random.default_rng(7)
    X, score = turning(rng, N)
    y = labels(rng, score)
    inner = roughness.parts_of

    def exaggerated(*arguments, **more):
        parts = inner(*arguments, **more)
        if "degree" in more:  # Of the first look.
            return parts
        return parts._replace(relevance=parts.relevance**2)

    monkeypatch.setattr(roughness, "parts_of", exaggerated)
    monkeypatch.setattr("sktn.chains.search.points.parts_of", exaggerated)
    model = MPSClassifier(solver="convex", random_state=0, max_landmarks=100).fit(X, y)
    monkeypatch.setattr(roughness, "parts_of", inner)
    as_found = MPSClassifier(solver="convex", random_state=0, max_landmarks=100).fit(X, y)
    np.testing.assert_allclose(model.relevance_, as_found.relevance_, rtol=1e-3)
    search = MPSClassifierCV(bases=[("quantile", "auto")], **SEARCH).fit(X, y)
    ranges = [np.ptp(np.log(m.relevance_)) for m in (*search.estimators_, as_found)]
    assert ranges[0] < 1.5 * ranges[1]


def test_rare_classes_have_their_share_of_the_evidence():
    rng = np.random.default_rng(6)
    y = np.repeat([0, 1, 2], [6000, 200, 1800])
    target = class_target(np.arange(3), y, np.ones(len(y)), None)
    rows, judged = evidence_rows(target, rng)
    assert len(np.intersect1d(rows, judged)) == 0
    shares = np.bincount(y[rows])
    assert shares[0] == shares[2] == max(shares)
    others = np.setdiff1d(np.arange(len(y)), judged)
    assert shares[1] == (y[others] == 1).sum()


@pytest.mark.parametrize("model", [MPSRegressor, TTNRegressor])
def test_time_that_is_over_ends_every_stage(rng, monkeypatch, capsys, model):
    """Nothing rough, few landmarks and rows, no sweep, no member but the first."""
    X, score = turning(rng, N)
    monkeypatch.setattr(exact, "_HASTY_ROWS", 400)
    over = iter([False])  # The first question is whether to look for what is rough.
    monkeypatch.setattr(Clock, "over", lambda clock: next(over, True))
    fitted = model(random_state=0, verbose=1).fit(X, score)
    said = capsys.readouterr().out
    rows = int(re.search(r"convex limit: (\d+) rows, 200 landmarks", said)[1])
    assert rows <= 400
    assert "rough" not in said
    assert "1 sweeps" not in said
    assert fitted.score(X, score) > 0


def test_fewer_numbers_than_labels_are_evidence():
    rng = np.random.default_rng(7)
    target = real_target(rng.normal(size=9000), np.ones(9000), SquaredError())
    rows, judged = evidence_rows(target, rng)
    assert len(rows) == 800
    assert len(np.intersect1d(rows, judged)) == 0
