"""Conjugate gradients of several systems at once, and of one."""

import numpy as np

from sktn.solvers.conjugate import conjugate_gradients


def test_one_system_is_solved_as_one_of_several(rng):
    A = rng.normal(size=(2, 6, 6))
    A = A @ A.mT + np.eye(6)
    b = rng.normal(size=(2, 6))
    for k in range(2):
        alone, summed = conjugate_gradients(
            lambda d, k=k: (d @ A[k], 2 * d), lambda r: r, b[k : k + 1], 6, lambda power: 0 * power
        )
        np.testing.assert_allclose(alone[0], np.linalg.solve(A[k], b[k]), rtol=1e-8)
        np.testing.assert_allclose(summed, 2 * alone)
    both, _ = conjugate_gradients(
        lambda d: ((d[:, None] @ A)[:, 0], None), lambda r: r, b, 6, lambda power: 0 * power
    )
    np.testing.assert_allclose(both, np.linalg.solve(A, b[:, :, None])[:, :, 0], rtol=1e-8)


def test_a_direction_without_curvature_is_left():
    """Its step is no number of single precision."""
    b = np.ones((1, 3), np.float32)
    found, _ = conjugate_gradients(
        lambda d: (np.float32(1e-40) * d, None),
        lambda r: np.float32(1e30) * r,
        b,
        5,
        lambda power: 0 * power,
    )
    assert np.isfinite(found).all()


def test_a_system_of_hardly_any_curvature_rests():
    curvature = np.array([[1e-200], [1.0]])
    x, _ = conjugate_gradients(
        lambda d: (curvature * d, None),
        lambda r: r.copy(),
        np.array([[1e150], [1.0]]),
        3,
        lambda power: 1e-20 * power,
    )
    np.testing.assert_array_equal(x, [[0.0], [1.0]])
