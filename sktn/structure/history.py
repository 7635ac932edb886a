"""The record of a search: kept, printed, and handed to a callback."""

import time

__all__ = ["History"]


class History:
    """Progress of a search over networks.

    An entry is a dict: scale int (0: the data themselves), action str, bond (i, j) or None,
    relative_error float, n_parameters int, and the seconds since the search began.

    name str of the estimator, kept modes of the data that the search sees: its bonds are
    reported between modes of the data
    """

    def __init__(self, name, kept, verbose=False, callback=None):
        self.entries = []
        self._name, self._kept = name, list(kept)
        self._verbose, self._callback = verbose, callback
        self._started = time.perf_counter()

    def __call__(self, entry):
        entry = {**entry, "seconds": time.perf_counter() - self._started}
        if entry["bond"] is not None:
            entry["bond"] = tuple(self._kept[k] for k in entry["bond"])
        self.entries.append(entry)
        if self._verbose:
            print(
                f"[{self._name}] {entry['seconds']:8.2f} s  scale {entry['scale']}  "
                f"{entry['action']:<10s}  error {entry['relative_error']:.3e}  "
                f"parameters {entry['n_parameters']}"
            )
        if self._callback is not None:
            self._callback(entry)
