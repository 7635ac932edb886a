"""Conjugate gradients of several systems at once, and of one."""

import numpy as np

from sktn.solvers.conjugate import conjugate_gradients
from sktn.solvers.newton import _dots


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


def test_scores_beyond_the_range_of_one_system_leave_it_where_it_was():
    # The second one's scores overflow, and so does its curvature.
    slope = np.array([1, 1e30], np.float32).reshape(2, 1, 1)
    rhs = np.array([1, 1e20], np.float32).reshape(2, 1, 1)

    def solved(which):
        def apply(d):
            f = slope[which] * d
            return slope[which] * f, f

        some = rhs[which]
        return conjugate_gradients(apply, lambda r: r, some, 5, lambda power: 1e-6 * power)

    for which, wanted in (([0, 1], [1, 0]), ([1], [0])):
        x, image = solved(which)
        np.testing.assert_array_equal(x.ravel(), wanted)
        assert image is None or np.isfinite(image).all()


def test_squares_of_directions_are_taken_in_double_precision():
    u = np.array([[1e30, -1e30], [1, 2]], np.float32)
    np.testing.assert_allclose(_dots(u, u), [2e60, 5], rtol=1e-6)
    np.testing.assert_allclose(_dots(u, u[::-1].copy()), [-1e30, -1e30], rtol=1e-6)
