"""The core's log in Python's: the logger `sphere_edge`, whose warnings Python shows by itself."""

from __future__ import annotations

import atexit
import logging

from sphere_edge.runtime.binding import Library, LogFunction

_LOGGER = logging.getLogger("sphere_edge")
# By se_log_level.
_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)


def _receive(level: int, message: bytes, _: int | None) -> None:
    """Called by the core, from any of its threads."""
    _LOGGER.log(_LEVELS[min(max(level, 0), 3)], "%s", message.decode("utf-8", "replace"))


_RECEIVER = LogFunction(_receive)


def adopt(library: Library) -> None:
    """Everything that `library` logs from now on, until the interpreter ends."""
    library.log_to(_RECEIVER)
    # The core's threads live longer than Python does.
    atexit.register(library.log_to, None)
