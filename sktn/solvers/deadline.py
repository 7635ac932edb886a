"""When a computation must come to its end."""

import time
from dataclasses import dataclass

__all__ = ["NEVER", "Deadline"]


@dataclass(frozen=True)
class Deadline:
    """A point in time that every loop of a fit asks about; ``at`` None never comes.

    One record goes down through all calls, so that the limit is one for the whole fit.
    """

    at: float | None = None

    @classmethod
    def after(cls, seconds):
        """The deadline so many seconds from now; None: never."""
        return cls(None if seconds is None else time.perf_counter() + seconds)

    def expired(self):
        """Whether it is past."""
        return self.at is not None and time.perf_counter() > self.at

    def left(self):
        """Seconds until then, infinite where it never comes."""
        return float("inf") if self.at is None else max(self.at - time.perf_counter(), 0.0)

    def half(self):
        """The deadline when half of what is left is gone."""
        return self if self.at is None else Deadline(self.at - 0.5 * self.left())


NEVER = Deadline()
