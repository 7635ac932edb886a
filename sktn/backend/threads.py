"""Threads of BLAS: one for products that are too small for several, always restored."""

import os
import threading
from contextlib import contextmanager, nullcontext
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_blas_thread(when=True):
    """A context with one BLAS thread, for products that are too small for several: on a machine
    with other load, waiting for a second thread takes longer than the work. From any number of
    threads, and always restored. `when`: the context changes nothing where it is False.
    """
    if not when:
        yield
        return
    shared, own = _blas_pools()
    _shared_limit.acquire(shared)
    try:
        with own.limit(limits=1) if own.info() else nullcontext():
            yield
    finally:
        _shared_limit.release()


@cache
def _blas_pools():
    """BLAS libraries with one limit for the process, and those with one for every thread.

    To look for them takes 10 ms; those that the package uses are loaded with it."""
    blas = ThreadpoolController().select(user_api="blas")
    own = blas.select(internal_api="openblas").select(threading_layer="openmp")
    paths = {pool["filepath"] for pool in own.info()}
    shared = [pool["filepath"] for pool in blas.info() if pool["filepath"] not in paths]
    return blas.select(filepath=shared), own


class _SharedLimit:
    """A limit for the process that any number of threads may hold: the first sets it, the last
    restores what the first found.

    A thread of its own does both, since threadpoolctl lets a single thread set OpenBLAS's limit for
    as long as it has not restored it, and ignores the others."""

    def __init__(self):
        self.lock, self.holders = threading.Lock(), 0
        self.limiter = self.thread = self.done = None

    def acquire(self, pool):
        with self.lock:
            if self.holders == 0:
                started, self.done = threading.Event(), threading.Event()
                self.thread = threading.Thread(target=self._hold, args=(pool, started), daemon=True)
                self.thread.start()
                started.wait()
            self.holders += 1

    def release(self):
        with self.lock:
            # None are left in a child that was forked inside the context.
            self.holders = max(0, self.holders - 1)
            if self.holders == 0 and self.thread is not None:
                self.done.set()
                self.thread.join()
                self.thread = None

    def _hold(self, pool, started):
        try:
            with pool.limit(limits=1) as self.limiter:
                started.set()
                self.done.wait()
        finally:
            self.limiter = None
            started.set()

    def after_fork(self):
        """In a child neither the holders nor the thread live on."""
        limiter = self.limiter
        self.__init__()
        if limiter is not None:
            with limiter:  # which restores on leaving
                pass


_shared_limit = _SharedLimit()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared_limit.after_fork)
