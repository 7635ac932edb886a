"""States that are asked for again, the last first."""

import pytest

import sktn
from sktn.networks.trail import Trail


@pytest.mark.parametrize("n_states", [1, 2, 3, 10, 17])
@pytest.mark.parametrize("n_bytes", [1, 2**40])
def test_states_come_back_last_first(n_states, n_bytes):
    trail = Trail(0, lambda k, state: state + k, n_states, n_bytes)
    states = [0]
    for k in range(n_states - 1):
        states.append(states[-1] + k)
        trail.append(states[-1])
    assert trail.last == states[-1]
    assert [trail.pop() for _ in states] == states[::-1]
    assert trail.last == states[-1]


def test_long_trails_keep_few_states():
    n, largest = 10_000, 0
    trail = Trail(0, lambda k, state: state + 1, n, sktn.get_config()["max_memory"])
    for k in range(1, n):
        trail.append(k)
    for k in range(n - 1, -1, -1):
        assert trail.pop() == k
        largest = max(largest, len(trail._kept) + len(trail._near))
    assert largest <= 201
