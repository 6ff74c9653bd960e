"""`sphere-edge bench compare`: compares runs with a baseline; slower ones are an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from sphere_edge import console
from sphere_edge.bench import comparison_report as reports
from sphere_edge.bench import comparison_tables, measurement, report_file
from sphere_edge.bench.compare import Comparison, compare, require_judged, too_slow

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
    named = {str(file): one for file, one in zip(files[1:], compared, strict=True)}
    failed, unknown = too_slow(named, fail_below) if fail_below is not None else ({}, {})
    for path in to:
        reports.write(baseline, compared, failed, path)
        console.say(f"report: {path}")
    if as_json:
        console.write_json(comparison_tables.as_json(baseline, compared, failed))
    else:
        _show(files, compared)
    for file, titles in failed.items():
        console.error(f"`{file}` is below {fail_below:g} times the baseline: {', '.join(titles)}")
    if failed:
        sys.exit(REGRESSION)
    require_judged(named, unknown)
    for file, titles in unknown.items():
        console.warn(f"`{file}`: too few samples to judge {', '.join(titles)}")


def _show(files: Sequence[Path], compared: Sequence[Comparison]) -> None:
    for number, (file, one) in enumerate(zip(files[1:], compared, strict=True)):
        if number:
            console.write("")
        console.say(f"{file} compared with {files[0]}")
        if one.differs:
            console.say(f"  differs: {'; '.join(one.differs)}")
        console.write_table(comparison_tables.COLUMNS, comparison_tables.rows(one))
