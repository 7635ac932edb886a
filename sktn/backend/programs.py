"""Compiled programs in a bounded cache, and the process that JAX belongs to."""

import os
import sys
import threading
from collections import OrderedDict
from functools import partial, wraps

import jax

# Compiled programs that are kept: a search over shapes on a device makes some hundreds.
_MAX_PROGRAMS = 512

# Where Linux says how many memory maps a process has, and may have (65,530 by default). A program
# takes 16 to 500 of them, and the process dies when there are no more.
_MAPS, _MOST_MAPS = "/proc/self/maps", "/proc/sys/vm/max_map_count"


class Programs:
    """The compiled programs, least recently used first; what is evicted is cleared: beyond a number
    of programs, and half of them where the process has used up half of its memory maps."""

    def __init__(self, size):
        self.size, self.programs, self.lock = size, OrderedDict(), threading.Lock()
        self.n_compiled = 0

    def get(self, key, function, fixed):
        with self.lock:
            program, evicted = self.programs.get(key), []
            if program is None:
                kept = len(self.programs) // 2 if _crowded() else self.size - 1
                while len(self.programs) > kept:
                    evicted.append(self.programs.popitem(last=False)[1])
                # JAX keeps programs by function, and drops them with it: each has one of its own.
                program = jax.jit(wraps(function)(partial(_call, function, fixed)))
                self.programs[key] = program
                self.n_compiled += 1
            self.programs.move_to_end(key)
        for old in evicted:
            old.clear_cache()
        return program

    def clear(self):
        with self.lock:
            evicted, self.programs = list(self.programs.values()), OrderedDict()
        for old in evicted:
            old.clear_cache()


def _crowded():
    try:
        with open(_MAPS, "rb") as maps, open(_MOST_MAPS) as most:
            return sum(1 for _ in maps) > int(most.read()) // 2
    except OSError:  # not Linux
        return False


def _call(function, fixed, *args, **kwargs):
    return function(*args, **kwargs, **fixed)


def shape_of(x):
    return (x.shape, x.dtype) if hasattr(x, "dtype") else type(x)


PROGRAMS = Programs(_MAX_PROGRAMS)


def n_compiled():
    """Programs compiled so far in this process: what tests count."""
    return PROGRAMS.n_compiled


_jax_process = None


def enter_jax():
    """JAX runs threads, which a fork does not copy: a child would wait for them for ever."""
    global _jax_process
    if _jax_process is None:
        _jax_process = os.getpid()
    elif _jax_process != os.getpid():
        raise RuntimeError(
            "This process was forked from one that had used JAX, whose threads do not live on in "
            'it. Start workers by "spawn" or "forkserver" (joblib\'s default backend does), or '
            'compute there by sktn.set_config(backend="numpy").'
        )


def remember_jax():
    # Someone else may have used JAX in this process. That it has is not public.
    global _jax_process
    bridge = sys.modules.get("jax._src.xla_bridge")
    if _jax_process is None and getattr(bridge, "_backends", None):
        _jax_process = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=remember_jax)
