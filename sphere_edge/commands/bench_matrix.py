"""`sphere-edge bench matrix`: several bundles on several devices in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import console
from sphere_edge.bench import matrix
from sphere_edge.bench.plan import Plan


@dataclass(frozen=True)
class Devices:
    """The devices of `uris`, each with its store in the folder `store`; None: the usual one."""

    uris: Sequence[str]
    store: str | None = None


def bench_matrix(
    bundles: Sequence[Path], devices: Devices, plan: Plan, folder: Path | None
) -> list[matrix.Cell]:
    """Measures each bundle on each device; `folder` gets a JSON and an HTML report of each."""
    if folder is not None:
        matrix.make_folder(folder)

    def done(cell: matrix.Cell) -> None:
        state = "measured" if cell.measurement else "failed"
        console.say(f"{cell.bundle.name} on {cell.uri}: {state}")

    measure = matrix.on_device(plan, devices.store)
    cells = matrix.measure_all(bundles, devices.uris, measure, done)
    if folder is not None:
        matrix.write_reports(cells, folder)
    return cells


def show(cells: Sequence[matrix.Cell], *, as_json: bool) -> None:
    """Prints one row per bundle and device. Raises the first failure at the end."""
    if as_json:
        console.write_json({"cells": [cell.as_json() for cell in cells]})
    else:
        console.write_table(matrix.COLUMNS, matrix.rows(cells))
    failures = [cell.failure for cell in cells if cell.failure is not None]
    if failures and not as_json:
        raise failures[0]
