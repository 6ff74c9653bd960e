"""`sphere-edge bench matrix`: several bundles on several devices in one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sphere_edge import console
from sphere_edge.bench import matrix
from sphere_edge.bench.plan import Plan


def bench_matrix(
    bundles: Sequence[Path],
    uris: Sequence[str],
    plan: Plan,
    *,
    store: str | None,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Prints one row per bundle and device; `folder` gets a JSON and an HTML report of each.

    Raises the first failure at the end, after the table.
    """
    if folder is not None:
        matrix.make_folder(folder)

    def done(cell: matrix.Cell) -> None:
        state = "measured" if cell.measurement else "failed"
        console.say(f"{cell.bundle.name} on {cell.uri}: {state}")

    cells = matrix.measure_all(bundles, uris, matrix.on_device(plan, store), done)
    if folder is not None:
        matrix.write_reports(cells, folder)
    if as_json:
        console.write_json({"cells": [cell.as_json() for cell in cells]})
    else:
        console.write_table(matrix.COLUMNS, matrix.rows(cells))
    failures = [cell.failure for cell in cells if cell.failure is not None]
    if failures and not as_json:
        raise failures[0]
