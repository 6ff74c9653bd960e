"""From what a runner measured to a validation result: certified, or failed with the reasons."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sphere_edge.bundle.reference import Reference
from sphere_edge.certify.tolerance import Tolerance
from sphere_edge.certify.validation_result import ValidationResult
from sphere_edge.errors import InternalError

_MOST_REASONS = 4
_Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Reported(BaseModel):
    # More may come with newer runners; what is read is checked.
    model_config = ConfigDict(frozen=True, extra="ignore")


class StepResult(_Reported):
    """The worst of all runs of one step, in logits."""

    name: str
    length: int
    runs: int
    rows: int
    repeats: bool
    non_finite: int
    largest: _Number
    mean: _Number
    log_sum_exp: float | None
    wrong_tokens: int
    wrong_margin: float


class Report(_Reported):
    """What `sphere-edge-run certify` printed."""

    engine: str
    backend: str
    threads: int
    repeat: int
    seconds: float
    version: str
    steps: Annotated[tuple[StepResult, ...], Field(min_length=1)]


def read_report(stdout: str) -> Report:
    """The runner's JSON as typed values; InternalError if it is something else."""
    try:
        return Report.model_validate_json(stdout)
    except ValidationError as error:
        message = f"the runner's report cannot be read: {error.errors()[0]['msg']}"
        raise InternalError(message, hint="deploy the bundle again") from error


@dataclass(frozen=True)
class Expected:
    """What the bundle of an id is compared with; `short`: only some of the steps are run."""

    bundle: str
    reference: Reference
    tolerance: Tolerance
    short: bool


def validate(report: Report, expected: Expected) -> ValidationResult:
    """The result of one run of the runner; the kernel at fault is found elsewhere."""
    reference, allowed = expected.reference, expected.tolerance
    spread = max(reference.deviation, 1e-12)
    steps = report.steps
    rows = sum(step.rows for step in steps)
    wrong = sum(step.wrong_tokens for step in steps)
    reasons = [reason for step in steps for reason in _reasons(step, allowed, spread)]
    return ValidationResult(
        certified=not reasons and rows > 0,
        bundle=expected.bundle,
        backend=report.backend,
        engine=report.engine,
        short=expected.short,
        repeat=report.repeat,
        agreement=1 - wrong / rows if rows else 0.0,
        largest=max(step.largest for step in steps) / spread,
        mean=max(step.mean for step in steps) / spread,
        repeats=all(step.repeats for step in steps),
        non_finite=sum(step.non_finite for step in steps),
        reasons=_shortened(reasons) if rows else ("nothing was compared",),
        seconds=report.seconds,
        runtime=report.version,
    )


def _reasons(step: StepResult, allowed: Tolerance, spread: float) -> list[str]:
    at = f"in `{step.name}`"
    reasons = []
    if step.non_finite:
        reasons.append(f"{step.non_finite} logits are not finite {at}")
    if not step.repeats:
        reasons.append(f"{step.runs} runs gave different logits {at}")
    for what, found, most in (
        ("on average", step.mean / spread, allowed.mean),
        ("at most", step.largest / spread, allowed.largest),
        ("in the sum of probabilities", (step.log_sum_exp or 0) / spread, allowed.largest),
    ):
        if not found <= most:
            reasons.append(
                f"logits differ by {found:.2g} of their spread {what} {at} ({most:.2g} allowed)"
            )
            break
    # Where the reference hardly prefers its token, a rounding may turn the two around.
    if step.wrong_margin > 2 * allowed.largest * spread:
        reasons.append(f"another token is likeliest {at}")
    return reasons


def _shortened(reasons: list[str]) -> tuple[str, ...]:
    more = len(reasons) - _MOST_REASONS
    if more <= 0:
        return tuple(reasons)
    return (*reasons[:_MOST_REASONS], f"and {more} more like these")


def parse_json(stdout: str) -> Any:
    """The runner's JSON; InternalError if it is something else."""
    try:
        return json.loads(stdout)
    except ValueError as error:
        message = "the runner's answer is not JSON"
        raise InternalError(message) from error
