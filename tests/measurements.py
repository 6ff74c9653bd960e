"""Measurements as a benchmark could have made them, for tests of what is done with them."""

from __future__ import annotations

from typing import Any

from sphere_edge.bench import conditions
from sphere_edge.bench.measurement import (
    Device,
    Measurement,
    Memory,
    Parameters,
    Sensors,
    Series,
    Sustained,
    Track,
)
from sphere_edge.bundle.manifest import Memory as PredictedMemory


def track(kind: str, values: list[float | None], **fields: Any) -> Track:
    units = {"temperature": "°C", "clock": "MHz", "clock_limit": "MHz", "power": "W"}
    units |= {"current": "A", "voltage": "V", "battery_current": "A", "battery_voltage": "V"}
    units |= {"battery_status": "text", "governor": "text", "cooling": "level", "energy": "J"}
    units |= {"gpu_clock": "MHz", "gpu_clock_limit": "MHz", "gpu_governor": "text"}
    units |= {"throttled_flags": "flags", "throttled_times": "times", "battery_temperature": "°C"}
    fields = {"kind": kind, "name": kind, "unit": units[kind], "path": f"/sys/{kind}", **fields}
    return Track.model_validate({"values": values, **fields})


def sensors(*tracks: Track, seconds: int | None = None) -> Sensors:
    """A reading a second; the program measured from second 2 to the one before the last two."""
    count = seconds or len(tracks[0].values or tracks[0].words)
    return Sensors(
        interval_s=1,
        at_s=tuple(float(second) for second in range(count)),
        started_s=1.5,
        ended_s=count - 2.5,
        resident_bytes=(None, None, *[30 * 2**20] * (count - 4), None, None),
        tracks=tracks,
    )


def measured(**changes: Any) -> Measurement:
    found = changes.get("sensors")
    if found is not None and "conditions" not in changes:
        changes["conditions"] = conditions.summarize(found, changes.get("sustained", ()), 64)
    fields: dict[str, Any] = {
        "sphere_edge": "0.1",
        "measured_at": "2026-01-01T00:00:00+00:00",
        "model": "tiny <b>&",
        "bundle_id": "0" * 64,
        "engine": "tvm",
        "family": "llama",
        "quantization": "q4",
        "profile": "host",
        "device": Device(uri="local", title="a board"),
        "parameters": Parameters(prompt_tokens=(128,), new_tokens=64, repeat=3),
        "threads": 2,
        "context_tokens": 2048,
        "series": (
            Series(
                name="prefill",
                unit="tokens/s",
                samples=(100.0, 300.0, 200.0),
                tokens=128,
                started_s=(2.0, 3.0, 4.0),
                ended_s=(3.0, 4.0, 5.0),
            ),
            Series(name="decode", unit="tokens/s", samples=(50.0,), tokens=64),
            Series(name="load", unit="s", samples=(0.25, 0.2)),
        ),
        "memory": Memory(
            loaded_rss_bytes=2**20,
            peak_rss_bytes=50 * 2**20,
            predicted=PredictedMemory(
                weights_bytes=2**20, kv_cache_bytes=2**22, workspace_bytes=2**21, peak_bytes=2**25
            ),
        ),
    }
    return Measurement(**{**fields, **changes})


def sustained(count: int, *, decode: float = 50.0) -> tuple[Sustained, ...]:
    return tuple(
        Sustained(started_s=2.0 + n, ended_s=3.0 + n, answers=1, prefill=200, decode=decode)
        for n in range(count)
    )
