"""`sphere-edge bench matrix`: several bundles on several devices in one table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sphere_edge import console
from sphere_edge.bench import matrix, report
from sphere_edge.bench.measure import measure
from sphere_edge.bench.measurement import Measurement
from sphere_edge.bench.plan import Plan
from sphere_edge.devices.open import opened
from sphere_edge.errors import InvalidArgumentError, StorageError


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
    for what, given in (("bundle", bundles), ("device", uris)):
        if len(set(given)) != len(given):
            message = f"a {what} is named twice"
            raise InvalidArgumentError(message)
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"`{folder}` cannot be made: {error.strerror}"
            raise StorageError(message) from error

    def one(bundle: Path, uri: str, progress: console.Progress) -> Measurement:
        with opened(uri) as device:
            return measure(device, bundle, plan, store=store, progress=progress)

    def done(cell: matrix.Cell) -> None:
        state = "measured" if cell.measurement else "failed"
        console.say(f"{cell.bundle.name} on {cell.uri}: {state}")

    cells = matrix.measure_all(bundles, uris, one, done)
    for cell in cells:
        if folder is not None and cell.measurement is not None:
            stem = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{cell.bundle.name} {cell.uri}")
            for suffix in (".json", ".html"):
                report.write(cell.measurement, folder / f"{stem}{suffix}")
    if as_json:
        console.write_json({"cells": [_as_json(cell) for cell in cells]})
    else:
        console.write_table(matrix.COLUMNS, matrix.rows(cells))
    failures = [cell.failure for cell in cells if cell.failure is not None]
    if failures and not as_json:
        raise failures[0]


def _as_json(cell: matrix.Cell) -> dict[str, object]:
    return {
        "bundle": str(cell.bundle),
        "device": cell.uri,
        "measurement": cell.measurement.as_json() if cell.measurement else None,
        "failure": console.error_as_json(cell.failure)["error"] if cell.failure else None,
    }
