"""The time that a call of several steps may take together."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from sphere_edge import errors


@dataclass(frozen=True)
class Deadline:
    """`timeout_s` from when it was made; None: never."""

    timeout_s: float | None
    _began: float = field(default_factory=time.monotonic)

    @property
    def has_passed(self) -> bool:
        """Whether no time is left."""
        return self.timeout_s is not None and self._since() >= self.timeout_s

    @property
    def left_s(self) -> float | None:
        """What a step may take: at least a millisecond, as 0 has no end in the core."""
        return None if self.timeout_s is None else max(self.timeout_s - self._since(), 0.001)

    def error(self) -> errors.TimeoutError:
        """What the call ends with then: it names the whole time, not what a step had of it."""
        message = f"the call took longer than the {self.timeout_s:g} s it was allowed"
        return errors.TimeoutError(message, hint="allow more time")

    def _since(self) -> float:
        return time.monotonic() - self._began
