"""Measures several bundles on several devices: devices in parallel, on each one after the other."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sphere_edge.bench import report, tables
from sphere_edge.bench.measurement import Measurement
from sphere_edge.bench.plan import Plan
from sphere_edge.bench.target import ModelOnDevice
from sphere_edge.bench.text import measure
from sphere_edge.console import Progress, Step, Unit, error_as_json, human_bytes
from sphere_edge.devices.open import opened
from sphere_edge.errors import (
    CancelledError,
    InvalidArgumentError,
    SphereEdgeError,
    StorageError,
)

COLUMNS = (
    "BUNDLE",
    "DEVICE",
    "PREFILL →",
    "FIRST TOKEN →",
    "DECODE →",
    "PEAK →",
    "PREDICTED →",
    "HOTTEST →",
    "THROTTLING",
)


@dataclass(frozen=True)
class Cell:
    """One bundle on one device: the measurement, or why there is none."""

    bundle: Path
    uri: str
    measurement: Measurement | None
    failure: SphereEdgeError | None

    def as_json(self) -> dict[str, object]:
        """The same for machines."""
        return {
            "bundle": str(self.bundle),
            "device": self.uri,
            "measurement": self.measurement.as_json() if self.measurement else None,
            "failure": error_as_json(self.failure)["error"] if self.failure else None,
        }


Measure = Callable[[Path, str, Progress], Measurement]


class _Stoppable:
    """Silent progress through which all work is stopped."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    @contextmanager
    def step(self, title: str, total: float | None = None, unit: Unit = "items") -> Iterator[Step]:
        self.advance()
        yield self

    def say(self, text: str) -> None:
        """Shows nothing."""

    def warn(self, text: str) -> None:
        """Shows nothing."""

    def advance(self, amount: float = 1) -> None:
        if self._stopped.is_set():
            message = "cancelled"
            raise CancelledError(message)


def measure_all(
    bundles: Sequence[Path], uris: Sequence[str], measure: Measure, done: Callable[[Cell], None]
) -> list[Cell]:
    """All bundles on all devices; a failure does not stop the others.

    A device measures one bundle at a time. `done` is called for each, from several threads. Raises
    InvalidArgumentError if a bundle or a device is named twice.
    """
    for what, given in (("bundle", bundles), ("device", uris)):
        if len(set(given)) != len(given):
            message = f"duplicate {what}"
            raise InvalidArgumentError(message, hint=f"name each {what} once")
    progress = _Stoppable()

    def on_one(uri: str) -> list[Cell]:
        cells = []
        for bundle in bundles:
            try:
                cell = Cell(bundle, uri, measure(bundle, uri, progress), None)
            except SphereEdgeError as failure:
                cell = Cell(bundle, uri, None, failure)
            done(cell)
            cells.append(cell)
        return cells

    with ThreadPoolExecutor(max_workers=len(uris)) as pool:
        try:
            found = [cell for cells in pool.map(on_one, uris) for cell in cells]
        except BaseException:
            # Ctrl-C: a thread cannot be ended from outside; it stops its program at its next step.
            progress.stop()
            raise
    return sorted(found, key=lambda cell: (bundles.index(cell.bundle), uris.index(cell.uri)))


def on_device(plan: Plan, store: str | None) -> Measure:
    """Measures a bundle on the device of a URI as `plan` says; for `measure_all`."""

    def measured(bundle: Path, uri: str, progress: Progress) -> Measurement:
        with opened(uri) as device:
            return measure(ModelOnDevice(device, bundle, store), plan, progress)

    return measured


def make_folder(folder: Path) -> None:
    """Makes the folder for reports unless it exists. Raises StorageError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"`{folder}` cannot be made: {error.strerror}"
        raise StorageError(message) from error


def write_reports(cells: Sequence[Cell], folder: Path) -> None:
    """A JSON and an HTML report of each measurement."""
    for cell in cells:
        if cell.measurement is not None:
            stem = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{cell.bundle.name} {cell.uri}")
            for suffix in (".json", ".html"):
                report.write(cell.measurement, folder / f"{stem}{suffix}")


def rows(cells: Sequence[Cell]) -> tables.Rows:
    """One row per cell, as in `COLUMNS`."""
    return [_row(cell) for cell in cells]


def _row(cell: Cell) -> tuple[str, ...]:
    measured = cell.measurement
    if measured is None:
        reason = cell.failure.message.splitlines()[0] if cell.failure else ""
        return (cell.bundle.name, cell.uri, "-", "-", "-", "-", "-", "-", f"failed: {reason}")
    hot, predicted = measured.conditions.processor, measured.memory.predicted
    return (
        cell.bundle.name,
        cell.uri,
        _median(measured, "prefill"),
        _median(measured, "first_token"),
        _median(measured, "decode"),
        human_bytes(measured.memory.peak_rss_bytes),
        human_bytes(predicted.peak_bytes) if predicted else tables.NOT_AVAILABLE,
        f"{hot.most:.0f} °C" if hot and hot.most is not None else tables.NOT_AVAILABLE,
        tables.throttling(measured),
    )


def _median(measured: Measurement, name: str) -> str:
    one = next((one for one in measured.series if one.name == name), None)
    return f"{tables.number(one.median)} {one.unit}" if one else tables.NOT_AVAILABLE
