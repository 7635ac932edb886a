"""MPSImputer through scikit-learn's interface, and what it fills in."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris, load_wine
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from sktn import MPSImputer, pool_estimates
from sktn.imputation import chained
from sktn.solvers import leave_one_out


@parametrize_with_checks([MPSImputer(max_iter=2, random_state=0)])
def test_estimator_checks(estimator, check):
    check(estimator)


def hide(X, share, seed=0):
    gaps = np.random.default_rng(seed).random(X.shape) < share
    return np.where(gaps, np.nan, X), gaps


def mixed(n=150):
    """Numbers, strings and a category that depend on each other."""
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    kind = np.where(x + 0.3 * rng.normal(size=n) > 0, "long", "short")
    size = np.where(x > 0.8, "L", np.where(x < -0.8, "S", "M"))
    frame = pd.DataFrame(
        {
            "x": 10.0 + 3.0 * x,
            "kind": kind,
            "size": pd.Categorical(size, categories=["S", "M", "L"], ordered=True),
            "count": np.round(20 + 5 * x).astype(int),
        }
    )
    holes = frame.copy()
    gaps = rng.random(frame.shape) < 0.2
    holes["count"] = holes["count"].astype(float)
    for j, name in enumerate(frame.columns):
        holes.loc[gaps[:, j], name] = None
    return frame, holes, gaps


def test_products_without_each_site_are_exact():
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 8):
        a, b = rng.normal(size=(6, n, 3)), rng.normal(size=(4, n, 3))
        factors = np.einsum("bnd,mnd->nbm", a, b)
        wanted = rng.random(n) < 0.7
        found = dict(leave_one_out.products_without_each(a, b, wanted))
        assert sorted(found) == np.flatnonzero(wanted).tolist()
        for j, product in found.items():
            assert_allclose(product, np.delete(factors, j, axis=0).prod(axis=0))


def test_rows_left_out_are_predicted_as_by_fits_without_them():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(14, 3)), rng.normal(size=(14, 2))
    K = (1.0 + X @ X.T) ** 2 - 1.0
    strength = np.array([0.1])
    ridge = leave_one_out.fit_ridge(K, K, y, strength)
    assert_allclose(ridge.predict(K), y - (y - ridge.predict(K)))
    for i in (0, 5, 13):
        rest = np.delete(np.arange(14), i)
        scale = 0.1 * np.trace(K) / 14
        A = np.block(
            [[K[np.ix_(rest, rest)] + scale * np.eye(13), np.ones((13, 1))], [np.ones(13), 0.0]]
        )
        dual = np.linalg.solve(A, np.vstack([y[rest], np.zeros((1, 2))]))
        assert_allclose(ridge.left_out[i], K[i, rest] @ dual[:13] + dual[13], rtol=1e-4, atol=1e-4)


def test_gaps_are_filled_and_the_rest_is_left_alone():
    X = load_wine().data[:, 5:]
    holes, gaps = hide(X, 0.2)
    before = holes.copy()
    imputer = MPSImputer(random_state=0)
    filled = imputer.fit_transform(holes)
    assert_array_equal(holes, before)
    assert_array_equal(filled[~gaps], X[~gaps])
    scale = X.std(axis=0)
    mean = SimpleImputer().fit_transform(holes)
    error, base = (np.sqrt(np.mean(((F - X) / scale)[gaps] ** 2)) for F in (filled, mean))
    assert error < 0.75 * base
    assert np.sqrt(np.mean(imputer.left_out_error_**2)) == pytest.approx(error, rel=0.2)
    again = MPSImputer(random_state=0).fit_transform(holes)
    assert_array_equal(again, filled)
    new = imputer.transform(holes)
    assert np.sqrt(np.mean(((new - X) / scale)[gaps] ** 2)) < 0.8 * base
    assert_allclose(imputer.transform(holes[:7]), new[:7])


def test_what_nothing_predicts_gets_its_mean():
    rng = np.random.default_rng(0)
    holes, gaps = hide(rng.normal(size=(200, 4)), 0.3)
    filled = MPSImputer(random_state=0).fit_transform(holes)
    assert np.sqrt(np.mean(filled[gaps] ** 2)) < 0.35


def test_an_interaction_is_seen():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(250, 3))
    X[:, 2] = X[:, 0] * X[:, 1]
    holes, gaps = hide(X, 0.15)
    filled = MPSImputer(random_state=0).fit_transform(holes)
    at = gaps[:, 2] & ~gaps[:, :2].any(axis=1)
    assert np.sqrt(np.mean((filled - X)[at, 2] ** 2)) < 0.3 * X[:, 2].std()


def test_frames_keep_their_dtypes():
    frame, holes, gaps = mixed()
    imputer = MPSImputer(random_state=0)
    filled = imputer.fit_transform(holes)
    assert filled.dtypes.tolist() == holes.dtypes.tolist()
    assert not filled.isna().any().any()
    assert filled.index.equals(frame.index)
    for j, name in enumerate(frame.columns):
        assert (filled[name] == frame[name])[~gaps[:, j]].all()
    right = (filled["size"].astype(str) == frame["size"].astype(str))[gaps[:, 2]].mean()
    assert right > 0.75
    assert (filled["kind"] == frame["kind"])[gaps[:, 1]].mean() > 0.7
    new = imputer.transform(holes.iloc[:5])
    assert new.dtypes.tolist() == holes.dtypes.tolist()


def test_polars_frames_come_back_as_polars():
    pl = pytest.importorskip("polars")
    _, holes, _ = mixed(80)
    table = pl.DataFrame(
        {
            "x": holes["x"].tolist(),
            "kind": [v if isinstance(v, str) else None for v in holes["kind"]],
            "size": pl.Series(
                [v if isinstance(v, str) else None for v in holes["size"]],
                dtype=pl.Enum(["S", "M", "L"]),
            ),
        }
    ).with_columns(pl.col("x").fill_nan(None))
    filled = MPSImputer(random_state=0, max_iter=2).fit_transform(table)
    assert filled.schema == table.schema
    assert sum(filled.null_count().row(0)) == 0


def test_arrays_with_categories():
    _, holes, _gaps = mixed(100)
    table = holes.to_numpy(dtype=object)
    filled = MPSImputer(categorical_features=[1, 2], random_state=0).fit_transform(table)
    assert filled.dtype == object
    assert set(filled[:, 1]) == {"long", "short"}
    codes = np.column_stack([holes["x"], holes["size"].cat.codes.replace(-1, np.nan)])
    filled = MPSImputer(categorical_features=[1], random_state=0).fit_transform(codes)
    assert filled.dtype == np.float64
    assert set(filled[:, 1]) == {0.0, 1.0, 2.0}


def test_an_unknown_level_is_not_a_gap():
    _, holes, _ = mixed(80)
    imputer = MPSImputer(random_state=0, max_iter=2).fit(holes)
    new = holes.iloc[:2].assign(kind=["unheard of", None])
    assert imputer.transform(new)["kind"].tolist()[0] == "unheard of"
    assert imputer.transform(new)["kind"].tolist()[1] in {"long", "short"}


def test_draws_keep_the_spread_and_are_pooled():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 1)) + 0.7 * rng.normal(size=(300, 3))
    holes, gaps = hide(X, 0.3)
    imputer = MPSImputer(random_state=0, max_iter=3).fit(holes)
    tables = imputer.sample_imputations(holes, n_draws=4, random_state=0)
    assert len(tables) == 4
    assert np.ptp(np.stack(tables)[:, gaps], axis=0).min() > 0.0
    means = imputer.transform(holes)
    assert means[gaps].std() < 0.85 * X.std()
    assert tables[0][gaps].std() == pytest.approx(X.std(), rel=0.15)
    pooled = pool_estimates(
        [T.mean(axis=0) for T in tables], [T.var(axis=0) / len(T) for T in tables]
    )
    assert (np.abs(pooled.estimate - X.mean(axis=0)) < 3 * np.sqrt(pooled.variance)).all()
    assert (pooled.missing_information > 0).all()
    drawn = MPSImputer(random_state=0, max_iter=3, sample_posterior=True).fit_transform(holes)
    assert drawn[gaps].std() > 1.1 * means[gaps].std()
    with pytest.raises(ValueError, match="n_draws=0"):
        imputer.sample_imputations(holes, n_draws=0)


def test_pooled_variance_is_rubins():
    pooled = pool_estimates([1.0, 3.0], [0.5, 1.5])
    assert pooled.estimate == 2.0
    assert pooled.variance == pytest.approx(1.0 + 1.5 * 2.0)
    assert pooled.missing_information == pytest.approx(0.75)
    assert pooled.degrees_of_freedom == pytest.approx(1 / 0.75**2)
    assert np.isinf(pool_estimates([1.0, 1.0], [1.0, 1.0]).degrees_of_freedom)
    with pytest.raises(ValueError, match="two or more"):
        pool_estimates([1.0], [1.0])
    with pytest.raises(ValueError, match=r"none negative; got -5\.0"):
        pool_estimates([1.0, 2.0], [-5.0, 1.0])


def test_empty_columns_indicators_and_names():
    X, _ = hide(load_iris().data, 0.2)
    X[:, 1] = np.nan
    left = MPSImputer(max_iter=2, add_indicator=True, random_state=0)
    with pytest.warns(UserWarning, match=r"\['x1'\] is observed. They are left out"):
        filled = left.fit_transform(X)
    theirs = SimpleImputer(add_indicator=True)
    with pytest.warns(UserWarning, match="Skipping features"):
        expected = theirs.fit_transform(X)
    assert_array_equal(left.get_feature_names_out(), theirs.get_feature_names_out())
    assert_array_equal(filled[:, 3:], expected[:, 3:])
    kept = MPSImputer(max_iter=2, keep_empty_features=True, random_state=0)
    with pytest.warns(UserWarning, match="filled with 0"):
        assert_array_equal(kept.fit_transform(X)[:, 1], 0.0)
    assert kept.get_feature_names_out().tolist() == ["x0", "x1", "x2", "x3"]


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_the_scale_of_a_column_changes_nothing(scale):
    X, _ = hide(load_iris().data, 0.2)
    scales = np.array([1.0, scale, 1.0, 1.0])
    reference = MPSImputer(max_iter=2, random_state=0).fit_transform(X)
    filled = MPSImputer(max_iter=2, random_state=0).fit_transform(X * scales)
    assert_allclose(filled / scales, reference, rtol=1e-4)


def test_corner_cases():
    with pytest.raises(ValueError, match="nothing to learn from"):
        MPSImputer().fit(np.full((4, 3), np.nan))
    one = np.array([[1.0], [np.nan], [3.0]])
    assert_allclose(MPSImputer(random_state=0).fit_transform(one).ravel(), [1.0, 2.0, 3.0])
    constant = np.array([[5.0, 1.0], [5.0, np.nan], [np.nan, 3.0], [5.0, 4.0]])
    assert MPSImputer(random_state=0).fit_transform(constant)[2, 0] == 5.0
    masked = np.ma.masked_array(load_iris().data, mask=np.eye(150, 4, dtype=bool))
    masked.data[masked.mask] = 9999.0
    assert MPSImputer(max_iter=2, random_state=0).fit_transform(masked).max() < 10.0


def test_a_fit_that_ends_early_changes_nothing(monkeypatch):
    X, _ = hide(load_iris().data, 0.2)
    imputer, fresh = MPSImputer(max_iter=2, random_state=0).fit(X), MPSImputer()
    before, state = imputer.transform(X), dict(vars(imputer))

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(chained, "fit_chained", interrupted)
    for estimator in (imputer, fresh):
        with pytest.raises(KeyboardInterrupt):
            estimator.fit(X[:, :3])
    assert vars(imputer) == state
    assert_array_equal(imputer.transform(X), before)
    assert not [name for name in vars(fresh) if name.endswith("_")]


def test_in_a_pipeline():
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(MPSImputer(max_iter=2, random_state=0), LogisticRegression(max_iter=1000))
    assert cross_val_score(model, hide(X, 0.2)[0], y, cv=3).mean() > 0.85


def test_many_rows_are_predicted_in_blocks_from_some_of_them(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 1)) + 0.3 * rng.normal(size=(300, 3))
    holes, gaps = hide(X, 0.2)
    monkeypatch.setattr(chained, "_MOST_ROWS", 120)
    monkeypatch.setattr(chained, "_BLOCK", 70)
    imputer = MPSImputer(max_iter=3, n_landmarks=40, random_state=0)
    filled = imputer.fit_transform(holes)
    assert_array_equal(filled[~gaps], X[~gaps])
    assert np.sqrt(np.mean((filled - X)[gaps] ** 2)) < 0.5 * X.std()
    one_by_one = np.vstack([imputer.transform(row[None]) for row in holes[:9]])
    assert_allclose(imputer.transform(holes)[:9], one_by_one)


def test_rounds_are_reported(capsys):
    MPSImputer(max_iter=2, verbose=True, random_state=0).fit(load_iris().data)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in printed] == [
        "[MPSImputer] round 1",
        "[MPSImputer] round 2",
    ]


def test_frames_of_pandas_own_dtypes_are_returned_as_polars(rng):
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=12),
            "n": pd.array([None, *range(11)], dtype="Int64"),
            "k": pd.Categorical([None, *"xyxyxyxyxyx"]),
        }
    )
    model = MPSImputer(random_state=0, categorical_features="from_dtype").set_output(
        transform="polars"
    )
    filled = model.fit_transform(frame)
    assert isinstance(filled, pl.DataFrame)
    assert filled.columns == ["a", "n", "k"]
    assert filled["k"].to_list()[1:] == list("xyxyxyxyxyx")
    assert filled.null_count().sum_horizontal().item() == 0


def test_columns_that_no_polars_frame_can_name_or_fill_as_they_are():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    model = MPSImputer(max_iter=1, random_state=0).set_output(transform="polars")
    numbered = pd.DataFrame(np.arange(12.0).reshape(6, 2))
    assert model.fit_transform(numbered).columns == ["x0", "x1"]
    nulls = pl.DataFrame({"x": np.arange(6.0), "k": [None] * 6})
    model = MPSImputer(
        max_iter=1, random_state=0, keep_empty_features=True, categorical_features=["k"]
    )
    with pytest.warns(UserWarning, match="'k'"):
        model.fit(nulls)
    assert model.transform(nulls)["k"].to_list() == ["missing"] * 6
