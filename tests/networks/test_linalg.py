"""Truncated SVD, exact scales, norms with a gradient at 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sktn.networks.linalg import power_of_two_scale, split_svd, truncated_svd

compiled_svd = jax.jit(truncated_svd, static_argnums=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scale_is_exact_and_close(executor, rng, dtype):
    x = (rng.normal(size=(50, 7)) * 10.0 ** rng.uniform(-30, 30, (50, 1))).astype(dtype)
    with executor.precision(dtype):
        scale = executor.get(power_of_two_scale(executor.put(x), axis=1))
    assert scale.dtype == dtype
    assert scale.shape == (50, 1)
    assert np.all(np.frexp(scale)[0] == 0.5), "not a power of two"
    largest = np.abs(x / scale).max(axis=1)
    assert np.all((largest >= 1) & (largest < 2))
    np.testing.assert_array_equal(x / scale * scale, x)


@pytest.mark.parametrize("value", [0.0, np.inf, np.nan])
def test_scale_of_what_has_none_is_one(executor, value):
    x = executor.put(np.full((1, 3), value, np.float32))
    assert power_of_two_scale(x, axis=1).item() == 1


def test_no_gradient_flows_through_the_scale():
    gradient = jax.grad(lambda x: (x / power_of_two_scale(x, axis=0)).sum())(jnp.full(2, 3.0))
    np.testing.assert_array_equal(gradient, [0.5, 0.5])


# Every shape compiles anew, so they are few.
@pytest.mark.parametrize("tol", [0.0, 0.1, 0.5, 2.0])
@pytest.mark.parametrize(("rows", "columns", "max_rank"), [(5, 3, 8), (4, 4, 2), (1, 3, 1)])
def test_truncated_svd_is_the_best_approximation(executor, rng, rows, columns, max_rank, tol):
    matrix = rng.normal(size=(rows, columns))
    svd = compiled_svd if executor.name == "jax" else truncated_svd
    with executor.precision(np.float64):
        U, s, Vt, rank = executor.get(svd(executor.put(matrix), max_rank, tol))
    full = np.linalg.svd(matrix, compute_uv=False)
    lost = np.append(np.cumsum(full[::-1] ** 2)[::-1], 0.0)  # lost[r]: the error of rank r
    wanted = int(np.argmax(lost <= tol**2 * lost[0]))
    wanted = max(1, min(wanted, max_rank, len(full)))
    assert rank == wanted
    width = min(rows, columns, max_rank)
    assert U.shape == (rows, width)
    assert s.shape == (width,)
    assert Vt.shape == (width, columns)
    np.testing.assert_allclose(s, np.where(np.arange(width) < wanted, full[:width], 0), atol=1e-12)
    error = np.linalg.norm(matrix - (U * s) @ Vt) ** 2
    np.testing.assert_allclose(error, lost[wanted], atol=1e-10)


def test_truncated_svd_of_nothing_keeps_one_value():
    U, s, Vt, rank = map(np.asarray, compiled_svd(jnp.zeros((3, 4)), 2, 0.1))
    assert int(rank) == 1
    assert not np.isnan(U).any()
    np.testing.assert_array_equal(s, 0)
    assert Vt.shape == (2, 4)


def test_a_matrix_is_split_within_a_budget_of_squares(rng):
    U, V = (np.linalg.qr(rng.normal(size=(n, 4)))[0] for n in (7, 5))
    matrix = U * [4.0, 2.0, 1.0, 0.5] @ V.T
    for budget, most, rank, lost in [
        (0.0, None, 4, 0.0),
        (1.2, None, 3, 0.25),
        (1.3, None, 2, 1.25),
        (0.0, 2, 2, 1.25),
        (100.0, None, 1, 5.25),
    ]:
        left, rest, squares = split_svd(matrix, budget + 1e-20, most)
        assert left.shape == (7, rank)
        np.testing.assert_allclose(left.T @ left, np.eye(rank), atol=1e-12)
        assert squares == pytest.approx(lost, abs=1e-12)
        assert np.linalg.norm(matrix - left @ rest) ** 2 == pytest.approx(lost, abs=1e-12)
