"""What to measure, and how it is said on a command line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sphere_edge.errors import InvalidArgumentError

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_LONGEST_S = 7 * 24 * 3600


@dataclass(frozen=True)
class Plan:
    """`threads` 0: all performance cores; `sustain_s` 0: not; `cool_below_c` None: at once."""

    prompt_tokens: tuple[int, ...] = (128,)
    new_tokens: int = 64
    repeat: int = 5
    threads: int = 0
    sustain_s: int = 0
    cool_below_c: float | None = None
    # How often the model is loaded anew to time it.
    loads: int = 3
    # None: the bundle's first choice that works. `kernels`: time each of a GPU's as well.
    backend: str | None = None
    kernels: bool = False

    def words(self) -> list[str]:
        """For `sphere-edge-run bench MODEL`."""
        return [
            *("--prompt-tokens", ",".join(map(str, self.prompt_tokens))),
            *("--new-tokens", str(self.new_tokens), "--repeat", str(self.repeat)),
            *(("--sustain", str(self.sustain_s)) if self.sustain_s else ()),
            *(("--threads", str(self.threads)) if self.threads else ()),
            *(("--kernels",) if self.kernels else ()),
            *self._place(),
        ]

    def load_words(self) -> list[str]:
        """The least that loads the model and has it say how long that took."""
        return ["--prompt-tokens", "1", "--new-tokens", "0", "--repeat", "1", *self._place()]

    def _place(self) -> tuple[str, ...]:
        return () if self.backend is None else ("--backend", self.backend)


def plan_of(
    prompt_tokens: str,
    new_tokens: int,
    repeat: int,
    threads: int,
    sustain: str | None,
    cool_below_c: float | None,
    backend: str | None = None,
    kernels: bool = False,
) -> Plan:
    """The flags as a plan. Raises InvalidArgumentError."""
    return Plan(
        _lengths(prompt_tokens),
        new_tokens,
        repeat,
        threads,
        seconds(sustain) if sustain is not None else 0,
        cool_below_c,
        backend=backend,
        kernels=kernels,
    )


def seconds(text: str) -> int:
    """`90`, `90s`, `10m` or `1h` in seconds."""
    found = re.fullmatch(r"(\d{1,7})([smh]?)", text.strip(), re.ASCII)
    length = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < length <= _LONGEST_S:
        message = f"a time cannot be `{text}`"
        raise InvalidArgumentError(message, hint="give seconds, minutes or hours: 90s, 10m, 1h")
    return length


def _lengths(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        message = f"prompt lengths cannot be `{text}`"
        raise InvalidArgumentError(message, hint="give whole numbers: --prompt-tokens 128,512")
    return tuple(int(word) for word in words)
