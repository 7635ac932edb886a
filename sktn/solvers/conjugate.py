"""Preconditioned conjugate gradients for operators that are applied and never formed."""

import numpy as np

from sktn.backend import namespace

__all__ = ["conjugate_gradient", "conjugate_gradients"]


@np.errstate(over="ignore", invalid="ignore")
def conjugate_gradients(apply, precondition, rhs, steps, goal):
    """P systems at once, H_p x_p = rhs_p, from 0. A system rests when its squared residual in the
    preconditioned norm is below its goal, or where H_p bends the wrong way or hardly at all.

    apply: d -> H d and what else should be summed along (or None); rhs (P, ...);
    goal: first squared residuals (P,) -> (P,)
    -> x (P, ...), the sum
    """
    xp = namespace(rhs)
    if len(rhs) == 1 and xp is np:
        return _one_system(apply, precondition, rhs, steps, goal)
    x, image, residual = xp.zeros_like(rhs), None, rhs
    z = d = precondition(residual)
    power = _dots(residual, z)
    limit, live = goal(power), np.ones(len(rhs), bool)
    for _ in range(steps):
        live = live & np.asarray(power > limit)
        if not live.any():
            break
        Hd, f = apply(d)
        bend = _dots(d, Hd)
        live = live & np.asarray((bend > 0) & (bend < np.inf))
        a = _column(xp.where(live, power / xp.where(live, bend, 1), 0), rhs)
        step = a * d
        # Hardly any curvature: beyond what numbers can say.
        live = live & np.asarray(xp.isfinite(step).reshape(len(rhs), -1).all(axis=1))
        a, step = (xp.where(_column(live, rhs), value, 0) for value in (a, step))
        x = x + step
        if f is not None:
            # What rests may be beyond the range: no multiple of that is nothing.
            moved = a * f if live.all() else xp.where(_column(live, f), a * f, 0)
            image = moved if image is None else image + moved
        residual = residual - a * Hd
        z = precondition(residual)
        new = _dots(residual, z)
        d = z + _column(xp.where(live, new / xp.where(live, power, 1), 0), rhs) * d
        power = xp.where(live, new, power)
    return x, image


@np.errstate(over="ignore", invalid="ignore")
def _one_system(apply, precondition, rhs, steps, goal):
    """As :func:`conjugate_gradients`, P = 1, in place: for small systems calls are what costs."""
    x, image, residual = np.zeros_like(rhs), None, rhs.copy()
    z = precondition(residual)
    d, power = z.copy(), float(np.vdot(residual, z))
    limit = float(np.reshape(goal(np.full(1, power)), ()))
    for _ in range(steps):
        if not power > limit:
            break
        Hd, f = apply(d)
        bend = float(np.vdot(d, Hd))
        if not 0 < bend < np.inf:
            break
        a = rhs.dtype.type(power / bend)
        step = a * d
        if not np.isfinite(step).all():  # Hardly any curvature: beyond what numbers can say.
            break
        x += step
        if f is not None:
            image = a * f if image is None else np.add(image, a * f, out=image)
        residual -= a * Hd
        z = precondition(residual)
        new = float(np.vdot(residual, z))
        d *= rhs.dtype.type(new / power)
        d += z
        power = new
    return x, image


def conjugate_gradient(normal, precondition, start, rhs, steps, tol=1e-8):
    """A few steps from ``start`` towards the solution of normal(V) = rhs, one system.

    normal, precondition functions of an array, start and rhs arrays of one shape
    -> array of that shape
    """
    moved, _ = conjugate_gradients(
        lambda d: (normal(d[0])[None], None),
        lambda r: precondition(r[0])[None],
        (rhs - normal(start))[None],
        steps,
        lambda power: tol * power,
    )
    return start + moved[0]


def _dots(u, v):
    """<u_p, v_p>: (P, ...), (P, ...) -> (P,)"""
    P = len(u)
    return (u.reshape(P, 1, -1) @ v.reshape(P, -1, 1)).reshape(P)


def _column(a, like):
    return a.astype(like.dtype).reshape(-1, *(1,) * (like.ndim - 1))
