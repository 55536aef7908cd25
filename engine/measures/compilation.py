"""Compiling the kernels once, keeping the result, and saying so while it takes long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from numba import njit, types

EXPECTED_S = 20
"""About how long the first compilation takes, for the message shown meanwhile; measured on one slow core."""

_KERNELS: list[tuple[Callable, tuple]] = []
_LOCK = threading.Lock()
_prepared = False


def array(dtype, dimensions: int = 1, readonly: bool = False) -> types.Array:
    """The type of a contiguous array argument."""
    return types.Array(dtype, dimensions, "C", readonly=readonly)


def kernel(*signatures: tuple) -> Callable:
    """Compile a function for exactly these argument types, free of the interpreter lock, cached on disk.

    Where no folder can hold the cache, the function is compiled anew in every process.
    """

    def decorate(function: Callable) -> Callable:
        options = {"nogil": True, "error_model": "numpy"}
        try:
            compiled = njit(cache=True, **options)(function)
        except RuntimeError:  # numba: "cannot cache function: no locator available"
            compiled = njit(**options)(function)
        _KERNELS.append((compiled, signatures))
        return compiled

    return decorate


def warm_up(report: Callable[[str], None] | None = None) -> None:
    """Compile every kernel, or load it from the cache; afterwards no reading waits for the compiler.

    Every process compiles the same signatures in the same order. The cache numbers its files in that order, so that
    processes that fill it at once write the same code under the same name.

    Args: report: called with a sentence for the user, only if something really has to be compiled.
    """
    global _prepared
    with _LOCK:
        if _prepared:
            return
        started = time.perf_counter()
        is_told = False
        for compiled, signatures in _KERNELS:
            for signature in signatures:
                hits = sum(compiled.stats.cache_hits.values())
                compile_for(compiled, signature)
                was_cached = sum(compiled.stats.cache_hits.values()) > hits
                if report and not was_cached and not is_told:
                    report(f"First use on this machine: compiling the kernels, about {EXPECTED_S} s …")
                    is_told = True
        if is_told:
            report(f"The kernels are ready ({time.perf_counter() - started:.0f} s).")
        _prepared = True


def compile_for(compiled: Callable, *signatures: tuple) -> None:
    """Compile a numba function for these argument types, or load it from the cache, in this order.

    A function compiled in another order in another process may spoil its cache on disk (see `warm_up`).

    Raises: OSError only if there is no compiled code; a full or read-only disk that cannot keep it is no error.
    """
    for signature in signatures:
        _compile(compiled, signature)


def _compile(compiled: Callable, signature: tuple) -> None:
    try:
        compiled.compile(signature)
    except OSError:
        # Only writing the cache can raise this, after the compiled code is in place: a full or read-only disk.
        # Without the cache the next process compiles again, which is slow and right.
        if signature not in compiled.overloads:
            raise
