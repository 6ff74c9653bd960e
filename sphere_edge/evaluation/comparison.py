"""Lets two models read the same text and compares what each expects next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sphere_edge.bundle.manifest import Quality
from sphere_edge.console import SILENT, Progress
from sphere_edge.errors import FormatMismatchError, ModelCorruptError
from sphere_edge.evaluation.figures import Interval, Positions, interval, join, positions
from sphere_edge.evaluation.predictor import Subject
from sphere_edge.evaluation.windows import Window

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Comparison:
    """What a candidate loses against its reference on one text; information is in nats."""

    reference: str
    candidate: str
    # The longest that was read at once.
    window_tokens: int
    each: Positions

    @property
    def reference_perplexity(self) -> Interval:
        """How unlikely the reference finds the text: exp of its mean negative log-likelihood."""
        return interval(self.each.reference_surprise, np.exp)

    @property
    def candidate_perplexity(self) -> Interval:
        """The same by the candidate."""
        return interval(self.each.candidate_surprise, np.exp)

    @property
    def perplexity_ratio(self) -> Interval:
        """Candidate over reference; pairing the positions makes its interval narrow."""
        return interval(self.each.candidate_surprise - self.each.reference_surprise, np.exp)

    @property
    def divergence(self) -> Interval:
        """Mean KL(reference || candidate) (Kullback & Leibler 1951)."""
        return interval(self.each.divergence)

    @property
    def divergence_p99(self) -> float:
        """Its 99th percentile: how bad the worst positions are."""
        return float(np.percentile(self.each.divergence, 99))

    @property
    def agreement(self) -> Interval:
        """Share of positions where both hold the same token for the likeliest."""
        return interval(self.each.agreement)

    def summary(self, text: str) -> Quality:
        """What a bundle records; `text` says what was read."""
        return Quality(
            reference=self.reference,
            predictions=len(self.each.divergence),
            text=text,
            reference_perplexity=_short(self.reference_perplexity.value),
            perplexity=_short(self.candidate_perplexity.value),
            kl_divergence=_short(self.divergence.value),
            kl_divergence_p99=_short(self.divergence_p99),
            top1_agreement=_short(self.agreement.value),
        )

    def as_json(self) -> dict[str, Any]:
        """Everything, each position too; `schema_version` rises when a key changes its meaning."""
        return {
            "schema_version": SCHEMA_VERSION,
            "reference": self.reference,
            "candidate": self.candidate,
            "positions": len(self.each.divergence),
            "window_tokens": self.window_tokens,
            "reference_perplexity": _interval(self.reference_perplexity),
            "candidate_perplexity": _interval(self.candidate_perplexity),
            "perplexity_ratio": _interval(self.perplexity_ratio),
            "kl_divergence": {**_interval(self.divergence), "p99": self.divergence_p99},
            "top1_agreement": _interval(self.agreement),
            "kl_divergence_by_position": [round(float(x), 7) for x in self.each.divergence],
        }


def compare(
    reference: Subject,
    candidate: Subject,
    windows: Sequence[Window],
    *,
    progress: Progress = SILENT,
) -> Comparison:
    """Both models read `windows`; the predictions that count are compared, position by position.

    Raises ModelCorruptError where a model gives numbers that are not finite.
    """
    parts = []
    with progress.step("comparing predictions", sum(len(one.ids) for one in windows)) as bar:
        for one in windows:
            # Logits after a token predict the next one; what comes after the last is not known.
            rows = slice(one.first_counted - 1, len(one.ids) - 1)
            p, q = (_finite(subject, one.ids)[rows] for subject in (reference, candidate))
            parts.append(positions(p, q, np.asarray(one.ids[one.first_counted :])))
            bar.advance(len(one.ids))
    window = max(len(one.ids) for one in windows)
    return Comparison(reference.name, candidate.name, window, join(parts))


def same_tokens(reference: Subject, candidate: Subject, text: str) -> list[int]:
    """The tokens of `text`; FormatMismatchError unless they are the same for both."""
    ids, others = (one.model.tokenize(text) for one in (reference, candidate))
    if reference.vocab_size != candidate.vocab_size or ids != others:
        message = f"`{candidate.name}` and `{reference.name}` do not share one tokenizer"
        hint = "compare a model with its own source, or with another packaging of it"
        raise FormatMismatchError(message, hint=hint)
    return ids


def _finite(subject: Subject, ids: Sequence[int]) -> npt.NDArray[np.float32]:
    logits = subject.model.logits(ids)
    if not np.isfinite(logits).all():
        message = f"`{subject.name}` gives logits that are not finite"
        raise ModelCorruptError(message, hint="package the model again, or with more bits")
    return logits


def _short(number: float) -> float:
    """Four digits: more would be noise, and change the bundle's id with it."""
    return float(f"{number:.4g}")


def _interval(one: Interval) -> dict[str, float | None]:
    """JSON has no infinity: where the text is too short for an interval it has none."""
    known = math.isfinite(one.low)
    return {
        "value": one.value,
        "low": one.low if known else None,
        "high": one.high if known else None,
    }
