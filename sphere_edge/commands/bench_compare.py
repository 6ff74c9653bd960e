"""`sphere-edge bench compare`: sets runs beside a baseline; slower ones are an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from sphere_edge import console
from sphere_edge.bench import comparison_report as reports
from sphere_edge.bench import comparison_tables, measurement, report_file
from sphere_edge.bench.compare import LEAST_SAMPLES, Comparison, compare
from sphere_edge.errors import InvalidArgumentError

# BSD sysexits.h EX_DATAERR; above every status code, beside 64 for wrong usage.
REGRESSION = 65


def compare_reports(
    files: Sequence[Path], *, fail_below: float | None, to: Sequence[Path], as_json: bool
) -> None:
    """Compares each report with the first one; ends with `REGRESSION` if one is too slow.

    Raises InvalidArgumentError if `fail_below` is given and a run has too few samples to judge it.
    """
    for path in to:
        report_file.check(path, reports.FORMATS)
    baseline, *others = (measurement.read(path) for path in files)
    compared = compare(baseline, others)
    failed = _failed(files[1:], compared, fail_below)
    for path in to:
        reports.write(baseline, compared, failed, path)
        console.say(f"report: {path}")
    if as_json:
        console.write_json(comparison_tables.as_json(baseline, compared, failed))
    else:
        _show(files, compared)
    if failed:
        for file, titles in failed.items():
            console.error(
                f"`{file}` is below {fail_below:g} times the baseline: {', '.join(titles)}"
            )
        sys.exit(REGRESSION)
    if fail_below is not None:
        _require_judged(files[1:], compared, fail_below)


def _require_judged(files: Sequence[Path], compared: Sequence[Comparison], below: float) -> None:
    """A gate that lets pass what nobody could judge is none."""
    for file, one in zip(files, compared, strict=True):
        unknown = [ratio.title for ratio in one.ratios if ratio.fails(below) is None]
        if not unknown:
            continue
        if len(unknown) < len(one.ratios):
            console.warn(f"`{file}`: too few samples to judge {', '.join(unknown)}")
            continue
        message = f"`{file}` cannot be judged: too few samples of {', '.join(unknown)}"
        hint = f"measure both with `--repeat {LEAST_SAMPLES}` or more"
        raise InvalidArgumentError(message, hint=hint)


def _failed(
    files: Sequence[Path], compared: Sequence[Comparison], fail_below: float | None
) -> dict[str, list[str]]:
    """Per file the titles that are too slow."""
    if fail_below is None:
        return {}
    failed = {
        str(file): [ratio.title for ratio in one.ratios if ratio.fails(fail_below)]
        for file, one in zip(files, compared, strict=True)
    }
    return {file: titles for file, titles in failed.items() if titles}


def _show(files: Sequence[Path], compared: Sequence[Comparison]) -> None:
    for number, (file, one) in enumerate(zip(files[1:], compared, strict=True)):
        if number:
            console.write("")
        console.say(f"{file} beside {files[0]}")
        if one.differs:
            console.say(f"  differs: {'; '.join(one.differs)}")
        console.write_table(comparison_tables.COLUMNS, comparison_tables.rows(one))
