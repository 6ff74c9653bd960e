"""Measures several bundles on several devices: devices in parallel, on each one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sphere_edge.bench import tables
from sphere_edge.bench.measurement import Measurement
from sphere_edge.console import Progress, Step, Unit, human_bytes
from sphere_edge.errors import CancelledError, SphereEdgeError

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
    """One bundle on one device: what was measured, or why it was not."""

    bundle: Path
    uri: str
    measurement: Measurement | None
    failure: SphereEdgeError | None


Measure = Callable[[Path, str, Progress], Measurement]


class _Stoppable:
    """Progress that nobody sees, through which all work is told to stop."""

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
    """All bundles on all devices; one that fails leaves the others alone.

    A device measures one bundle at a time. `done` is told of each, from several threads.
    """
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
            # Ctrl-C: a thread cannot be ended from outside, so each is asked and ends its program.
            progress.stop()
            raise
    return sorted(found, key=lambda cell: (bundles.index(cell.bundle), uris.index(cell.uri)))


def rows(cells: Sequence[Cell]) -> tables.Rows:
    """One row per cell, as in `COLUMNS`."""
    return [_row(cell) for cell in cells]


def _row(cell: Cell) -> tuple[str, ...]:
    measured = cell.measurement
    if measured is None:
        said = cell.failure.message.splitlines()[0] if cell.failure else ""
        return (cell.bundle.name, cell.uri, "-", "-", "-", "-", "-", "-", f"failed: {said}")
    hot, predicted = measured.conditions.processor, measured.memory.predicted
    return (
        cell.bundle.name,
        cell.uri,
        _median(measured, "prefill"),
        _median(measured, "first_token"),
        _median(measured, "decode"),
        human_bytes(measured.memory.peak_rss_bytes),
        human_bytes(predicted.peak_bytes) if predicted else tables.NOT_TOLD,
        f"{hot.most:.0f} °C" if hot and hot.most is not None else tables.NOT_TOLD,
        tables.throttling(measured),
    )


def _median(measured: Measurement, name: str) -> str:
    one = next((one for one in measured.series if one.name == name), None)
    return f"{tables.number(one.median)} {one.unit}" if one else tables.NOT_TOLD
