"""States along a chain that are asked for again, the last first, in little memory.

Of p states only every sqrt(p)-th is kept, and those between are computed anew from it (Griewank
and Walther, "Algorithm 799: revolve", ACM Trans. Math. Softw. 26, 19, 2000): twice the work of a
state for 2 sqrt(p) of them at a time.
"""

from math import isqrt

from sktn.backend import get_config

# Of `max_memory`: what the states of one trail may take before some are let go.
_SHARE = 1 / 16


class Trail:
    """States 0, 1, ... of a chain, each a function of the one before.

    first: state 0; step: (k, state k) -> state k + 1; n_states: how many there will be, of so many
    bytes each

    Attributes
    ----------
    last : the last state that was added, also once it has been popped
    """

    def __init__(self, first, step, n_states, n_bytes):
        few = n_states * n_bytes <= _SHARE * get_config()["max_memory"]
        self._stride = 1 if few else isqrt(n_states)
        self._step, self._n, self.last = step, 1, first
        self._kept, self._near = [first], []

    def append(self, state):
        """Add the state that the step makes of the last one."""
        if self._n % self._stride == 0:
            self._kept.append(state)
        self._n, self.last = self._n + 1, state

    def pop(self):
        """The last state, which is let go."""
        self._n -= 1
        if not self._near:
            self._near.append(self._kept.pop())
            for k in range(self._n - self._n % self._stride, self._n):
                self._near.append(self._step(k, self._near[-1]))
        return self._near.pop()
