"""Preconditioned conjugate gradients for operators that are applied and never formed."""

import numpy as np

__all__ = ["conjugate_gradient"]


def conjugate_gradient(normal, precondition, start, rhs, steps, tol=1e-8):
    """A few steps from ``start`` towards the solution of normal(V) = rhs.

    normal, precondition functions of an array, start and rhs arrays of one shape
    -> array of that shape
    """
    scalar = start.dtype.type
    residual = rhs - normal(start)
    z = precondition(residual)
    values, direction = start, z
    power = first = float(np.vdot(residual, z))
    for _ in range(steps):
        if not power > tol * first:
            break
        image = normal(direction)
        curvature = float(np.vdot(direction, image))
        if not curvature > 0.0:
            break
        step = scalar(power / curvature)
        values = values + step * direction
        residual -= step * image
        z = precondition(residual)
        power, last = float(np.vdot(residual, z)), power
        direction = z + scalar(power / last) * direction
    return values
