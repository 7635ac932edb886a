"""Completion from coordinates: its effects, its noise, what it decides by."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sktn.solvers.als_coordinates import Coordinates
from sktn.solvers.deadline import Deadline
from sktn.structure import coordinates


def entries(rng, n, shape=(6, 7, 5), noise=0.1, product=0.0):
    """Effects of the modes, a product of theirs, noise."""
    index = np.stack([rng.integers(0, size, n) for size in shape], axis=1)
    effects = [rng.normal(size=size) for size in shape]
    parts = np.stack([effect[column] for effect, column in zip(effects, index.T, strict=True)])
    value = parts.sum(axis=0) + product * parts.prod(axis=0) + noise * rng.normal(size=n)
    scale = value.std()
    return Coordinates(index, (value - value.mean()) / scale, np.ones(n), shape), scale


@pytest.mark.parametrize(
    ("n", "width"), [(960, 4), (959, 3), (540, 3), (539, 2), (240, 2), (239, 1)]
)
def test_bonds_begin_as_wide_as_two_rows_a_parameter_allow(rng, n, width):
    data = Coordinates(np.zeros((n, 3), int), np.zeros(n), np.ones(n), (10, 10, 10))
    assert coordinates._open_width(data) == width


@pytest.mark.parametrize(
    ("n", "share", "held"), [(100, None, 10), (101, None, 11), (100, 0.3, 30), (2, 0.9, 1)]
)
def test_every_row_is_trained_on_or_held_out(rng, n, share, held):
    data = Coordinates(np.zeros((n, 2), int), np.arange(float(n)), np.ones(n), (3, 3))
    train, judge = coordinates._split(data, rng, share)
    assert len(judge) == held
    assert sorted([*train.value, *judge.value]) == list(range(n))


def test_effects_alone_are_means_of_what_is_left(rng):
    data, scale = entries(rng, 3000)
    model = coordinates._effects_alone(data, data, Deadline(None))
    assert_allclose(model(data.index), data.value, atol=5 * 0.1 / scale)
    assert_allclose(model.noise, (0.1 / scale) ** 2, rtol=0.1)
    # Of a level that nothing is known of, the mean of its mode.
    unknown = np.array([[-1, 2, 3]])
    expected = model.centers[0] + model.effects[1][2] + model.effects[2][3]
    assert_allclose(model(unknown), [expected])


def test_noise_is_what_the_held_out_rows_say_after_every_sweep(rng):
    data, _ = entries(rng, 2000, product=3.0)
    train, held = coordinates._split(data, rng, None)
    start = coordinates._rank_one(
        coordinates._effects_alone(train, held, Deadline(None)), train, rng
    )
    settings = coordinates.Settings(max_steps=1, sweeps=6)
    model, loss = coordinates._fit(train, held, start, settings)
    assert loss == pytest.approx(np.mean((held.value - model(held.index)) ** 2))
    assert model.noise == loss < start.noise
    wide, judged = coordinates.complete(data, rng, settings)
    assert judged < 1.5 * loss
    assert wide.noise == judged
