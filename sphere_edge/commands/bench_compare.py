"""`sphere-edge bench compare`: sets runs beside a baseline; slower ones are an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from sphere_edge import console
from sphere_edge.bench import comparison_report as reports
from sphere_edge.bench import measurement, report
from sphere_edge.bench.compare import Comparison, compare

# BSD sysexits.h EX_DATAERR; above every status code, beside 64 for wrong usage.
REGRESSION = 65


def compare_reports(
    files: Sequence[Path], *, fail_below: float | None, to: Sequence[Path], as_json: bool
) -> None:
    """Compares each report with the first one; ends with `REGRESSION` if one is too slow."""
    for path in to:
        report.check(path, reports.FORMATS)
    baseline, *others = (measurement.read(path) for path in files)
    compared = compare(baseline, others)
    failed = _failed(files[1:], compared, fail_below)
    for path in to:
        reports.write(baseline, compared, failed, path)
        console.say(f"report: {path}")
    if as_json:
        console.write_json(reports.as_json(baseline, compared, failed))
    else:
        _show(files, compared)
    if failed:
        for file, titles in failed.items():
            console.error(
                f"`{file}` is below {fail_below:g} times the baseline: {', '.join(titles)}"
            )
        sys.exit(REGRESSION)


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
        console.write_table(reports.COLUMNS, reports.rows(one))
