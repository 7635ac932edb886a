"""MPSDensityEstimator: a true density, and samples that follow it."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KernelDensity

from sktn import MPSDensityEstimator
from sktn.density.born_machine import distribution_series, invert, level_basis
from sktn.tables.marginals import fit_margins

# Small shapes, few sweeps: what is tested holds for any parameters of the network.
QUICK = {"max_iter": 6, "bond_dim": 4, "degree": 4, "n_components": 2, "random_state": 0}
# Without the mixture, most of whose time is a search.
CHAIN = {**QUICK, "n_components": 0}


def two_columns(rng, n_rows=300):
    x = rng.normal(size=n_rows)
    return np.column_stack([x, x**2 + 0.3 * rng.normal(size=n_rows)])


PARTS = [{"n_components": 0}, {"n_components": 0, "truncation_tol": 0.1}, {"n_components": 3}]


@pytest.fixture(scope="module", params=PARTS, ids=["chain", "two-site", "mixture"])
def fitted(request):
    rng = np.random.default_rng(0)
    return MPSDensityEstimator(**{**QUICK, **request.param}).fit(two_columns(rng))


GRID_X, GRID_Y = np.linspace(-10, 10, 161), np.linspace(-14, 32, 500)


def values_on_grid(density):
    """The density on a grid, and the grid's steps."""
    grid = np.stack(np.meshgrid(GRID_X, GRID_Y, indexing="ij"), axis=-1).reshape(-1, 2)
    values = np.exp(density.score_samples(grid)).reshape(len(GRID_X), len(GRID_Y))
    return values, (GRID_X[1] - GRID_X[0]), (GRID_Y[1] - GRID_Y[0])


@pytest.fixture(scope="module")
def on_grid(fitted):
    return values_on_grid(fitted)


def test_the_density_integrates_to_one(on_grid):
    values, dx, dy = on_grid
    assert values.sum() * dx * dy == pytest.approx(1, abs=1e-6)


def test_marginals_are_integrals(fitted, on_grid):
    values, dx, dy = on_grid
    first = np.exp(fitted.marginal(GRID_X[:, None], [0]))
    np.testing.assert_allclose(first, values.sum(axis=1) * dy, atol=1e-6)
    assert first.sum() * dx == pytest.approx(1, abs=1e-6)
    second = np.exp(fitted.marginal(GRID_Y[:, None], [1]))
    np.testing.assert_allclose(second, values.sum(axis=0) * dx, atol=1e-6)
    rows = np.column_stack([GRID_X[:5], GRID_Y[:5]])
    np.testing.assert_allclose(fitted.marginal(rows[:, ::-1], [1, 0]), fitted.score_samples(rows))
    with pytest.raises(ValueError, match="must not repeat"):
        fitted.marginal(rows, [0, 0])
    with pytest.raises(ValueError, match="one column for each"):
        fitted.marginal(rows, [0])
    for unknown in (2, -1, "length"):
        with pytest.raises(ValueError, match=r"out of range|no feature"):
            fitted.marginal(rows[:, :1], [unknown])


def test_samples_follow_the_density(fitted, on_grid):
    values, dx, dy = on_grid
    sample = fitted.sample(4000, random_state=1)
    for column, margin, grid in [
        (0, values.sum(axis=1) * dy, GRID_X),
        (1, values.sum(0) * dx, GRID_Y),
    ]:
        cumulated = np.cumsum(margin) * (grid[1] - grid[0])
        edges = np.interp(np.linspace(0, 1, 11)[1:-1], cumulated, grid + (grid[1] - grid[0]) / 2)
        counts = np.bincount(np.searchsorted(edges, sample[:, column]), minlength=10)
        assert chisquare(counts).pvalue > 1e-3
    # And jointly: four quadrants.
    # Cuts between points of the grid.
    x_cut, y_cut = dx / 2, 1.0
    mask = (GRID_X[:, None] > x_cut) * 2 + (GRID_Y[None] > y_cut)
    expected = np.bincount(mask.ravel(), values.ravel() * dx * dy, minlength=4)
    counts = np.bincount((sample[:, 0] > x_cut) * 2 + (sample[:, 1] > y_cut), minlength=4)
    assert chisquare(counts, expected / expected.sum() * len(sample)).pvalue > 1e-4


def test_conditionals(fitted, on_grid):
    values, _, dy = on_grid
    k = 90  # of x = 1.25
    conditional = values[k] / (values[k].sum() * dy)
    rows = np.column_stack([np.full(3000, GRID_X[k]), np.full(3000, np.nan)])
    drawn = fitted.conditional_sample(rows, random_state=0)
    np.testing.assert_array_equal(drawn[:, 0], rows[:, 0])
    cumulated = np.cumsum(conditional) * dy
    edges = np.interp(np.linspace(0, 1, 11)[1:-1], cumulated, GRID_Y + dy / 2)
    counts = np.bincount(np.searchsorted(edges, drawn[:, 1]), minlength=10)
    assert chisquare(counts).pvalue > 1e-3
    median = fitted.impute(rows[:1])[0, 1]
    assert median == pytest.approx(np.interp(0.5, cumulated, GRID_Y + dy / 2), abs=1e-3)


def test_missing_values_are_integrated_over(fitted):
    rows = np.array([[0.3, np.nan], [np.nan, 0.5], [np.nan, np.nan]])
    got = fitted.score_samples(rows)
    assert got[0] == pytest.approx(fitted.marginal([[0.3]], [0])[0])
    assert got[1] == pytest.approx(fitted.marginal([[0.5]], [1])[0])
    assert got[2] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("parameters", PARTS)
def test_it_learns_more_than_the_margins(rng, parameters):
    train, test = two_columns(rng, 600), two_columns(rng, 600)
    density = MPSDensityEstimator(max_iter=60, random_state=0, **parameters).fit(train)
    margins = density.margins_.log_density(test).sum(axis=1).mean()
    assert density.score(test) > margins + 0.3
    assert density.score(test) > KernelDensity(bandwidth="scott").fit(train).score(test) / 600


@pytest.mark.slow
def test_training_with_missing_values(rng):
    X = two_columns(rng)
    X[rng.uniform(size=X.shape) < 0.2] = np.nan
    density = MPSDensityEstimator(**QUICK).fit(X)
    values, dx, dy = values_on_grid(density)
    assert values.sum() * dx * dy == pytest.approx(1, abs=1e-5)
    assert np.all(np.isfinite(density.impute(X)))


def with_holes(rng):
    X = two_columns(rng, 60)
    X[rng.uniform(size=X.shape) < 0.2] = np.nan
    return X


@pytest.mark.parametrize("make", [two_columns, with_holes])
@pytest.mark.parametrize("alpha", ["auto", 0.01])
def test_sweeps_descend(rng, make, alpha):
    density = MPSDensityEstimator(**CHAIN, alpha=alpha).fit(make(rng))
    assert len(density.loss_curve_) == density.n_iter_ <= 6
    assert np.all(np.diff(density.loss_curve_) < 1e-9)
    assert density.alpha_ == alpha or density.alpha_ in 0.5 ** np.arange(10)


@pytest.mark.parametrize("make", [two_columns, with_holes])
def test_the_loss_is_that_of_the_training_rows(rng, make):
    """Without a penalty and without held-out rows: relative to the margins, as the scores say."""
    X = make(rng)
    settings = {**CHAIN, "alpha": 0.0, "validation_fraction": None}
    density = MPSDensityEstimator(**settings).fit(X)
    scores = density.score_samples(X) - density.margins_.log_density(X).sum(axis=1)
    assert density.loss_curve_[-1] == pytest.approx(-scores.mean(), abs=1e-5)


@pytest.mark.parametrize("parameters", PARTS)
def test_a_weight_of_two_is_a_repeated_row(rng, parameters):
    X, weight = np.column_stack([with_holes(rng), rng.integers(0, 9, 60)]), rng.integers(0, 3, 60)
    weighted = MPSDensityEstimator(**{**QUICK, **parameters}).fit(X, sample_weight=weight)
    repeated = MPSDensityEstimator(**{**QUICK, **parameters}).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(weighted.score_samples(X), repeated.score_samples(X), rtol=1e-9)


def test_two_site_sweeps_bound_the_bond_dimensions(rng):
    X = np.column_stack([two_columns(rng, 200), rng.normal(size=200)])
    settings = {**CHAIN, "alpha": 0.1, "feature_order": "given"}
    single, pairs = (
        MPSDensityEstimator(**settings, truncation_tol=tol).fit(X) for tol in (None, 0.2)
    )
    assert single.bond_dims_.tolist() == [1, 4, 4, 1]
    # The last column is on its own.
    assert pairs.bond_dims_[2] == 1 < pairs.bond_dims_[1] <= 4
    assert pairs.cores_.shape == (3, max(pairs.bond_dims_), 5, max(pairs.bond_dims_))


def test_sweeps_are_deterministic_and_keep_the_dtype(rng):
    X = two_columns(rng).astype(np.float32)
    density = [MPSDensityEstimator(**CHAIN).fit(X) for _ in range(2)]
    assert density[0].cores_.dtype == np.float32
    np.testing.assert_array_equal(density[0].cores_, density[1].cores_)
    double = MPSDensityEstimator(**CHAIN).fit(X.astype(np.float64))
    np.testing.assert_allclose(density[0].score(X), double.score(X), atol=0.01)


def test_categories_have_probabilities(rng):
    n = 300
    colour = rng.choice(["red", "green", "blue"], p=[0.5, 0.3, 0.2], size=n)
    frame = pd.DataFrame({"length": rng.normal(size=n) + 3 * (colour == "red"), "colour": colour})
    frame["colour"] = frame["colour"].astype("category")
    density = MPSDensityEstimator(**QUICK).fit(frame)
    grid = np.linspace(-8, 12, 801)
    total = 0.0
    for level in ("red", "green", "blue"):
        rows = pd.DataFrame({"length": grid, "colour": pd.Categorical([level] * len(grid))})
        total += np.exp(density.score_samples(rows)).sum() * (grid[1] - grid[0])
    assert total == pytest.approx(1, abs=1e-5)
    sample = density.sample(1000, random_state=0)
    assert set(sample[:, 1]) <= {"red", "green", "blue"}
    levels = ["blue", "green", "red"]
    shares = np.exp(density.marginal([[level] for level in levels], ["colour"]))
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    counts = [np.sum(sample[:, 1] == level) for level in levels]
    assert chisquare(counts, shares / shares.sum() * 1000).pvalue > 1e-4
    holes = pd.DataFrame(
        {"length": [3.0, np.nan], "colour": pd.Categorical([None, "red"], ["blue", "green", "red"])}
    )
    filled = density.impute(holes)
    assert filled[0, 1] in {"red", "green", "blue"}
    assert np.isfinite(float(filled[1, 0]))


def test_awkward_columns(rng):
    X = np.column_stack([rng.normal(size=60), np.full(60, 5.0), np.full(60, np.nan)])
    X[0, 0] = 1e30
    X[3] = np.nan
    X[10:20] = X[9]
    with pytest.warns(UserWarning, match=r"\['x2'\] is observed"):
        density = MPSDensityEstimator(**QUICK).fit(X)
    new = np.array([[1e30, 5, 0], [-1e300, 1e300, 1e30], [0, 5, np.nan], [np.nan] * 3])
    assert np.all(np.isfinite(density.score_samples(new)))
    assert np.all(np.isfinite(density.sample(20, random_state=0)[:, :2]))
    assert density.score_samples(new)[2] > density.score_samples(new)[0]


def test_a_single_column(rng):
    X = rng.exponential(size=(200, 1))
    density = MPSDensityEstimator(**QUICK).fit(X)
    grid = np.linspace(-10, 20, 3001)
    total = np.exp(density.score_samples(grid[:, None])).sum() * (grid[1] - grid[0])
    assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_many_columns_in_float32(rng):
    X = rng.normal(size=(40, 300)).astype(np.float32)
    density = MPSDensityEstimator(bond_dim=2, degree=2, max_iter=1, random_state=0).fit(X)
    assert density.cores_.dtype == np.float32
    assert np.all(np.isfinite(density.score_samples(X)))


def test_feature_order(rng):
    X = two_columns(rng, 60)
    density = MPSDensityEstimator(**CHAIN, feature_order=[1, 0]).fit(X)
    np.testing.assert_array_equal(density.order_, [1, 0])
    with pytest.raises(ValueError, match="feature_order must be a permutation"):
        MPSDensityEstimator(**CHAIN, feature_order=[0, 0]).fit(X)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6))
def test_level_basis_is_orthonormal_under_the_shares(masses):
    shares = np.array(masses) / np.sum(masses)
    table = level_basis(shares)
    np.testing.assert_allclose((table * shares[:, None]).T @ table, np.eye(len(shares)), atol=1e-8)
    np.testing.assert_allclose(table[:, 0], 1, atol=1e-8)


@given(st.integers(1, 6), st.integers(0, 100))
def test_inverse_of_the_distribution(degree, seed):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(1, degree + 1, degree + 1))
    K = factor @ factor.transpose(0, 2, 1)
    series = distribution_series(K)[:, 0]
    u = invert(lambda t: np.polynomial.legendre.legval(t, series), np.array([0.3]))
    np.testing.assert_allclose(np.polynomial.legendre.legval(u, series), 0.3, atol=1e-8)
    np.testing.assert_allclose(np.polynomial.legendre.legval([-1, 1], series), [0, 1], atol=1e-8)
    # Gauss-Legendre quadrature of the density between -1 and u, exact for its degree.
    nodes, weights = np.polynomial.legendre.leggauss(degree + 2)
    t = (nodes + 1) / 2 * (u + 1) - 1
    phi = np.polynomial.legendre.legvander(t, degree) * np.sqrt(2 * np.arange(degree + 1) + 1)
    density = np.einsum("bs,st,bt->b", phi, K[0], phi) / np.trace(K[0]) / 2
    np.testing.assert_allclose(weights @ density * (u + 1) / 2, 0.3, atol=1e-8)


def test_margins_invert(rng):
    X = rng.standard_t(3, size=(500, 2)) * [1, 1e5]
    margins = fit_margins(X, np.ones(500))
    u = margins.transform(X)
    assert np.all(np.abs(u) < 1)
    for i in range(2):
        np.testing.assert_allclose(margins.invert(i, u[:, i]), X[:, i], rtol=1e-5, atol=1e-5)
    # The density is the derivative of the distribution function.
    step = 1e-4
    slope = (margins.transform(X + np.array([step, step * 1e5])) - u) / 2 / [step, step * 1e5]
    np.testing.assert_allclose(np.exp(margins.log_density(X)), slope, rtol=1e-2)


# --- what users do to it ---


@pytest.mark.parametrize("scale", [1e-300, 1 / 300, 1e14, 1.7e308])
def test_only_ratios_of_weights_that_are_no_counts_matter(rng, scale):
    X, weight = two_columns(rng, 60), rng.uniform(0.1, 1, 60)
    expected = MPSDensityEstimator(**CHAIN).fit(X, sample_weight=weight).score_samples(X)
    got = MPSDensityEstimator(**CHAIN).fit(X, sample_weight=weight * scale).score_samples(X)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_weights_of_zero_are_refused(rng):
    with pytest.raises(ValueError, match="weight"):
        MPSDensityEstimator(**QUICK).fit(two_columns(rng, 60), sample_weight=np.zeros(60))


def test_the_largest_numbers(rng):
    X = np.sign(rng.normal(size=(40, 1))) * 1.7e308
    density = MPSDensityEstimator(**QUICK).fit(X)
    assert np.all(np.isfinite(density.score_samples(X)))
    assert np.isin(density.sample(50, random_state=0), X).mean() > 0.9
    assert np.all(np.isfinite(density.sample(50, random_state=0)))


@pytest.mark.parametrize("n_samples", [-1, 0, 1.5])
def test_a_number_of_draws_is_positive(fitted, n_samples):
    with pytest.raises(ValueError, match="n_samples"):
        fitted.sample(n_samples)


def test_a_refused_refit_changes_nothing(rng, monkeypatch):
    frame = pd.DataFrame(two_columns(rng, 60), columns=["a", "b"])
    density = MPSDensityEstimator(**CHAIN).fit(frame)
    before = dict(vars(density))
    with pytest.raises(ValueError, match="inf"):
        density.fit(np.full((40, 3), np.inf))
    with pytest.raises(ValueError, match="feature_order"):
        density.set_params(feature_order=[0, 0, 1]).fit(rng.normal(size=(40, 3)))
    density.set_params(feature_order="correlation")
    assert vars(density) == before

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("sktn.density.fit.stacked_shares", interrupted)
    with pytest.raises(KeyboardInterrupt):
        density.fit(rng.normal(size=(40, 3)))
    assert vars(density) == before
    new = MPSDensityEstimator(**CHAIN)
    with pytest.raises(KeyboardInterrupt):
        new.fit(rng.normal(size=(40, 3)))
    with pytest.raises(NotFittedError):
        new.score_samples(rng.normal(size=(40, 3)))
    assert not hasattr(new, "n_features_in_")


def test_nothing_stale_survives_a_refit(rng):
    frame = pd.DataFrame(two_columns(rng, 60), columns=["a", "b"])
    density = MPSDensityEstimator(**QUICK).fit(frame).fit(rng.normal(size=(60, 3)))
    assert not hasattr(density, "feature_names_in_")
    assert density.sample(2).shape == (2, 3)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_draws_keep_names_and_dtypes(rng, library):
    columns = {
        "size": rng.normal(size=80),
        "count": rng.integers(0, 5, 80),
        "kind": rng.choice(["a", "b"], 80),
    }
    if library == "pandas":
        frame = pd.DataFrame(columns).astype({"size": np.float32, "kind": "category"})
    else:
        frame = pl.DataFrame(columns).with_columns(
            pl.col("size").cast(pl.Float32), pl.col("kind").cast(pl.Categorical)
        )
    density = MPSDensityEstimator(**QUICK).set_output(transform=library).fit(frame)
    for drawn in (density.sample(7), density.impute(frame[:3])):
        assert isinstance(drawn, type(frame))
        assert list(drawn.columns) == ["size", "count", "kind"]
        assert list(drawn.dtypes) == list(frame.dtypes)
    assert isinstance(clone(density).fit(frame).sample(2), type(frame))
    other = {"pandas": "polars", "polars": "pandas"}[library]
    drawn = density.set_output(transform=other).sample(3)
    assert list(drawn.columns) == ["size", "count", "kind"]
    assert isinstance(density.set_output(transform="default").sample(2), np.ndarray)
    with pytest.raises(ValueError, match="transform"):
        density.set_output(transform="csv")


def test_both_parts_and_their_shares(rng):
    """Nearly collinear columns are the mixture's; held-out rows know it."""
    x = rng.normal(size=400)
    X = np.column_stack([x, x + 0.01 * rng.normal(size=400), rng.normal(size=400)])
    chain, both = (MPSDensityEstimator(**{**QUICK, "n_components": n}).fit(X) for n in (0, "auto"))
    assert chain.chain_share_ == 1
    assert chain.n_components_ == 0
    assert both.chain_share_ < 0.1
    assert both.score(X) > chain.score(X) + 1


def test_components_are_as_many_as_said(rng):
    X = two_columns(rng, 60)
    assert MPSDensityEstimator(**QUICK).fit(X).n_components_ == 2
    tiny = MPSDensityEstimator(**{**QUICK, "n_components": "auto"}).fit(X[:10])
    assert tiny.n_components_ == 1
    assert tiny.chain_share_ == 0.5


def test_repeated_values_are_peaks_unless_resolution_says_no(rng):
    X = np.column_stack([rng.integers(0, 4, 200), rng.normal(size=200)]).astype(float)
    parameters = {**QUICK, "n_components": 0}
    peaks, smooth = (MPSDensityEstimator(**parameters, resolution=r).fit(X) for r in (0.0025, None))
    assert peaks.score(X) > smooth.score(X) + 2
    # New values have the share of one row more.
    new = ~np.isin(peaks.sample(5000, random_state=0)[:, 0], range(-2, 7))
    assert new.mean() == pytest.approx(1 / 201, abs=0.003)
    assert len(set(smooth.sample(100, random_state=0)[:, 0])) == 100


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("alpha", [1e12, 1e300])
def test_a_chain_of_any_strength(alpha, dtype, rng):
    X = rng.normal(size=(30, 4)).astype(dtype)
    X[::5, 1] = np.nan
    options = {"degree": 2, "bond_dim": 2, "max_iter": 2, "n_components": 0, "random_state": 0}
    found = MPSDensityEstimator(alpha=alpha, **options).fit(X).score_samples(X)
    # Of the largest strength on, columns are independent.
    wanted = MPSDensityEstimator(alpha=1e9, **options).fit(X).score_samples(X)
    np.testing.assert_allclose(found, wanted, atol=0.05)


def test_a_category_without_any_value_is_drawn_as_missing(rng):
    X = pd.DataFrame({"a": rng.normal(size=20), "b": pd.Series([None] * 20, dtype="category")})
    with pytest.warns(UserWarning, match=r"\['b'\] is observed"):
        model = MPSDensityEstimator(max_iter=1, random_state=0).fit(X)
    assert [row[1] for row in model.sample(3, random_state=0)] == [None] * 3
    drawn = model.set_output(transform="pandas").sample(3, random_state=0)
    assert drawn["b"].isna().all()


def test_columns_of_one_name_are_refused_by_name(rng):
    X = pd.DataFrame(rng.normal(size=(9, 2)), columns=["c", "c"])
    with pytest.raises(ValueError, match="several columns of the names"):
        MPSDensityEstimator().fit(X)
