"""What a decomposition is given."""

from dataclasses import dataclass

import numpy as np

from sktn.solvers.deadline import NEVER, Deadline

__all__ = ["Task"]


def _silent(entry):
    """A history that nobody keeps."""


@dataclass(frozen=True)
class Task:
    """A tensor to be decomposed, the error to reach, and by when.

    X (n_1, .., n_N) of norm 1 without modes of one entry, target relative error, shape (M,) of the
    data, kept N of its M modes, history called with an entry per step, start a network to begin
    with or None, known one that need not be looked for again or None
    """

    X: np.ndarray
    target: float
    rng: np.random.Generator
    shape: tuple = ()
    kept: tuple = ()
    deadline: Deadline = NEVER
    history: object = _silent
    start: list | None = None
    known: list | None = None

    def note(self, action, error, n_parameters, bond=None, scale=0):
        """Report a step: squared error of X, parameters, and the bond that it changed."""
        self.history(
            {
                "scale": scale,
                "action": action,
                "bond": bond,
                "relative_error": float(np.sqrt(max(error, 0.0))),
                "n_parameters": int(n_parameters),
            }
        )
