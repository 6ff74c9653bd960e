"""What a reader may do with any bytes: take them, or refuse them with an error that has a code."""

from __future__ import annotations

import time
from collections.abc import Callable

from sphere_edge import errors


class TooSlowError(Exception):
    """More than the allowed seconds of CPU time for one input."""


def check(read: Callable[[bytes], None], data: bytes, limit_s: float | None = None) -> None:
    """Raises what `read` must not raise, INTERNAL among it, and TooSlowError above `limit_s`.

    CPU time of this process: how busy the machine is does not matter.
    """
    began = time.process_time()
    try:
        read(data)
    except errors.SphereEdgeError as error:
        if isinstance(error, errors.InternalError):
            raise
    took = time.process_time() - began
    if limit_s is not None and took > limit_s:
        message = f"{len(data)} bytes took {took:.1f} s"
        raise TooSlowError(message)
