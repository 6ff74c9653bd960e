"""The reference of a bundle, kept outside it: `reference.json` and `logits.f32` in one folder.

Fixed tokens, the steps by which a device computes prefixes of them, and the right logits after some
of them. `logits.f32` is little-endian float32 [rows, columns]: for each of `rows` the logits of the
tokens named in `columns`. See docs/certify.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, model_validator

from sphere_edge.bundle.manifest import Count, Part, Positive
from sphere_edge.errors import ModelCorruptError

FOLDER = "certify"
_DOCUMENT, _LOGITS = "reference.json", "logits.f32"
# Numbers of a kernel's last row that are compared: those at i * columns / SAMPLES.
SAMPLES = 16
_LARGEST_BYTES = 64 << 20

Logits = npt.NDArray[np.float32]


class Row(Part):
    """The answer after the first `position` tokens; `margin`: likeliest logit minus the next."""

    position: Positive
    token: Count
    margin: float
    log_sum_exp: float
    deviation: Annotated[float, Field(ge=0)]


class Step(Part):
    """Computes tokens[:length] followed by detour[:detour], which no row belongs to.

    `from_empty`: nothing computed before is kept. `score`: by the function that gives every row.
    """

    name: str
    length: Positive
    detour: Count = 0
    from_empty: bool = False
    score: bool = False
    short: bool = False


class KernelOutput(Part):
    """The last row of one result of a kernel."""

    columns: Positive
    norm: float
    samples: tuple[float, ...]


class KernelCall(Part):
    """One call of a kernel: `kind` begins its name on a device, `label` says where it is."""

    kind: str
    label: str
    outputs: tuple[KernelOutput, ...]


class Reference(Part):
    """All of reference.json."""

    version: Literal[1] = 1
    # What computed it: `float64` (our own arithmetic) or `llama.cpp`.
    made_by: str
    vocabulary: Positive
    tokens: tuple[Count, ...]
    detour: tuple[Count, ...]
    columns: tuple[Count, ...]
    rows: tuple[Row, ...]
    steps: tuple[Step, ...]
    # A prefill of so many tokens and a decode after it are traced; 0: not at all.
    trace_tokens: Count = 0
    kernels: tuple[KernelCall, ...] = ()

    @model_validator(mode="after")
    def _stays_in_range(self) -> Reference:
        most = len(self.tokens)
        ids = (*self.tokens, *self.detour, *self.columns)
        wrong = (
            not self.rows
            or max(ids, default=0) >= self.vocabulary
            or any(row.position > most for row in self.rows)
            or any(step.length > most for step in self.steps)
        )
        if wrong:
            message = "positions or tokens out of range"
            raise ValueError(message)
        return self

    @property
    def deviation(self) -> float:
        """How far the logits of a row spread: the mean of the rows' standard deviations."""
        return float(np.mean([row.deviation for row in self.rows]))


def write(reference: Reference, logits: Logits, folder: Path) -> None:
    """Writes both files into `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(reference.model_dump(mode="json"), separators=(",", ":"), allow_nan=False)
    (folder / _DOCUMENT).write_text(text + "\n", encoding="utf-8")
    (folder / _LOGITS).write_bytes(np.ascontiguousarray(logits, "<f4").tobytes())


def read(folder: Path) -> Reference | None:
    """The reference in `folder`, None if there is none; ModelCorruptError for a broken one."""
    path = folder / _DOCUMENT
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            message = "it is far too large"
            raise ValueError(message)
        return Reference.model_validate_json(path.read_bytes())
    except (ValidationError, ValueError) as error:
        message = f"`{path}` is not a reference: {str(error).splitlines()[0]}"
        raise ModelCorruptError(message, hint="package the model again") from error


def row_of(position: int, logits: npt.NDArray[np.float64]) -> Row:
    """What is kept of a whole row of logits [vocabulary]."""
    second, first = np.partition(logits, -2)[-2:]
    total = float(first + np.log(np.exp(logits - first).sum()))
    return Row(
        position=position,
        token=int(logits.argmax()),
        margin=_rounded(first - second),
        log_sum_exp=_rounded(total),
        deviation=_rounded(logits.std()),
    )


def output_of(values: npt.NDArray[np.float64]) -> KernelOutput:
    """What is kept of the last row of a kernel's result, [columns]."""
    indices = np.arange(SAMPLES) * values.size // SAMPLES
    return KernelOutput(
        columns=values.size,
        norm=_rounded(np.sqrt(np.square(values).sum())),
        samples=tuple(_rounded(number) for number in values[indices]),
    )


def _rounded(number: float) -> float:
    # Fewer digits than float64 computes alike everywhere: the same model gives the same bytes.
    return float(f"{number:.7g}")
