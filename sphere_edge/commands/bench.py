"""`sphere-edge bench`: measures speed, start-up, memory, heat and power on a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sphere_edge import bench as benchmark
from sphere_edge import console
from sphere_edge.bench import report as reports
from sphere_edge.bench import tables
from sphere_edge.bench.measurement import Measurement
from sphere_edge.bench.plan import plan_of
from sphere_edge.devices.open import opened


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
