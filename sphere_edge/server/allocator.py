"""How the C library keeps memory that is free: a server runs for months, with many short threads.

glibc gives threads arenas of their own, eight for each processor, which keep what is free inside of
them, and keeps larger and larger blocks there the more often they are freed. Other C libraries
have none of that, nor these functions. https://man7.org/linux/man-pages/man3/malloc_trim.3.html
"""

from __future__ import annotations

import ctypes
import gc

_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_LARGE_BYTES = 1 << 20
_libc = ctypes.CDLL(None)


def keep_little() -> None:
    """From now on, what is large goes back to the system when it is freed."""
    if (mallopt := getattr(_libc, "mallopt", None)) is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_ARENA_MAX, 1)
    # What is there now stays: to look through it each time would take a tenth of a second.
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Gives the system what is free; milliseconds, in which other threads may wait for memory."""
    # Python looks for what only refers to itself the more rarely, the more there is.
    gc.collect()
    if (malloc_trim := getattr(_libc, "malloc_trim", None)) is not None:
        malloc_trim(0)
