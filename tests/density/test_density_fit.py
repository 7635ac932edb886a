"""How the parts of a density and their shares are learned."""

from types import SimpleNamespace

import numpy as np
import pytest

from sktn import MPSDensityEstimator
from sktn.density import born_fit
from sktn.density.fit import copies, make_folds, row_counts, stacked_shares


def test_whole_weights_are_counts_and_others_relative():
    np.testing.assert_array_equal(row_counts(np.array([2.0, 0.0, 3.0])), [2, 0, 3])
    # Kish: equal weights are as many rows as there are.
    np.testing.assert_allclose(row_counts(np.full(4, 0.3)), 1)
    np.testing.assert_allclose(row_counts(np.full(4, 1.7e308)), 1)
    one = row_counts(np.array([0.5, 1e-9, 1e-9]))
    assert one.sum() == pytest.approx(1, abs=1e-6)


def test_rows_of_much_weight_are_several():
    index, weight = copies(np.array([3.0, 1.0, 0.4]))
    assert index.tolist() == [0, 0, 0, 1, 2]
    np.testing.assert_allclose(weight, [1, 1, 1, 1, 0.4])
    index, weight = copies(np.array([1e6, 1.0, 2e6]))
    assert np.bincount(index).tolist() == [334, 1, 667]
    np.testing.assert_allclose(np.bincount(index, weights=weight), [1e6, 1.0, 2e6])
    # Kish's units are 1 but for rounding.
    assert len(copies(np.full(5, 1 + 1e-15))[0]) == 5


@pytest.mark.parametrize(
    ("n_rows", "fraction", "folds"), [(19, 0.2, 0), (100, 0.2, 5), (1000, 0.2, 2), (5000, 0.2, 1)]
)
def test_small_tables_are_held_out_in_several_folds(n_rows, fraction, folds):
    fold = make_folds(n_rows, fraction, np.random.RandomState(0))
    assert fold.max() + 1 == folds
    for k in range(folds):
        assert np.sum(fold == k) == np.ceil(fraction * n_rows)
    assert np.all(make_folds(n_rows, None, np.random.RandomState(0)) == -1)


def test_shares_maximise_the_held_out_likelihood(rng):
    logs, weight = 2 * rng.normal(size=(2, 300)) + [[0.3], [0.0]], rng.uniform(size=300)
    logs[0, :20] = np.nan
    shares = stacked_shares(logs, weight)
    grid = np.linspace(0.001, 0.999, 999)
    known = slice(20, None)
    mixed = np.logaddexp(
        np.log(grid)[:, None] + logs[0, known], np.log1p(-grid)[:, None] + logs[1, known]
    )
    # One row more for each part.
    quality = mixed @ weight[known] + np.log(grid) + np.log1p(-grid)
    assert shares[0] == pytest.approx(grid[np.argmax(quality)], abs=2e-3)
    np.testing.assert_allclose(stacked_shares(np.full((2, 3), np.nan), np.ones(3)), 0.5)


def test_a_chain_learns_from_the_rows_that_sweeps_afford(rng, monkeypatch):
    X = rng.normal(size=(300, 2))
    parameters = {"bond_dim": 3, "degree": 2, "max_iter": 3, "random_state": 0}
    # 3 x (3 + 3) numbers a row.
    monkeypatch.setattr(born_fit, "_LARGEST_CHAIN", 100 * 18)
    rows = []
    original = born_fit.make_chain

    def counting(u, *args):
        rows.append(len(u))
        return original(u, *args)

    monkeypatch.setattr(born_fit, "make_chain", counting)
    density = MPSDensityEstimator(**parameters).fit(X)
    assert rows == [100]
    assert np.isfinite(density.score(X))


def test_the_last_sweeps_go_down_the_strengths_that_held_out_rows_saw(monkeypatch):
    def path(chain, weight, settings, alphas):
        return (SimpleNamespace(loss=alpha, settled=alpha < 0.3) for alpha in alphas)

    monkeypatch.setattr(born_fit, "chain_path", path)
    settings = SimpleNamespace(alpha="auto", max_iter=5)
    assert born_fit.run_chain(None, None, 4, settings)[1].tolist() == [1.0, 0.5, 0.25, 0.125]
    # Without held-out rows one strength, until the loss settles.
    assert born_fit.run_chain(None, None, None, settings)[1].tolist() == [born_fit._ALPHA]
    settings.alpha = 0.4
    assert born_fit.run_chain(None, None, 3, settings)[1].tolist() == [0.4] * 3
    assert born_fit.run_chain(None, None, None, settings)[1].tolist() == [0.4] * 5


def test_constant_columns_one_column_and_text(rng):
    X = np.column_stack([np.full(50, 3.0), rng.normal(size=50)])
    density = MPSDensityEstimator(max_iter=2, random_state=0).fit(X)
    assert np.all(np.isfinite(density.score_samples(X)))
    assert MPSDensityEstimator(max_iter=2).fit(X[:, 1:]).n_components_ == 0
