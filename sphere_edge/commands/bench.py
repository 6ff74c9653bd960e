"""`sphere-edge bench`: measures speed, start-up, memory, heat and power on a device."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sphere_edge import bench as benchmark
from sphere_edge import console
from sphere_edge.bench import report as reports
from sphere_edge.bench import tables
from sphere_edge.bench.measurement import Measurement
from sphere_edge.devices.open import opened
from sphere_edge.errors import InvalidArgumentError

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_LONGEST_S = 7 * 24 * 3600


def bench(
    bundle: Path,
    uri: str,
    *,
    store: str | None,
    prompt_tokens: str,
    new_tokens: int,
    repeat: int,
    threads: int,
    sustain: str | None,
    cool_below_c: float | None,
    report: Sequence[Path],
    form: str | None,
) -> None:
    """Prints medians with their spread, memory as predicted and as measured, and the conditions.

    `form`: json, csv or markdown on stdout instead of tables.
    """
    plan = plan_of(prompt_tokens, new_tokens, repeat, threads, sustain, cool_below_c)
    for path in report:
        reports.check(path)
    with opened(uri) as device:
        measured = benchmark.measure(device, bundle, plan, store=store, progress=console.progress())
    for path in report:
        reports.write(measured, path)
        console.say(f"report: {path}")
    _show(measured, form)


def plan_of(
    prompt_tokens: str,
    new_tokens: int,
    repeat: int,
    threads: int,
    sustain: str | None,
    cool_below_c: float | None,
) -> benchmark.Plan:
    """The flags as a plan. Raises InvalidArgumentError."""
    return benchmark.Plan(
        _lengths(prompt_tokens),
        new_tokens,
        repeat,
        threads,
        seconds(sustain) if sustain is not None else 0,
        cool_below_c,
    )


def _show(measured: Measurement, form: str | None) -> None:
    if form is not None:
        forms = {
            "json": reports.as_json,
            "csv": reports.comma_separated,
            "markdown": reports.markdown,
        }
        console.write(forms[form](measured), end="")
        return
    console.say(f"{measured.model}: {tables.subtitle(measured)}")
    console.write_table(tables.SPEED, tables.speed(measured))
    console.write("")
    console.write_table(tables.MEMORY, tables.memory(measured))
    console.write("")
    console.write_table(tables.CONDITIONS, tables.conditions(measured))


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
