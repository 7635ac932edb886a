"""One growth of a network on observed entries: coarse scales first, bond by bond.

Every decision (scale, smoothness, which bond to widen, when to stop) is made by held-out entries.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from sktn.networks import graph
from sktn.solvers import smoothness
from sktn.solvers.als_masked import masked_sweep
from sktn.structure import moves, scales

__all__ = ["Growth", "Plan"]

# Where the search for the noise variance starts, relative to the variance of the data.
_FIRST_NOISE = 1e-2
# Where the search for the attachment of the smooth residual to the network starts.
_FIRST_ATTACHMENT = 0.1


@dataclass(frozen=True)
class Plan:
    """What is fixed before a growth begins.

    ordered modes that are averaged and smoothed, noise variance relative to the data's (0: no
    smoothness, None: chosen on the way), ridge weight of the cores' squared norms
    """

    ordered: tuple
    noise: float | None
    ridge: float


class Growth:
    """Where a growth is: scale, cores, their held-out loss, and how smooth the data seem."""

    def __init__(self, levels, plan, settings, rng, callback=None):
        self.plan, self.settings, self.rng = plan, settings, rng
        self._levels, self._callback = levels, callback
        self.noise = _FIRST_NOISE if plan.noise is None else plan.noise
        self.attachment = None
        self.cores, self.loss = None, np.inf
        self._scale = 0

    def expired(self):
        """Whether the time is up."""
        return self.settings.expired()

    def begin(self, shape):
        """All scales but the finest; the loss is that of the second finest, if there is one."""
        *coarse, self._finest = scales.levels(
            shape, self.plan.ordered, self.settings.n_scales, shortest=16
        )
        for level, halvings in enumerate(coarse):
            self._scale = len(coarse) - level
            self._grow(self._enter(halvings))
        return self

    def lift(self):
        """From the second finest scale to the data themselves, without growth there."""
        self._scale = 0
        self.data = self._enter(self._finest)
        return self

    def _enter(self, halvings):
        """A scale's data, and the cores stretched and fitted to them."""
        data = self._levels.at(halvings, self.plan.ordered)
        here, dtype = data.train.shape, data.train.X.dtype
        first = self.cores is None
        cores = _start(here, self.rng, dtype) if first else self.cores
        cores = [scales.interpolate(c, k, here[k]).astype(dtype) for k, c in enumerate(cores)]
        self.loss, self.cores = self._fit(data, cores)
        self._note("start" if first else "lift")
        if not first:  # A network of rank one is too far from the data to tell how smooth they are.
            self._settle(data, 4.0)
        return data

    def go_on(self):
        """Growth at the finest scale, then the smooth residual; the loss is that of both."""
        self._grow(self.data)
        self._sweep_noise = self.noise
        self.held_values = self._settle(self.data, 2.0)
        self.loss = self.data.error(self.held_values)
        return self

    def refit(self):
        """All observed entries, for what the held-out ones have settled: values everywhere."""
        data = self.data
        self.cores = self._sweeps(data.full, data.prior, self.cores, self._sweep_noise)
        self._note("refit")
        return self._values(data.full, data.prior, graph.to_dense(self.cores))

    def _note(self, action, bond=None):
        if self._callback is not None:
            self._callback(
                {
                    "scale": self._scale,
                    "action": action,
                    "bond": bond,
                    "relative_error": float(np.sqrt(self.loss)),
                    "n_parameters": int(sum(core.size for core in self.cores)),
                }
            )

    def _sweeps(self, observed, prior, cores, noise):
        """Sweeps of masked ALS, reweighted before each."""
        for _ in range(self.settings.sweeps):
            form = None
            if prior.steps and noise > 0:
                form = smoothness.penalty(graph.to_dense(cores), prior, noise)
            cores = masked_sweep(observed, cores, form, self.plan.ridge, expired=self.expired)
            if self.expired():
                break
        return cores

    def _fit(self, data, cores):
        """Network after sweeps on the training entries, and its held-out loss."""
        cores = self._sweeps(data.train, data.prior, cores, self.noise)
        return data.loss(graph.to_dense(cores)), cores

    def _grow(self, data):
        """Widen bonds, or, where the observations bear no more, sweep on, until the held-out loss
        no longer falls."""
        settings, failures, best = self.settings, 0, (self.loss, self.cores)
        for _ in range(settings.max_steps):
            if best[0] < 1e-8 or self.expired():
                break
            wider, bond = _widened(data, self.cores, self.rng, settings.growth, self.expired)
            if self.expired():
                break
            self.loss, self.cores = self._fit(data, wider)
            self._note("expand" if bond else "sweep", bond)
            # A coarse scale only has to find what is plain; detail is cheaper to find in focus.
            enough = self.loss < (0.97 if self._scale else 0.995) * best[0]
            failures = 0 if enough else failures + 1
            if self.loss < best[0]:
                best = (self.loss, self.cores)
            if failures >= (settings.patience if bond and not self._scale else 1):
                break
        self.loss, self.cores = best

    def _settle(self, data, factor):
        """Choose attachment and noise of the smooth residual; no residual where it does not help.

        -> values of the held-out entries
        """
        dense = graph.to_dense(self.cores)
        smooth = self.settings.residual and data.prior.steps and self.noise > 0
        if self.expired() or not smooth:
            return data.held_out(dense)
        window = _window(dense.shape, data.prior.steps)
        part, some = data[window], dense[window]

        def loss(attachment, noise):
            return part.loss(_with_residual(part.train, part.prior, some, attachment, noise))

        attachment = self.attachment or _FIRST_ATTACHMENT
        attachment = _descend(lambda a: loss(a, self.noise), attachment, factor, self.expired)
        if self.plan.noise is None:
            self.noise = _descend(lambda n: loss(attachment, n), self.noise, factor, self.expired)
        helps = not self.expired() and loss(attachment, self.noise) < part.loss(some)
        self.attachment = attachment if helps else None
        return data.held_out(self._values(data.train, data.prior, dense))

    def _values(self, observed, prior, dense):
        """The network's values with the smooth part of its residual."""
        if self.attachment is None or self.expired():
            return dense
        return _with_residual(observed, prior, dense, self.attachment, self.noise)


def _start(shape, rng, dtype, spread=0.5):
    """A network of rank one from which the first sweep finds the means along every mode.

    Vectors about one: what they are contracted with are weighted means of many observed entries. Of
    vectors about zero a few entries make the most, and where little is observed the fit that
    follows them predicts worse than nothing does, and never recovers.

    shape (N,), spread standard deviation, by which starts differ -> N arrays of N axes
    """
    cores = []
    for k, n in enumerate(shape):
        axes = [n if j == k else 1 for j in range(len(shape))]
        cores.append((1.0 + spread * rng.standard_normal(axes)).astype(dtype))
    return cores


def _window(shape, steps, largest=2**20):
    """A central part of a large tensor, enough to judge two numbers by.

    Modes with the smallest steps are cut first: what is cut off looks like what is left.
    """
    lengths = list(shape)
    for j in sorted(steps, key=steps.get):
        while np.prod(lengths) > largest and lengths[j] > 8:
            lengths[j] = (lengths[j] + 1) // 2
    return tuple(
        slice((n - part) // 2, (n - part) // 2 + part)
        for n, part in zip(shape, lengths, strict=True)
    )


def _with_residual(observed, prior, dense, attachment, noise):
    form = smoothness.penalty(dense, prior, noise)
    return smoothness.smooth_residual(observed, dense, form, attachment)


def _never():
    return False


def _descend(loss, value, factor, expired=_never, steps=4):
    """Multiply or divide by a factor while the loss falls and there is time.

    loss function of a positive number -> number
    """
    best = loss(value)
    for ratio in (factor, 1.0 / factor):
        moved = False
        for _ in range(steps):
            if expired():
                return value
            trial = loss(value * ratio)
            if not trial < best:
                break
            best, value, moved = trial, value * ratio, True
        if moved:
            break
    return value


def _widened(data, cores, rng, growth, expired):
    """Widen the bonds whose new slices, found on training entries, help the held-out ones most.

    growth share of the parameters to add -> cores, first bond or None
    """
    total = sum(core.size for core in cores)
    # More parameters than observations tell nothing apart, and cost the cube of a width.
    most = min((1.0 + growth) * total, float(data.full.W.sum()))
    # What is added to the last twentieth of them costs as much as a step that doubles a bond.
    if most < 1.05 * total < (1.0 + growth) * total:
        return cores, None
    offers = sorted(_offers(data, cores, rng, most - total, expired), key=lambda o: -o[0])
    new, used, bond = list(cores), set(), None
    for gain, (i, j), first, second in offers:
        if bond is not None and (
            gain < max(0.3 * offers[0][0], 0.0) or sum(c.size for c in new) > most
        ):
            break
        if not used & {i, j}:
            new = moves.append_slices(new, i, j, first, second)
            used |= {i, j}
            bond = bond or (i, j)
    return [core.astype(cores[0].dtype) for core in new], bond


def _offers(data, cores, rng, room, expired):
    """New slices of every bond, as many as there is room for, and the held-out error they save.

    room number of parameters -> iterator of (gain, bond, slices of core i, slices of core j)
    """
    sizes, R = data.train.shape, graph.bond_dims(cores)
    dense = graph.to_dense(cores)
    residual = (data.train.X - dense * data.train.W) / max(data.train.density, 1e-12)
    error = data.held.X - dense * data.held.W
    paid = graph.core_sizes(sizes, R)
    for i, j in combinations(range(len(cores)), 2):
        if expired():
            return
        price = paid[i] // R[i, j] + paid[j] // R[i, j]
        widest = np.prod(sizes) // max(sizes[i], sizes[j]) - R[i, j]
        width = int(min(max(room // price, 1), R[i, j], widest))
        if width < 1 or (width == 1 and price > max(room, data.full.W.sum() - sum(paid))):
            continue
        first, second, decrease = moves.growth(residual, cores, i, j, width, rng, 2)
        some = list(cores)
        some[i], some[j] = first, second
        new = graph.to_dense(some)
        norm = float(np.vdot(new, new * data.held.W))
        projection = float(np.vdot(error, new))
        if norm > 0 and projection > 0:
            # Slices that follow the noise are shortened to what they explain of the held-out.
            gain, length = projection**2 / norm, min(projection / norm, 1.0)
        else:
            # A few held-out entries can be wrong about a first direction: one that only the
            # training entries ask for comes after all others, and the sweeps have to prove it.
            gain, length = -1.0 / (1.0 + decrease), 0.1
        yield gain, (i, j), first * length, second
