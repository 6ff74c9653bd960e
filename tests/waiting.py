"""Waits for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable

# For what never ends; how long something takes is not tested.
_PATIENCE_S = 300


def wait_until(is_so: Callable[[], object]) -> None:
    """Asks until the answer is true."""
    deadline = time.monotonic() + _PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
