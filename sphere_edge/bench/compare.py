"""Compares measurements with a baseline: ratios of medians with their confidence intervals.

The interval is a percentile bootstrap (B. Efron, R. Tibshirani, "An Introduction to the Bootstrap",
1993, chapter 13): both runs' samples are resampled, with replacement, and the ratio of the medians
is taken each time; the interval holds the middle 95 % of those ratios.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sphere_edge.bench.measurement import Measurement, Series
from sphere_edge.errors import InvalidArgumentError

CONFIDENCE = 0.95
_RESAMPLES = 4000
# Fewer samples say nothing about their spread.
LEAST_SAMPLES = 3


@dataclass(frozen=True)
class Ratio:
    """One series of one run compared with the baseline's; above 1 is better, for times too.

    `low`, `high`: the 95 % interval; None with too few samples.
    """

    title: str
    unit: str
    baseline: float
    other: float
    ratio: float
    low: float | None
    high: float | None

    def fails(self, below: float) -> bool | None:
        """Whether all of the interval is below `below`; None with too few samples."""
        return None if self.high is None else self.high < below

    @property
    def result(self) -> str:
        """`faster`, `slower`, or `no difference` where 1 is inside the interval."""
        if self.low is None or self.high is None:
            return "too few samples"
        if self.low > 1:
            return "faster"
        return "slower" if self.high < 1 else "no difference"


@dataclass(frozen=True)
class Comparison:
    """One run compared with the baseline; `memory`: peak over peak, less is better."""

    measurement: Measurement
    ratios: tuple[Ratio, ...]
    memory: float
    # What else differs, so that the ratio may have another cause.
    differs: tuple[str, ...]


def compare(baseline: Measurement, others: Sequence[Measurement]) -> list[Comparison]:
    """Each of `others` compared with `baseline`, in the series that both have.

    Raises InvalidArgumentError if there are none.
    """
    return [_one(baseline, other) for other in others]


def _one(baseline: Measurement, other: Measurement) -> Comparison:
    ours = {one.title: one for one in _all(other)}
    pairs = [(one, ours[one.title]) for one in _all(baseline) if one.title in ours]
    if not pairs:
        message = f"the measurements of `{baseline.model}` and `{other.model}` share no series"
        raise InvalidArgumentError(message, hint="measure both with the same --prompt-tokens")
    return Comparison(
        other,
        tuple(ratio(before, after) for before, after in pairs),
        other.memory.peak_rss_bytes / baseline.memory.peak_rss_bytes,
        tuple(_differences(baseline, other)),
    )


def ratio(baseline: Series, other: Series) -> Ratio:
    """How much better `other` is, with its interval; deterministic for the same samples."""
    before, after = np.array(baseline.samples), np.array(other.samples)
    if baseline.less_is_better:
        before, after = 1 / before, 1 / after
    middle = float(np.median(after) / np.median(before))
    low = high = None
    if min(len(before), len(after)) >= LEAST_SAMPLES:
        chance = np.random.default_rng(0)
        drawn = np.median(chance.choice(after, (_RESAMPLES, len(after))), axis=1) / np.median(
            chance.choice(before, (_RESAMPLES, len(before))), axis=1
        )
        outside = (1 - CONFIDENCE) / 2
        low, high = (float(one) for one in np.quantile(drawn, [outside, 1 - outside]))
    return Ratio(other.title, other.unit, baseline.median, other.median, middle, low, high)


def too_slow(
    others: Mapping[str, Comparison], below: float
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Per name the ratios that are below `below`, and those with too few samples to tell."""
    failed = {
        name: [ratio.title for ratio in one.ratios if ratio.fails(below)]
        for name, one in others.items()
    }
    unknown = {
        name: [ratio.title for ratio in one.ratios if ratio.fails(below) is None]
        for name, one in others.items()
    }
    return (
        {name: titles for name, titles in failed.items() if titles},
        {name: titles for name, titles in unknown.items() if titles},
    )


def require_judged(others: Mapping[str, Comparison], unknown: Mapping[str, list[str]]) -> None:
    """Raises InvalidArgumentError if no ratio of a run could be judged: a gate must not pass it."""
    for name, titles in unknown.items():
        if len(titles) == len(others[name].ratios):
            message = f"`{name}` cannot be judged: too few samples of {', '.join(titles)}"
            hint = f"measure both with `--repeat {LEAST_SAMPLES}` or more"
            raise InvalidArgumentError(message, hint=hint)


def _all(measurement: Measurement) -> list[Series]:
    """The series, and the sustained speeds as two more."""
    found = list(measurement.series)
    for name in ("prefill", "decode") if measurement.sustained else ():
        found.append(
            _Sustained(
                name=name,
                unit="tokens/s",
                samples=tuple(getattr(one, name) for one in measurement.sustained),
            )
        )
    return found


class _Sustained(Series):
    @property
    def title(self) -> str:
        return f"sustained {self.name}"


def _differences(baseline: Measurement, other: Measurement) -> list[str]:
    facts = {
        "model": (baseline.model, other.model),
        "bundle": (baseline.bundle_id, other.bundle_id),
        "device": (baseline.device.title, other.device.title),
        "threads": (baseline.threads, other.threads),
        "context": (baseline.context_tokens, other.context_tokens),
        "sphere-edge": (baseline.sphere_edge, other.sphere_edge),
    }
    return [
        f"{name} {str(before)[:12]} → {str(after)[:12]}"
        if name == "bundle"
        else f"{name} {before} → {after}"
        for name, (before, after) in facts.items()
        if before != after
    ]
