"""`sphere-edge bench`: measures speed, start-up and memory on this machine."""

from __future__ import annotations

from pathlib import Path

from sphere_edge import bench as benchmark
from sphere_edge import console
from sphere_edge.bench import report as reports
from sphere_edge.errors import InvalidArgumentError


def bench(
    bundle: Path,
    *,
    prompt_tokens: str,
    new_tokens: int,
    repeat: int,
    threads: int,
    report: Path | None,
    as_json: bool,
) -> None:
    """Prints medians with their spread, and memory as predicted and as measured."""
    plan = benchmark.Plan(_lengths(prompt_tokens), new_tokens, repeat, threads)
    if report is not None:
        reports.check(report)
    measured = benchmark.measure(bundle, plan, console.progress())
    if report is not None:
        reports.write(measured, report)
        console.say(f"report: {report}")
    if as_json:
        console.write_json(measured.as_json())
        return
    console.say(f"{measured.model}: {reports.subtitle(measured)}")
    console.write_table(reports.COLUMNS, reports.rows(measured))
    console.write("")
    console.write_table(("MEMORY", "PREDICTED →", "MEASURED →"), reports.memory_rows(measured))


def _lengths(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        message = f"prompt lengths cannot be `{text}`"
        raise InvalidArgumentError(message, hint="give whole numbers: --prompt-tokens 128,512")
    return tuple(int(word) for word in words)
