"""Long tables: blocks of rows, rows that are held out, the strength lowered on them."""

import os
import subprocess
import sys

import numpy as np
import pytest

import sktn
from sktn import MPSClassifier, MPSRegressor
from sktn.chains import copies, prior, roughness, solvers, streamed
from sktn.chains.roughness import Roughness, Smooth, for_mini_batches
from sktn.chains.solvers import Adam
from sktn.tables import sites
from sktn.tables.columns import Columns
from sktn.tables.lazy import LazyCoordinates

N = 1500
SMALL = {"bond_dim": 3, "degree": 2, "max_landmarks": 60, "random_state": 0}


@pytest.fixture
def short(monkeypatch):
    """Tables of a thousand rows are long."""
    for module in (copies, streamed, solvers, solvers.gradient, prior, roughness):
        monkeypatch.setattr(module, "STREAMED_ROWS", 1000)
    monkeypatch.setattr(streamed, "_BLOCK_ROWS", 500)
    monkeypatch.setattr(streamed, "_TRIAL", 1000)
    monkeypatch.setattr(solvers, "_ROWS_SEEN", 2 * N)
    monkeypatch.setattr(sites, "LEARNED_ROWS", 800)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 3)).astype(np.float32)
    return X, (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int)


def test_a_long_table_is_streamed_in_as_many_passes_as_it_needs(short, table, capsys):
    model = MPSClassifier(**SMALL, verbose=1).fit(*table)
    assert model.score(*table) > 0.9
    said = capsys.readouterr().out
    # 1,350 rows are trained on, in three blocks, and at least three times.
    assert "strength" in said
    assert "pass 3 over 1350 rows" in said
    assert len(model.loss_curve_) == 9
    assert 0.9 < model.validation_score_ <= 1


def test_a_memory_map_gives_the_same_model(short, table, tmp_path):
    X, y = table
    path = tmp_path / "X.npy"
    np.save(path, X)
    in_memory = MPSClassifier(**SMALL).fit(X, y)
    mapped = MPSClassifier(**SMALL).fit(np.load(path, mmap_mode="r"), y)
    np.testing.assert_array_equal(in_memory.predict_proba(X), mapped.predict_proba(X))


def test_the_strength_is_lowered_only_where_it_may_be_chosen(short, table):
    X, y = table
    chosen = MPSClassifier(**SMALL).fit(X, y)
    given = MPSClassifier(**SMALL, alpha=1.0).fit(X, y)
    assert given.alpha_ == 1.0
    # The landmarks' own choice, or half decades below it.
    problem_alpha = _convex_choice(X, y)
    halves = 2 * np.log10(problem_alpha / chosen.alpha_)
    assert halves >= -1e-9
    assert abs(halves - round(halves)) < 1e-6


def _convex_choice(X, y):
    said = []

    class Spy(Adam):
        def solve(self, problem, plan, **extras):
            said.append(problem.alpha)
            return super().solve(problem, plan, **extras)

    MPSClassifier(**SMALL, solver=Spy(max_iter=1, batch_size=500)).fit(X, y)
    return said[0]


def test_what_is_best_on_the_held_out_rows_is_kept(short, table):
    X, y = table
    diverging = Adam(learning_rate=1e6, max_iter=3, batch_size=500)
    with pytest.warns(UserWarning, match="no longer finite"):
        model = MPSClassifier(**SMALL, solver=diverging).fit(X, y)
    # The start, of which the table's noise is none.
    assert model.score(X, y) > 0.8


def test_time_limit_cuts_the_schedule_short(short, table, monkeypatch):
    X, y = table
    model = MPSClassifier(**SMALL, time_limit=1e-3).fit(X, y)
    assert model.score(X, y) > 0.8
    assert model.n_iter_ == 1


@pytest.mark.parametrize("n_rows", [1, 255, 1000])
def test_blocks_hold_every_row_once_and_are_of_one_size(n_rows):
    rows = 3 * np.arange(n_rows)
    blocks = streamed._blocks(rows, min(n_rows, 4), np.random.RandomState(0))
    np.testing.assert_array_equal(np.sort(np.concatenate(blocks)), rows)
    sizes = [len(block) for block in blocks]
    assert max(sizes) - min(sizes) <= 1


def test_blocks_come_from_all_over_the_table():
    blocks = streamed._blocks(np.arange(100_000), 4, np.random.RandomState(0))
    assert all(block.min() < 5000 and block.max() > 95_000 for block in blocks)


def test_less_memory_means_smaller_blocks_and_batches(short, table):
    X, y = table
    made = []

    class Spy(streamed.Streamed):
        def __init__(self, *args):
            super().__init__(*args)
            made.append((self.n_blocks, self.batch_size))
            raise InterruptedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solvers.gradient, "Streamed", Spy)
        for max_memory in (2**30, 2**16):
            with sktn.config_context(max_memory=max_memory), pytest.raises(InterruptedError):
                MPSClassifier(**SMALL, alpha=0.1).fit(X, y)
    (few, large), (many, small) = made
    assert many > few
    assert small < large


@pytest.mark.parametrize("model", [MPSClassifier, MPSRegressor])
def test_no_more_than_some_rows_are_made_coordinates_at_once(short, model, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5600, 3)).astype(np.float32)
    y = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int)
    np.save(tmp_path / "X.npy", X)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    sizes, transform = [], Columns.transform

    def counted(columns, X, *arguments):
        sizes.append(len(X))
        return transform(columns, X, *arguments)

    def no_copy(training, solver, problem, plan):
        assert np.shares_memory(problem.coords.X, X)
        init(training, solver, problem, plan)

    init = streamed.Streamed.__init__
    monkeypatch.setattr(Columns, "transform", counted)
    monkeypatch.setattr(streamed.Streamed, "__init__", no_copy)
    model(**SMALL).fit(X, y)
    # Those that the order of the columns is found by are most.
    assert max(sizes) == 5000


def test_long_tables_have_waves_where_columns_are_rough(short):
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(2000, 2)).astype(np.float32)
    y = np.floor(16 * X[:, 0]).astype(int) % 2
    model = MPSClassifier(bond_dim=2, max_landmarks=100, random_state=0).fit(X[:1500], y[:1500])
    assert model.basis_.dim > 17
    assert model.score(X[1500:], y[1500:]) > 0.9


def test_mini_batches_take_rough_parts_alone_and_not_too_many_components():
    one = np.ones(64)
    found = for_mini_batches(Roughness(one, np.ones((64, 2)), np.r_[128, one[1:]]))
    np.testing.assert_array_equal(found.largest, np.r_[31, one[1:]])
    many = Roughness(np.ones(1000), np.ones((1000, 2)), np.full(1000, 128))
    assert for_mini_batches(many).largest.max() == prior.SMOOTH_DEGREE
    assert for_mini_batches(Smooth(one)) is None
    assert for_mini_batches(None) is None


def test_rows_of_weight_zero_are_not_there(short, table):
    X, y = table
    weight = np.r_[np.zeros(200), np.ones(N)]
    longer = np.r_[X[:200], X]
    one = MPSClassifier(**SMALL).fit(longer, np.r_[y[:200], y], sample_weight=weight)
    other = MPSClassifier(**SMALL).fit(longer, np.r_[1 - y[:200], y], sample_weight=weight)
    np.testing.assert_array_equal(one.decision_function(X), other.decision_function(X))


def test_regression_and_several_networks(short, table):
    X, _ = table
    y = X[:, 0] * X[:, 1] + X[:, 2]
    model = MPSRegressor(**SMALL, n_estimators=2).fit(X, y)
    assert len(model.networks_) == 2
    assert model.score(X, y) > 0.9


def test_the_solution_has_the_precision_of_the_table(short, table):
    X, y = table
    model = MPSClassifier(**SMALL, alpha=0.1).fit(X.astype(np.float64), y)
    assert model.networks_[0].dtype == np.float64
    assert model.predict_proba(X.astype(np.float64)).dtype == np.float64


def test_coordinates_on_demand_are_those_of_the_columns(table):
    X, _ = table
    columns = sites.make_sites(X, None).columns
    lazy = LazyCoordinates(columns, X, np.dtype(np.float32))
    whole = columns.transform(X)
    assert (len(lazy), lazy.shape, lazy.ndim) == (N, whole.shape, 3)
    np.testing.assert_array_equal(lazy[5:9], whole[5:9])
    np.testing.assert_array_equal(lazy[np.array([7, 3])], whole[[7, 3]])
    np.testing.assert_array_equal(np.asarray(lazy), whole)
    assert lazy.astype(np.float64)[:2].dtype == np.float64
    with pytest.raises(ValueError, match="always a copy"):
        np.asarray(lazy, copy=False)


def test_columns_are_learned_from_some_rows_of_a_long_table(short, table):
    X, _ = table
    made = sites.make_sites(X, None)
    assert isinstance(made.coords, LazyCoordinates)
    assert len(sites.learned_rows(X, None)) == 800
    # Rows of weight 0 say nothing, and are not counted.
    weight = np.zeros(N)
    weight[:300] = 1
    np.testing.assert_array_equal(sites.learned_rows(X, weight), np.arange(300))
    short_table = sites.make_sites(X[:800], None)
    assert isinstance(short_table.coords, np.ndarray)


STREAMED = """
import sys
import numpy as np
import sktn
from sktn.chains import prior, solvers, streamed

streamed.STREAMED_ROWS = solvers.STREAMED_ROWS = solvers.gradient.STREAMED_ROWS = 1000
streamed._BLOCK_ROWS = 512
solvers._ROWS_SEEN = 3000
rng = np.random.default_rng(0)
X = rng.normal(size=(1500, 3)).astype(np.float32)
y = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int)
model = sktn.MPSClassifier(alpha=0.1, bond_dim=3, degree=2, max_landmarks=60, random_state=0)
proba = model.fit(X, y).predict_proba(X)
np.save(sys.argv[1], proba)
"""


@pytest.mark.slow
def test_eight_devices_stream_to_the_scores_of_one(tmp_path):
    found = []
    for n_devices in (1, 8):
        flags = f"--xla_force_host_platform_device_count={n_devices}"
        out = tmp_path / f"{n_devices}.npy"
        done = subprocess.run(
            [sys.executable, "-c", STREAMED, str(out)],
            env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "SKTN_BACKEND": "jax"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        found.append(np.load(out))
    np.testing.assert_allclose(*found, atol=1e-4)
