"""Sweeps of squares against dense contractions and exact solutions."""

import numpy as np
import pytest

from sktn.solvers import born_sweep
from sktn.solvers.sweep import Split


def random_cores(rng, D, dims, outs):
    bonds = [1, *[D] * (len(dims) - 1), 1]
    return [
        rng.normal(size=(bonds[k], d, o, bonds[k + 1]))
        for k, (d, o) in enumerate(zip(dims, outs, strict=True))
    ]


def random_sites(rng, dims, n_rows, missing=0.0):
    """Site vectors, the unit vectors for missing values."""
    sites = []
    for d in dims:
        x = np.zeros((n_rows, d if missing else 1, d))
        x[:, 0] = rng.normal(size=(n_rows, d))
        x[rng.uniform(size=n_rows) < missing] = np.eye(d)[: x.shape[1]]
        sites.append(x)
    return sites


def dense_logs(cores, sites):
    """l of every row, by a sum over all components: the reference."""
    N = len(sites[0])
    squares, norm = np.ones((N, 1, 1)), np.ones((1, 1))
    for core, x in zip(cores, sites, strict=True):
        B = np.einsum("ned,ldor->nelor", x, core)
        squares = np.einsum("nlk,nelor,nekou->nru", squares, B, B)
        norm = np.einsum("lk,ldor,kdou->ru", norm, core, core)
    return np.log(squares[:, 0, 0]) - np.log(norm[0, 0])


def make_objective(kind, rng, n_rows):
    weight = rng.integers(0, 3, n_rows).astype(float)
    if kind == "likelihood":
        return born_sweep.LogLikelihood(weight)
    return born_sweep.LogNorms(weight, {"norms": 0.4, "heavy norms": 20.0}[kind])


KINDS = ["likelihood", "norms", "heavy norms"]
# Dimensions of the sites, of their output legs, share of missing values.
CASES = [
    ((3, 2, 4, 3), (1, 1, 1, 1), 0.0),
    ((3, 2, 4, 3), (1, 1, 1, 1), 0.3),
    ((2, 3, 2, 2), (1, 2, 1, 3), 0.0),
    ((3, 2), (1, 2), 0.3),
    ((4,), (1,), 0.3),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dims", "outs", "missing"), CASES)
@pytest.mark.parametrize("two_site", [False, True])
def test_sweeps_descend_and_report_the_true_loss(rng, kind, dims, outs, missing, two_site):
    cores, sites = random_cores(rng, 3, dims, outs), random_sites(rng, dims, 30, missing)
    objective = make_objective(kind, rng, 30)
    # A truncation that cuts nothing.
    found = born_sweep.sweep(
        cores,
        sites,
        objective,
        split=Split(50, 0.0) if two_site else None,
        max_sweeps=4,
        tol=-1.0,
    )
    assert found.losses[0] == pytest.approx(objective.value(dense_logs(cores, sites)))
    assert np.all(np.diff(found.losses) <= 1e-9)
    np.testing.assert_allclose(found.logs, dense_logs(found.cores, sites), atol=1e-8)
    assert found.losses[-1] == pytest.approx(objective.value(found.logs))
    assert born_sweep.log_squared_norm(found.cores) == pytest.approx(0, abs=1e-9)
    for core in found.cores[1:]:
        matrix = core.reshape(len(core), -1)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(core)), atol=1e-10)


def test_a_local_minimum_of_the_likelihood_is_the_smallest_of_its_cell(rng):
    """Between two changes of sign the problem is convex: no other point of the cell is below."""
    F, weight = rng.normal(size=(12, 3)), rng.uniform(1, 2, 12)
    site = born_sweep._Site(F[:, None], np.ones((12, 1, 1)), np.zeros(12))
    objective = born_sweep.LogLikelihood(weight)
    A = born_sweep.minimize_locally(site, np.ones((3, 1, 1)), objective, 50, 10)
    signs = F @ A[:, 0, 0] > 0
    others = rng.normal(size=(200000, 3))
    others = others[np.all((others @ F.T > 0) == signs, axis=1)]
    assert len(others) > 50
    logs = np.log((others @ F.T) ** 2) - np.log(np.sum(others**2, axis=1))[:, None]
    best = objective.value(site.logs(born_sweep.squares(site.forward(A)), 1.0))
    assert best < np.min(-logs @ objective.weight) < best + 0.1


@pytest.mark.parametrize("two_site", [False, True])
def test_without_a_bound_a_born_machine_is_the_empirical_distribution(rng, two_site):
    rows = rng.integers(0, 2, (40, 3))
    sites = [np.eye(2)[column][:, None] for column in rows.T]
    found = born_sweep.sweep(
        random_cores(rng, 2, (2, 2, 2), (1, 1, 1)),
        sites,
        born_sweep.LogLikelihood(np.ones(40)),
        split=Split(4, 0.0) if two_site else None,
        max_sweeps=200,
        tol=1e-12,
    )
    counts = np.unique(rows, axis=0, return_counts=True)[1]
    assert found.losses[-1] == pytest.approx(-np.sum(counts * np.log(counts / 40)) / 40, abs=1e-5)


def test_the_best_norm_of_an_operator(rng):
    logs = rng.normal(size=8) - 3
    for alpha in (0.0, 0.5, 3.0, 100.0):
        for shift in (0.0, 6.0):
            objective = born_sweep.LogNorms(np.ones(8), alpha)
            t = np.linspace(-20, 20, 400001)[:, None]
            values = np.mean((logs + shift + t - 1) ** 2, axis=1) + alpha * np.maximum(t[:, 0], 0)
            assert objective.value(logs + shift) == pytest.approx(values.min(), abs=1e-8)
            slopes, eps = objective.slopes(logs + shift), 1e-6
            for i, e in enumerate(eps * np.eye(8)):
                up, down = objective.value(logs + shift + e), objective.value(logs + shift - e)
                assert slopes[i] == pytest.approx((up - down) / (2 * eps), abs=1e-6)


def test_two_site_sweeps_find_the_bond_dimension(rng):
    # Two pairs of equal bits: bond dimension 2 inside a pair and 1 between them.
    bits = np.repeat(np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 3), 2, axis=1)
    sites = [np.eye(2)[column][:, None] for column in bits.T]
    start = [np.ones((1, 2, 1, 1)) + 0.01 * rng.normal(size=(1, 2, 1, 1)) for _ in range(4)]
    found = born_sweep.sweep(
        start,
        sites,
        born_sweep.LogLikelihood(np.ones(12)),
        split=Split(8, 0.03),
        max_sweeps=30,
        tol=1e-9,
    )
    assert [core.shape[3] for core in found.cores] == [2, 1, 2, 1]
    assert found.losses[-1] == pytest.approx(np.log(4), abs=0.01)


def test_rows_without_weight_do_not_count(rng):
    dims, outs = (3, 2, 3), (1, 2, 1)
    cores, sites, weight = (
        random_cores(rng, 2, dims, outs),
        random_sites(rng, dims, 30),
        np.ones(30),
    )
    weight[20:] = 0
    every = born_sweep.sweep(cores, sites, born_sweep.LogNorms(weight, 1.0))
    some = born_sweep.sweep(cores, [x[:20] for x in sites], born_sweep.LogNorms(np.ones(20), 1.0))
    np.testing.assert_allclose(every.losses, some.losses, rtol=1e-8)


def test_long_chains_stay_in_the_range_of_float32(rng):
    n = 1500
    cores = [core.astype(np.float32) for core in random_cores(rng, 2, [2] * n, [1] * n)]
    sites = [10 * x.astype(np.float32) for x in random_sites(rng, [2] * n, 5)]
    found = born_sweep.sweep(
        cores, sites, born_sweep.LogLikelihood(np.ones(5)), max_sweeps=1, n_newton=1, n_cg=1
    )
    assert found.cores[0].dtype == np.float32
    assert np.all(np.isfinite(found.losses))
    assert found.losses[1] < found.losses[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norms_of_chains_that_cancel(dtype, rng):
    for _ in range(10):
        first = rng.standard_normal((1, 2, 1, 3))
        # All but rounding of first . last cancels.
        null = np.cross(*first[0, :, 0])
        last = np.outer(null, rng.standard_normal(2))[:, :, None, None]
        chain = [core.astype(dtype) for core in (first, last)]
        found = born_sweep.log_squared_norm(chain)
        size = 2 * np.log(np.linalg.norm(first) * np.linalg.norm(last))
        assert -np.inf < found < size + 2 * np.log(10 * np.finfo(dtype).eps)
