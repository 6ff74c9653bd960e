"""What a benchmark found: raw samples, and the numbers people compare."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from sphere_edge.bundle.manifest import Memory

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Series:
    """Samples of one thing, in the order they were taken; `tokens`: prompt or answer length."""

    name: Literal["prefill", "decode", "first_token", "load"]
    unit: Literal["tokens/s", "s"]
    samples: tuple[float, ...]
    tokens: int | None = None

    @property
    def title(self) -> str:
        """`prefill 128`, `load`."""
        name = self.name.replace("_", " ")
        return name if self.tokens is None else f"{name} {self.tokens}"

    def percentile(self, percent: float) -> float:
        """Linear between the two nearest samples (NIST Engineering Statistics Handbook 7.2.6.2)."""
        ordered = sorted(self.samples)
        place = (len(ordered) - 1) * percent / 100
        low = math.floor(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (ordered[high] - ordered[low]) * (place - low)

    @property
    def median(self) -> float:
        """The 50th percentile."""
        return self.percentile(50)


@dataclass(frozen=True)
class Measurement:
    """One benchmark of one model on one machine. `predicted` is None for a bare .gguf."""

    model: str
    bundle_id: str | None
    engine: str
    family: str
    quantization: str
    device: str
    threads: int
    context_tokens: int
    series: tuple[Series, ...]
    peak_rss_bytes: int
    predicted: Memory | None

    def as_json(self) -> dict[str, Any]:
        """Everything, raw samples too; `schema_version` rises when a key changes its meaning."""
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "bundle_id": self.bundle_id,
            "engine": self.engine,
            "family": self.family,
            "quantization": self.quantization,
            "device": self.device,
            "threads": self.threads,
            "context_tokens": self.context_tokens,
            "series": [
                {
                    "name": one.name,
                    "tokens": one.tokens,
                    "unit": one.unit,
                    "median": one.median,
                    "p10": one.percentile(10),
                    "p90": one.percentile(90),
                    "samples": list(one.samples),
                }
                for one in self.series
            ],
            "memory": {
                "peak_rss_bytes": self.peak_rss_bytes,
                "predicted": self.predicted.model_dump() if self.predicted else None,
            },
        }
