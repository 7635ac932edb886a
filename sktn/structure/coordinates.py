"""Structure search on a tensor given as coordinates and values: bonds grow while held-out values
say that they help.

    value = mean + sum_k effect_k[i_k] + network[i_1, .., i_N] + noise

The effects of the modes one by one are estimated beside the network, which so has only to find how
the modes act together. Slices and effects are shrunk as their own spread and the noise, measured on
held-out values, tell: there is no ridge to be chosen.
"""

from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from sktn.networks import graph
from sktn.solvers.als_coordinates import Past, Prior, at, mean_gram, update
from sktn.solvers.deadline import NEVER, Deadline

# Rows that the search for the structure looks at: all those of some levels of the longest mode.
_SEARCH_ROWS = 1_000_000
# A step that lowers the held-out error by less is as likely to be chance.
_ENOUGH = 0.995
# Rounding is noise, too.
_ROUNDING = 1e-10
# A held-out error (of values of variance one) below which there is nothing more to find.
_EXACT = 1e-8
# Numbers of a slice where all bonds are open: its normal equations still cost less than its rows.
_OPEN = 32
# The width of the widest core: its slices cost the cube.
_WIDEST = 256


@dataclass(frozen=True)
class Settings:
    """max_steps bonds widened at most, sweeps after every step, held_out share of the rows,
    deadline after which nothing new is begun"""

    max_steps: int = 30
    sweeps: int = 3
    held_out: float | None = None
    deadline: Deadline = NEVER


@dataclass(frozen=True)
class Model:
    """Effects and cores with what is known of them.

    effects N arrays (I_k,), centers and variances (N,) of the effects, cores N arrays of N axes,
    priors of their slices, noise variance of a value of weight one
    """

    effects: list
    centers: np.ndarray
    variances: np.ndarray
    cores: list
    priors: list = field(default_factory=list)
    noise: float = 1.0

    def __call__(self, index):
        """Values at coordinates (n, N), -1 for a level that is not known -> (n,)"""
        cores = [
            np.concatenate([core, _slice(prior.mean, core, k)], axis=k)
            for k, (core, prior) in enumerate(zip(self.cores, self.priors, strict=True))
        ]
        return self.of_effects(index) + at(cores, index)

    def of_effects(self, index):
        """The part of the modes one by one. (n, N) -> (n,)"""
        columns = zip(self.effects, self.centers, index.T, strict=True)
        return sum(np.append(effect, mean)[column] for effect, mean, column in columns)

    def n_parameters(self):
        return sum(core.size for core in self.cores) + sum(map(len, self.effects))


def _slice(mean, core, k):
    """A mean slice as a core of one level."""
    return mean.astype(core.dtype).reshape([1 if j == k else n for j, n in enumerate(core.shape)])


def complete(data, rng, settings, callback=None):
    """The network that predicts held-out values best, refitted to all.

    data `Coordinates` of values of mean zero and variance one
    -> `Model`, held-out mean squared error
    """
    train, held = _split(data, rng, settings.held_out)
    search = _some(train, rng)
    judge = _known(held, search)
    note = _notes(callback)
    model, loss = _searched(search, judge, rng, settings, note)
    if len(search) < len(train) and not settings.deadline.expired():
        model = _sweeps(train, model, settings)
        loss = _error(model, _known(held, train))
        note("all rows", None, model, loss)
    model = _sweeps(data, replace(model, noise=max(loss, _ROUNDING)), settings, fewest=1)
    note("refit", None, model, loss)
    return model, loss


def _notes(callback):
    def note(action, bond, model, loss):
        if callback is not None:
            callback(
                {
                    "scale": 0,
                    "action": action,
                    "bond": bond,
                    "relative_error": float(np.sqrt(loss)),
                    "n_parameters": int(model.n_parameters()),
                }
            )

    return note


def _split(data, rng, share):
    """Rows to train on, rows to decide by: a tenth, at least one of each where there are two."""
    n = len(data)
    n_held = min(max(int(np.ceil((share or 0.1) * n)), 1), n - 1)
    order = rng.permutation(n)
    if n == 1:
        return data, data
    return data.take(np.sort(order[n_held:])), data.take(np.sort(order[:n_held]))


def _known(held, train):
    """Held-out rows of levels that training rows have, all of them if there is none such."""
    seen = [np.bincount(train.index[:, k], minlength=n) > 0 for k, n in enumerate(train.shape)]
    known = np.all([s[column] for s, column in zip(seen, held.index.T, strict=True)], axis=0)
    return held.take(known) if known.any() else held


def _some(data, rng):
    """All rows of some levels of the longest mode, so that these have as many rows as they ever
    will."""
    if len(data) <= _SEARCH_ROWS:
        return data
    k = int(np.argmax(data.shape))
    kept = rng.random(data.shape[k]) < _SEARCH_ROWS / len(data)
    return data.take(np.flatnonzero(kept[data.index[:, k]]))


def _searched(data, held, rng, settings, note):
    """The best of no network and of two that grow: from rank one, and from bonds that are all open.

    From rank one every bond is found worth its price; but where levels have few rows, no bond helps
    before others are there.
    """
    alone = _effects_alone(data, held, settings.deadline)
    best = alone, _error(alone, held)
    note("effects", None, *best)
    for width in sorted({1, _open_width(data)}):
        if settings.deadline.expired() or (width > 1 and settings.max_steps == 0):
            break
        model = _rank_one(alone, data, rng)
        for pair in combinations(range(len(data.shape)), 2):
            if width > 1:
                model = _widened(data, model, pair, rng, width - 1) or model
        sweeps = 3 * settings.sweeps if width > 1 else settings.sweeps
        model, loss = _fit(data, held, model, replace(settings, sweeps=sweeps))
        note("start", None, model, loss)
        model, loss = _grow(data, held, (model, loss), settings, rng, note)
        if loss < _ENOUGH * best[1]:
            best = model, loss
    return best


def _open_width(data):
    """Width of all bonds that cores with two rows a parameter can have, 4 at most."""
    order = len(data.shape)
    for width in (4, 3, 2):
        entries = width ** (order - 1)
        if entries <= _OPEN and 2 * entries * sum(data.shape) <= len(data):
            return width
    return 1


def _effects_alone(data, held, deadline):
    """The effects, and a network of zeros."""
    order, dtype = len(data.shape), data.value.dtype
    cores = [
        np.zeros([size if j == k else 1 for j in range(order)], dtype)
        for k, size in enumerate(data.shape)
    ]
    effects = [np.zeros(size) for size in data.shape]
    nothing = [Prior(np.zeros(1), np.eye(1))] * order
    model = Model(effects, np.zeros(order), np.full(order, 0.1), cores, nothing, 1.0)
    for _ in range(30):
        model = _effects(data, model, 0.0)
        model = replace(model, noise=max(_error(model, held), _ROUNDING))
        if deadline.expired():
            break
    return model


def _rank_one(model, data, rng):
    """Factors about one: products of factors about zero begin where every derivative vanishes."""
    cores = [(1.0 + 0.5 * rng.standard_normal(core.shape)) for core in model.cores]
    priors = [Prior(np.ones(1), 0.25 * np.eye(1))] * len(cores)
    return replace(model, cores=[core.astype(data.value.dtype) for core in cores], priors=priors)


def _effects(data, model, network):
    """The effects of all modes once: means of what is left, shrunk to their mean as their spread
    tells."""
    effects = list(model.effects)
    centers, variances = model.centers.copy(), model.variances.copy()
    for k, size in enumerate(data.shape):
        column = data.index[:, k]
        rest = data.value - network
        for j, effect in enumerate(effects):
            if j != k:
                rest = rest - effect[data.index[:, j]]
        weight = np.bincount(column, data.weight, minlength=size)
        total = np.bincount(column, data.weight * rest, minlength=size)
        # A variance of zero has no inverse; at this one effects no longer leave their centre.
        precision = model.noise / max(variances[k], 1e-12)
        curvature = weight + precision
        # The likeliest; a mean of effects would stay where it was once the spread is nothing.
        centers[k] = np.sum(total / curvature) / np.sum(weight / curvature)
        effects[k] = (total + precision * centers[k]) / curvature
        spread = (effects[k] - centers[k]) ** 2 + model.noise / curvature
        variances[k] = spread[weight > 0].mean()
    return replace(model, effects=effects, centers=centers, variances=variances)


def _sweep(data, model, modes=None):
    """Effects, then every core once, or those of some modes."""
    model = _effects(data, model, at(model.cores, data.index))
    rest = _without_effects(data, model)
    cores, priors = list(model.cores), list(model.priors)
    for k in range(len(cores)) if modes is None else modes:
        cores[k], priors[k] = update(rest, cores, k, priors[k], model.noise)
    return replace(model, cores=cores, priors=priors)


def _without_effects(data, model):
    return data.with_value(data.value - model.of_effects(data.index).astype(data.value.dtype))


def _error(model, held):
    """Mean squared error of held-out values, a value of weight w counted w times."""
    return float(np.mean(held.weight * (held.value - model(held.index)) ** 2))


def _fit(data, held, model, settings):
    """After some sweeps: the model, its held-out error."""
    for _ in range(settings.sweeps):
        model = _sweep(data, model)
        loss = _error(model, held)
        model = replace(model, noise=max(loss, _ROUNDING))
        if settings.deadline.expired():
            break
    return model, loss


def _sweeps(data, model, settings, fewest=3, most=8):
    """Sweeps until the values of the rows stand still, or the time is up."""
    before = model(data.index) if fewest else None
    for n in range(most):
        model = _sweep(data, model)
        after = model(data.index)
        still = np.mean((after - before) ** 2) < 1e-3 * model.noise
        before = after
        if (still and n + 1 >= fewest) or settings.deadline.expired():
            break
    return model


def _grow(data, held, best, settings, rng, note):
    """Widen the bond that helps the held-out values most, until none does."""
    order, tired = len(data.shape), set()
    pairs = list(combinations(range(order), 2))
    for _ in range(settings.max_steps):
        trials = []
        for pair in pairs:
            if pair in tired or settings.deadline.expired():
                continue
            wider = _widened(data, best[0], pair, rng)
            if wider is not None:
                # The two cores that the bond joins tell what it is worth.
                wider = _sweep(data, wider, pair)
                trials.append((wider, _error(wider, held), pair))
        if not trials or best[1] < _EXACT:
            break
        model, loss, pair = min(trials, key=lambda trial: trial[1])
        model, loss = _fit(data, held, model, settings)
        note("expand", pair, model, loss)
        if loss < _ENOUGH * best[1]:
            best, tired = (model, loss), set()
        else:
            tired.add(pair)
    return best


def _widened(data, model, pair, rng, width=None):
    """A bond wider by half, its new slices small and random; None where it can be no wider."""
    i, j = pair
    R = graph.bond_dims(model.cores)
    width = width or max(1, int(R[i, j]) // 2)
    widths = [model.priors[k].mean.size * (R[i, j] + width) // R[i, j] for k in pair]
    if max(widths) > _WIDEST or any(
        (R[i, j] + width) > prod_of_others(data.shape, R, k, pair) for k in pair
    ):
        return None
    cores, priors = list(model.cores), list(model.priors)
    for k, other in ((i, j), (j, i)):
        old = cores[k]
        size = np.sqrt(np.mean(old.astype(np.float64) ** 2))
        shape = [width if axis == other else n for axis, n in enumerate(old.shape)]
        # New directions are as free as the old ones until the first sweep tells better.
        new = (0.3 * size * rng.standard_normal(shape)).astype(old.dtype)
        cores[k] = np.concatenate([old, new], axis=other)
        priors[k] = _wider_prior(priors[k], old, k, other, width)
    return replace(model, cores=cores, priors=priors)


def prod_of_others(shape, R, k, pair):
    """What bond `pair` can carry on the side of core k: its mode times its other bonds."""
    other = pair[0] if k == pair[1] else pair[1]
    return shape[k] * np.prod([R[k, m] for m in range(len(shape)) if m not in (k, other)])


def _wider_prior(prior, core, k, other, width):
    """The prior of slices of a core with more slices along a bond, independent of the old ones."""
    axes = [n for axis, n in enumerate(core.shape) if axis != k]
    place = other if other < k else other - 1
    wide = axes.copy()
    wide[place] += width
    old = np.zeros(wide, dtype=bool)
    old[tuple(slice(0, n) for n in axes)] = True
    old = old.ravel()
    mean, covariance = np.zeros(old.size), np.zeros((old.size, old.size))
    mean[old] = prior.mean
    covariance[np.ix_(old, old)] = prior.covariance
    free = np.trace(prior.covariance + np.outer(prior.mean, prior.mean)) / len(prior.mean)
    covariance[~old, ~old] = free
    return Prior(mean, covariance)


def extended(model, seen, data, n_rounds=2):
    """A model after more rows, which may name new levels; the old rows count as `Past`.

    seen N arrays (I_k,) weight of the old rows of every level, data `Coordinates` of the new rows,
    with the shape that old and new levels have together -> `Model`
    """
    cores, effects = [], []
    for k, core in enumerate(model.cores):
        more = data.shape[k] - core.shape[k]
        added = np.repeat(_slice(model.priors[k].mean, core, k), more, axis=k)
        cores.append(np.concatenate([core, added], axis=k))
        effects.append(np.append(model.effects[k], np.full(more, model.centers[k])))
    counts = [
        np.append(n, np.zeros(size - len(n))) for n, size in zip(seen, data.shape, strict=True)
    ]
    model = replace(model, cores=cores, effects=effects)
    pasts = [
        Past(
            np.moveaxis(core, k, 0).reshape(core.shape[k], -1).astype(np.float64),
            counts[k],
            mean_gram(data, cores, k),
        )
        for k, core in enumerate(cores)
    ]
    start = effects
    for _ in range(n_rounds):
        model = _more_effects(data, model, start, counts)
        rest, cores = _without_effects(data, model), list(model.cores)
        for k, past in enumerate(pasts):
            cores[k], _ = update(rest, cores, k, model.priors[k], model.noise, past)
        model = replace(model, cores=cores)
    return model


def _more_effects(data, model, start, counts):
    """Effects after more rows, the old ones as if they had been measured so many times."""
    effects = list(model.effects)
    network = at(model.cores, data.index)
    for k, size in enumerate(data.shape):
        column = data.index[:, k]
        others = sum(e[data.index[:, j]] for j, e in enumerate(effects) if j != k)
        rest = data.value - network - others
        weight = counts[k] + np.bincount(column, data.weight, minlength=size)
        total = counts[k] * start[k] + np.bincount(column, data.weight * rest, minlength=size)
        precision = model.noise / max(model.variances[k], 1e-12)
        effects[k] = (total + precision * model.centers[k]) / (weight + precision)
    return replace(model, effects=effects)


def reordered(model, orders):
    """A model with the levels of every mode in another order.

    orders N arrays (I_k,) of old places -> `Model`
    """
    pairs = enumerate(zip(model.cores, orders, strict=True))
    cores = [np.take(core, order, axis=k) for k, (core, order) in pairs]
    effects = [effect[order] for effect, order in zip(model.effects, orders, strict=True)]
    return replace(model, cores=cores, effects=effects)
