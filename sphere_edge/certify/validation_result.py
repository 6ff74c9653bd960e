"""Whether a bundle's backends were certified, as it is kept on a device and on this machine."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sphere_edge.errors import LoadFailedError


class ValidationResult(BaseModel):
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
            return f"failed on {self.backend}: {'; '.join(self.reasons)}"
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
        message = f"the bundle does not match its reference on {where} ({self.backend}): {what}"
        return LoadFailedError(message, hint="docs/certify.md says what can be done")


class ValidationResults(BaseModel):
    """What is kept on a device beside a bundle, which the runtime reads too: one per backend."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    # Stores on devices, and the runtime that reads them, call the list this.
    results: Annotated[tuple[ValidationResult, ...], Field(alias="verdicts")] = ()

    def on(self, backend: str) -> ValidationResult | None:
        """The result of one backend."""
        return next((one for one in self.results if one.backend == backend), None)

    def with_one(self, result: ValidationResult) -> ValidationResults:
        """The same with this result; those of another bundle are out of date."""
        others = [
            one
            for one in self.results
            if one.backend != result.backend and one.bundle == result.bundle
        ]
        return ValidationResults(results=(*others, result))


def read_results(text: str) -> ValidationResults:
    """Stored results; none where the text is something else."""
    try:
        return ValidationResults.model_validate_json(text)
    except ValidationError:
        return ValidationResults()


def as_text(results: ValidationResults) -> str:
    """The results as they are stored."""
    return json.dumps(results.model_dump(mode="json", by_alias=True), indent=2) + "\n"
