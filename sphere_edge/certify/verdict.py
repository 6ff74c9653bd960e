"""From what a runner measured to a verdict: certified, or refused with the reasons."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sphere_edge.bundle.manifest import Manifest
from sphere_edge.bundle.reference import Reference
from sphere_edge.certify.tolerance import Tolerance
from sphere_edge.errors import InternalError, LoadFailedError, SphereEdgeError

_MOST_REASONS = 4
_Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Told(BaseModel):
    # More may come with newer runners; what is read is checked.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Finding(_Told):
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


class Report(_Told):
    """What `sphere-edge-run certify` printed."""

    engine: str
    backend: str
    threads: int
    repeat: int
    seconds: float
    version: str
    steps: Annotated[tuple[Finding, ...], Field(min_length=1)]


class Verdict(BaseModel):
    """Whether a backend of a device answers as the reference does, and by how much it differs.

    `largest` and `mean` are parts of the logits' standard deviation, as the tolerances are;
    `agreement` is the part of compared rows whose likeliest token is the reference's.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    certified: bool
    bundle: str
    backend: str
    engine: str
    short: bool
    repeat: int
    agreement: float
    largest: float
    mean: float
    repeats: bool
    non_finite: int
    reasons: tuple[str, ...] = ()
    kernel: str | None = None
    seconds: float
    runtime: str

    @property
    def summary(self) -> str:
        """One line for people."""
        if not self.certified:
            return f"refused on {self.backend}: {'; '.join(self.reasons)}"
        form = " (short form)" if self.short else ""
        return (
            f"certified on {self.backend}{form}: {self.agreement:.1%} of tokens agree, "
            f"logits differ by {self.mean:.2%} of their spread, {self.largest:.1%} at most, "
            f"{self.repeat} runs alike"
        )

    def failure(self, where: str) -> LoadFailedError:
        """What it means to the user that the bundle is not certified."""
        first = f"; first wrong: {self.kernel}" if self.kernel else ""
        what = f"{'; '.join(self.reasons)}{first}"
        message = f"the bundle answers wrongly on {where} ({self.backend}): {what}"
        return LoadFailedError(message, hint="docs/certify.md says what can be done")


def read_report(stdout: str) -> Report:
    """The runner's JSON as typed values; InternalError if it is something else."""
    try:
        return Report.model_validate_json(stdout)
    except ValidationError as error:
        message = f"the runner's report cannot be read: {error.errors()[0]['msg']}"
        raise InternalError(message, hint="deploy the bundle again") from error


def judge(
    report: Report, reference: Reference, allowed: Tolerance, bundle: str, *, short: bool
) -> Verdict:
    """The verdict on one run of the runner; what kernel is at fault is found out elsewhere."""
    spread = max(reference.deviation, 1e-12)
    steps = report.steps
    rows = sum(step.rows for step in steps)
    wrong = sum(step.wrong_tokens for step in steps)
    reasons = [reason for step in steps for reason in _reasons(step, allowed, spread)]
    return Verdict(
        certified=not reasons and rows > 0,
        bundle=bundle,
        backend=report.backend,
        engine=report.engine,
        short=short,
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


def unusable(
    backend: str, manifest: Manifest, error: SphereEdgeError, *, short: bool, repeat: int
) -> Verdict:
    """The verdict on a backend that does not run at all on the device."""
    return Verdict(
        certified=False,
        bundle=manifest.id,
        backend=backend,
        engine=manifest.engine,
        short=short,
        repeat=repeat,
        agreement=0.0,
        largest=0.0,
        mean=0.0,
        repeats=True,
        non_finite=0,
        reasons=(f"it does not run: {error.message}",),
        seconds=0.0,
        runtime="",
    )


class Verdicts(BaseModel):
    """What is kept on a device beside a bundle, which the runtime reads too: one per backend."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    verdicts: tuple[Verdict, ...] = ()

    def on(self, backend: str) -> Verdict | None:
        """The verdict on one backend."""
        return next((one for one in self.verdicts if one.backend == backend), None)

    def with_one(self, verdict: Verdict) -> Verdicts:
        """The same with this verdict; those on another bundle are out of date."""
        others = [
            one
            for one in self.verdicts
            if one.backend != verdict.backend and one.bundle == verdict.bundle
        ]
        return Verdicts(verdicts=(*others, verdict))


def read_verdicts(text: str) -> Verdicts:
    """Stored verdicts; of what is none, none."""
    try:
        return Verdicts.model_validate_json(text)
    except ValidationError:
        return Verdicts()


def as_text(verdicts: Verdicts) -> str:
    """The verdicts as they are stored."""
    return json.dumps(verdicts.model_dump(mode="json"), indent=2) + "\n"


def _reasons(step: Finding, allowed: Tolerance, spread: float) -> list[str]:
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
    """The runner's JSON; InternalError if it is none."""
    try:
        return json.loads(stdout)
    except ValueError as error:
        message = "the runner's answer is no JSON"
        raise InternalError(message) from error
