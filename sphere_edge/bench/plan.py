"""What to measure, and how the command line's options become it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import whole_number
from sphere_edge.errors import InvalidArgumentError

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_LONGEST_S = 7 * 24 * 3600
_SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")


@dataclass(frozen=True)
class Plan:
    """For a text model. `threads` 0: all performance cores; `cool_below_c` None: start at once."""

    prompt_tokens: tuple[int, ...] = (128,)
    new_tokens: int = 64
    repeat: int = 5
    threads: int = 0
    sustain_s: int = 0
    cool_below_c: float | None = None
    # How often the model is loaded again to time it.
    loads: int = 3
    # None: the first of the bundle's backends that works. `kernels`: time each GPU kernel, too.
    backend: str | None = None
    kernels: bool = False
    # Conversations that also decode at once; 1: only one after the other.
    sequences: int = 1

    def words(self) -> list[str]:
        """For `sphere-edge-run bench MODEL`."""
        return [
            *("--prompt-tokens", ",".join(map(str, self.prompt_tokens))),
            *("--new-tokens", str(self.new_tokens), "--repeat", str(self.repeat)),
            *(("--sustain", str(self.sustain_s)) if self.sustain_s else ()),
            *(("--threads", str(self.threads)) if self.threads else ()),
            *(("--kernels",) if self.kernels else ()),
            *(("--sequences", str(self.sequences)) if self.sequences > 1 else ()),
            *self._backend(),
        ]

    def load_words(self) -> list[str]:
        """The smallest benchmark that loads the model and reports how long that took."""
        return ["--prompt-tokens", "1", "--new-tokens", "0", "--repeat", "1", *self._backend()]

    def _backend(self) -> tuple[str, ...]:
        return () if self.backend is None else ("--backend", self.backend)


@dataclass(frozen=True)
class AudioPlan:
    """For a speech model. `recording` None: half a minute of noise."""

    recording: Path | None = None
    repeat: int = 5
    threads: int = 0

    def words(self) -> list[str]:
        """For `sphere-edge-run transcribe MODEL`; the first run is not counted."""
        threads = ["--threads", str(self.threads)] if self.threads else []
        return [
            "-",
            "--language",
            "en",
            "--no-fallback",
            "--repeat",
            str(self.repeat + 1),
            *threads,
        ]


@dataclass(frozen=True)
class ImagePlan:
    """For an image model. `threads` 0: all performance cores; None: the model's own value."""

    repeat: int = 5
    threads: int = 0
    width: int | None = None
    height: int | None = None
    steps: int | None = None

    def words(self) -> list[str]:
        """For `sphere-edge-run generate-image MODEL PROMPT`."""
        given = {"--width": self.width, "--height": self.height, "--steps": self.steps}
        numbers = [(flag, str(value)) for flag, value in given.items() if value is not None]
        threads = [("--threads", str(self.threads))] if self.threads else []
        return [word for pair in (*numbers, *threads) for word in pair]


@dataclass(frozen=True)
class Options:
    """What the command line can ask for; each task takes its own part and rejects the others'.

    `prompt_tokens`: `128,512`; `sustain`: `90s`, `10m`; `recording`: of speech models, None for
    half a minute of noise; `image_size`: `512x512`; `steps`: of image models.
    """

    prompt_tokens: str = "128"
    new_tokens: int = 64
    repeat: int = 5
    threads: int = 0
    sustain: str | None = None
    cool_below_c: float | None = None
    backend: str | None = None
    kernels: bool = False
    recording: Path | None = None
    image_size: str | None = None
    steps: int | None = None
    sequences: int = 1

    def text_plan(self) -> Plan:
        """The plan for a text model. Raises InvalidArgumentError."""
        self._reject_image_options()
        if self.recording is not None:
            message = "--audio is for speech models"
            raise InvalidArgumentError(message, hint="leave it out")
        return Plan(
            prompt_tokens=_lengths(self.prompt_tokens),
            new_tokens=self.new_tokens,
            repeat=self.repeat,
            threads=self.threads,
            sustain_s=seconds(self.sustain) if self.sustain is not None else 0,
            cool_below_c=self.cool_below_c,
            backend=self.backend,
            kernels=self.kernels,
            sequences=self.sequences,
        )

    def audio_plan(self) -> AudioPlan:
        """The plan for a speech model. Raises InvalidArgumentError."""
        self._reject_image_options()
        return AudioPlan(self.recording, self.repeat, self.threads)

    def image_plan(self) -> ImagePlan:
        """The plan for an image model. Raises InvalidArgumentError."""
        width, height = _size(self.image_size) if self.image_size is not None else (None, None)
        return ImagePlan(self.repeat, self.threads, width, height, self.steps)

    def _reject_image_options(self) -> None:
        if self.image_size is not None or self.steps is not None:
            message = "--image-size and --steps are for image models"
            raise InvalidArgumentError(message, hint="leave them out")


def seconds(text: str) -> int:
    """`90`, `90s`, `10m` or `1h` in seconds."""
    found = re.fullmatch(r"(\d{1,7})([smh]?)", text.strip(), re.ASCII)
    length = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < length <= _LONGEST_S:
        message = f"invalid value `{text}` for a time"
        raise InvalidArgumentError(message, hint="expected seconds, minutes or hours: 90s, 10m, 1h")
    return length


def _lengths(text: str) -> tuple[int, ...]:
    lengths = [whole_number.parse(word.strip()) or 0 for word in text.split(",")]
    if 0 in lengths:
        message = f"invalid value `{text}` for --prompt-tokens"
        raise InvalidArgumentError(
            message, hint="expected whole numbers, as in --prompt-tokens 128,512"
        )
    return tuple(lengths)


def _size(text: str) -> tuple[int, int]:
    match = _SIZE.fullmatch(text)
    if match is None:
        message = f"invalid value `{text}` for --image-size"
        raise InvalidArgumentError(message, hint="expected width and height, as in 512x512")
    return int(match[1]), int(match[2])
