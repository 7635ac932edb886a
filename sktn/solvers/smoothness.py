"""Edge-preserving smoothness of a tensor along its ordered modes.

    R(T) = sum_j s_j sum phi(|D_j T|_P),   phi(d) = 2 e sqrt(d^2 + e^2),   |d|_P^2 = d^T P d

D_j takes first differences along mode j. The penalty is quadratic for differences below e and
linear above, so that still regions are averaged and edges and motion are left alone; iterative
reweighting makes it quadratic, with weights w_j = s_j e / sqrt(|D_j T|_P^2 + e^2).

The entries along a short mode without an order (colours) change together, most of all in one
direction: P is the inverse covariance of their differences. What varies little (chroma) is then
smoothed much, at no loss to what varies (luminance), and an edge in one is an edge in all.

Both s_j and e follow from one number, the noise variance: a difference of mean size t_j has prior
precision 1 / t_j^2, thus s_j = noise / t_j^2 against observations of weight one, and what exceeds
three standard deviations of the noise is an edge.
"""

from dataclasses import dataclass

import numpy as np

from sktn.solvers.conjugate import conjugate_gradient

__all__ = ["Penalty", "Prior", "penalty", "prior", "smooth_residual"]

# A longer mode has too many covariances to be learned from a few observations.
_LONGEST_JOINT = 16
# Entries of one block of slices, so that all that is done with them finds them in the cache.
_BLOCK = 2**16


@dataclass(frozen=True)
class Prior:
    """What is known of a tensor before it is seen in full.

    steps dict of ordered mode to mean size of a difference, joint modes that change together
    """

    steps: dict
    joint: tuple


@dataclass(frozen=True)
class Penalty:
    """The quadratic form sum_j |D_j T|^2, weighted by ``weights`` in the metric ``metrics``.

    weights dict of mode j to arrays, one shorter along j and of length one along joint modes,
    metrics dict of joint mode to (I_k, I_k)
    """

    weights: dict
    metrics: dict

    def along(self, k):
        """The same form for tensors with axis k moved to the front."""

        def axis(j):
            return 0 if j == k else j + 1 if j < k else j

        return Penalty(
            {axis(j): np.ascontiguousarray(np.moveaxis(w, k, 0)) for j, w in self.weights.items()},
            {axis(j): P for j, P in self.metrics.items()},
        )

    def gradient(self, values):
        """Half the gradient, sum_j D_j^T w_j D_j P values."""
        n = len(values)
        rows = n if 0 in self.metrics else max(1, _BLOCK * n // values.size)
        out = np.empty(values.shape, values.dtype)
        carried = 0.0  # what the step from one block to the next adds to the next
        for start in range(0, n, rows):
            part = slice(start, start + rows)
            block = np.zeros(out[part].shape, out.dtype)
            block[0] += carried
            for axis, weight in self.weights.items():
                before = (slice(None),) * axis
                # Along the first axis the block's last slice has a neighbour in the next block.
                these = values[start : start + rows + (axis == 0)]
                step = these[(*before, slice(1, None))] - these[(*before, slice(None, -1))]
                step *= weight[part]
                low, high = block.shape[axis], block.shape[axis] - 1
                block[(*before, slice(None, step.shape[axis]))] -= step
                block[(*before, slice(1, None))] += step[(*before, slice(None, high))]
                if axis == 0:
                    carried = step[low - 1] if len(step) == low else 0.0
            out[part] = _mixed(block, self.metrics)
        return out

    def diagonal(self, shape):
        """Diagonal of the form's matrix."""
        out = np.zeros(shape, dtype=np.float32)
        for axis, weight in self.weights.items():
            before = (slice(None),) * axis
            out[(*before, slice(None, -1))] += weight
            out[(*before, slice(1, None))] += weight
        for axis, P in self.metrics.items():
            lengths = [1] * len(shape)
            lengths[axis] = -1
            out *= np.diag(P).reshape(lengths)
        return out


def prior(observed, ordered):
    """Mean sizes of differences between observed neighbours, and the modes that change together.

    observed `Observed`, ordered modes
    """
    W = observed.W
    values = observed.X / np.where(W > 0, W, 1.0)
    steps = {}
    for j in ordered:
        before = (slice(None),) * j
        both = W[(*before, slice(None, -1))] * W[(*before, slice(1, None))]
        total = float(both.sum(dtype=np.float64))
        mean = float(np.vdot(np.abs(np.diff(values, axis=j)), both)) / max(total, 1e-30)
        # Nothing observed side by side: unit variance says that neighbours are unrelated.
        steps[j] = mean if total > 0 else 1.0
    joint = tuple(
        k for k, n in enumerate(observed.shape) if k not in ordered and 1 < n <= _LONGEST_JOINT
    )
    return Prior(steps, joint)


def penalty(dense, prior, noise):
    """The form that agrees with the penalty at a tensor.

    dense (I_1, .., I_N), noise variance -> Penalty
    """
    if not prior.steps or noise <= 0:
        return Penalty({}, {})
    metrics = {k: _metric(dense, prior.steps, k, noise) for k in prior.joint}
    mixed = _mixed(dense, metrics)
    # As large as the precision of the entries goes: beyond, nothing is an edge.
    edge2, weights = min(9.0 * noise, float(np.finfo(dense.dtype).max)), {}
    for j, size in prior.steps.items():
        # Below the noise no difference can be measured, so none is taken for smaller.
        strength = noise / max(size**2, noise)
        square = np.diff(dense, axis=j)
        square *= np.diff(mixed, axis=j)
        square = square.sum(axis=prior.joint, keepdims=True) if prior.joint else square
        np.maximum(square, 0.0, out=square)
        weights[j] = (strength / np.sqrt(1.0 + square / edge2)).astype(dense.dtype)
    return Penalty(weights, metrics)


def _metric(dense, steps, k, noise):
    """Inverse covariance along mode k of the differences along other modes, largest variance 1."""
    n = dense.shape[k]
    C = 2.0 * noise * np.eye(n)  # what the noise adds to a difference
    for j in steps:
        step = np.moveaxis(np.diff(dense, axis=j), k, 0).reshape(n, -1)
        C += (step @ step.T).astype(np.float64) / (step.shape[1] * len(steps))
    values, vectors = np.linalg.eigh(C)
    # The inverse is rounded to the data's precision, relative to its largest eigenvalue: what is
    # below that could come back negative, and the form would no longer be one.
    values = np.maximum(values, 16.0 * n * np.finfo(dense.dtype).eps * values[-1])
    return ((vectors * (values[-1] / values)) @ vectors.T).astype(dense.dtype)


def _mixed(values, metrics):
    """P applied along every joint mode."""
    for axis, P in metrics.items():
        before = int(np.prod(values.shape[:axis]))
        flat = values.reshape(before, len(P), -1)
        values = np.matmul(P, flat).reshape(values.shape)
    return values


def smooth_residual(observed, dense, form, attachment, steps=15):
    """Values near a network's that follow the observations and are smooth.

        min_T  ||W * (X - T)||^2 + attachment ||T - dense||^2 + mean(W) R(T)

    A network cannot follow every detail; its residual is observed too, and is smooth where no
    detail is. Preconditioned conjugate gradients from the network's
    values.

    observed `Observed`, dense (I_1, .., I_N), form `Penalty` -> (I_1, .., I_N)
    """
    rho = dense.dtype.type(observed.density)
    attachment = dense.dtype.type(attachment)
    base = observed.W + attachment

    def normal(V):
        return base * V + rho * form.gradient(V)

    inverse = 1.0 / (base + rho * form.diagonal(dense.shape))
    rhs = observed.X + attachment * dense
    return conjugate_gradient(normal, lambda r: r * inverse, dense, rhs, steps)
