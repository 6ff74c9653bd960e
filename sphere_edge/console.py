"""The one way to the terminal: stdout carries data, stderr carries talk, progress and errors."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol

from sphere_edge.errors import InvalidArgumentError, SphereEdgeError

if TYPE_CHECKING:
    import rich.console

Unit = Literal["bytes", "items"]


class Step(Protocol):
    """One piece of work that is under way."""

    def advance(self, amount: float = 1) -> None:
        """`amount` more of the step's total is done, in the step's unit."""


class Progress(Protocol):
    """What long work reports to: `SILENT` in the library, `console.progress()` in commands."""

    def step(
        self, title: str, total: float | None = None, unit: Unit = "items"
    ) -> AbstractContextManager[Step]:
        """Announces a step, `title` as in `hashing files`; `total` None: how long is not known."""

    def say(self, text: str) -> None:
        """A line about what is happening, outside of any step."""

    def warn(self, text: str) -> None:
        """Something the user should know, but which stops nothing."""


class _SilentStep:
    def advance(self, amount: float = 1) -> None:
        """Says nothing."""


class _SilentProgress:
    @contextmanager
    def step(self, title: str, total: float | None = None, unit: Unit = "items") -> Iterator[Step]:
        yield _SilentStep()

    def say(self, text: str) -> None:
        """Says nothing."""

    def warn(self, text: str) -> None:
        """Says nothing."""


SILENT: Progress = _SilentProgress()


class _SpokenProgress:
    """Lines of talk between the steps, which both kinds of output write alike."""

    def say(self, text: str) -> None:
        say(text)

    def warn(self, text: str) -> None:
        warn(text)


class _LineProgress(_SpokenProgress):
    """One line per step, for logs and pipes, where a bar would be thousands of lines."""

    @contextmanager
    def step(self, title: str, total: float | None = None, unit: Unit = "items") -> Iterator[Step]:
        say(f"{title} …")
        yield _SilentStep()


class _BarProgress(_SpokenProgress):
    @contextmanager
    def step(self, title: str, total: float | None = None, unit: Unit = "items") -> Iterator[Step]:
        from rich import progress as bars

        amount = (
            (bars.DownloadColumn(binary_units=True), bars.TransferSpeedColumn())
            if unit == "bytes"
            else (bars.MofNCompleteColumn(),)
        )
        columns = (
            bars.SpinnerColumn(),
            bars.TextColumn("{task.description}", markup=False),
            *((bars.BarColumn(), *amount) if total is not None else ()),
            bars.TimeElapsedColumn(),
        )
        with bars.Progress(*columns, console=_stderr(), transient=True) as display:
            task = display.add_task(title, total=total)

            class Bar:
                def advance(self, amount: float = 1) -> None:
                    display.advance(task, amount)

            yield Bar()


_WARNING = ("warning: ", "bold yellow")


def progress() -> Progress:
    """Bars on a terminal, one line per step elsewhere."""
    return _BarProgress() if sys.stderr.isatty() else _LineProgress()


def write(text: str, *, end: str = "\n") -> None:
    """Data for the user or the next program: exactly `text`, on stdout, at once."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def write_json(value: Any) -> None:
    """One JSON document on stdout."""
    write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def write_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout; a column named with ` →` at its end is aligned to the right."""
    import rich.console
    import rich.table
    import rich.text

    table = rich.table.Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.show_header = any(columns)
    for column in columns:
        right = column.endswith(" →")
        table.add_column(
            column.removesuffix(" →"), justify="right" if right else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(rich.text.Text(cell) for cell in row))
    # A pipe has no width: rich would assume 80 columns there and fold cells.
    out = rich.console.Console(highlight=False, width=None if sys.stdout.isatty() else 4096)
    with out.capture() as text:
        out.print(table)
    write("\n".join(line.rstrip() for line in text.get().splitlines()))


def say(text: str, *, style: str | None = None) -> None:
    """Talk: what is happening, on stderr."""
    _print((text, style or ""))


class ResponseStream:
    """Shows an answer as it comes: its text is data, what the model thinks before it is talk."""

    def __init__(self) -> None:
        """Nothing is shown yet."""
        self._is_reasoning = False

    def show(self, kind: str, text: str) -> None:
        """A piece of the kind `text` or `reasoning`."""
        if not text:
            return
        if kind == "reasoning":
            sys.stderr.write(text)
            sys.stderr.flush()
        else:
            write(("\n" if self._is_reasoning else "") + text, end="")
        self._is_reasoning = kind == "reasoning"


def warn(text: str) -> None:
    """Something the user should know, but which stops nothing."""
    _print(_WARNING, text)


# A log line that came within that time is not shown again.
_AGAIN_S = 600.0


class _LogLines(logging.Handler):
    """Each log line as a line of talk; one that comes at every opening of a model only once.

    A server that runs for days shows it again after a while, and keeps no more in mind.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        # When each was shown last.
        self._shown: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        text, now = record.getMessage(), record.created
        self._shown = {one: at for one, at in self._shown.items() if now - at < _AGAIN_S}
        if text in self._shown:
            return
        self._shown[text] = now
        head = ("error: ", "bold red") if record.levelno >= logging.ERROR else _WARNING
        _print(head, text)


_LOG_LINES = _LogLines()


def show_log() -> None:
    """From now on what the runtime warns of is talk, like our own warnings."""
    logger = logging.getLogger("sphere_edge")
    logger.addHandler(_LOG_LINES)
    logger.propagate = False


def error(message: str, hint: str | None = None) -> None:
    """`error: …`, and after an empty line `hint: …`, as in every part of sphere-edge."""
    _print(("error: ", "bold red"), message)
    if hint:
        _print("\n", ("hint: ", "bold cyan"), hint)


@cache
def _stderr() -> rich.console.Console:
    """Resolves the stream at each write, so that a redirected one is honoured.

    Imported when the first line is written: a command that prints nothing starts sooner.
    """
    import rich.console

    return rich.console.Console(highlight=False, soft_wrap=True, stderr=True)


def _print(*parts: str | tuple[str, str]) -> None:
    """One line on stderr, of plain parts and parts with a style."""
    import rich.text

    _stderr().print(rich.text.Text.assemble(*parts))


def error_as_json(failure: SphereEdgeError) -> dict[str, Any]:
    """`failure` as `as_error` writes it."""
    return as_error(failure.code, failure.code.name, failure.message, failure.hint)


def as_error(code: int, status: str, message: str, hint: str | None) -> dict[str, Any]:
    """`{"error": {code, status, message, hint}}`, the same shape in the runner and the server."""
    return {"error": {"code": int(code), "status": status, "message": message, "hint": hint}}


def read_stdin(name: str) -> str:
    """All of stdin, `name` being what it holds. Raises InvalidArgumentError if it is not text."""
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        message = f"{name} is not {error.encoding.upper()} text"
        raise InvalidArgumentError(message, hint="convert it, for example with iconv") from error


def is_interactive() -> bool:
    """Whether stdin and stderr are a terminal, so that questions may be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str) -> bool:
    """Asks on the terminal; anything but yes is no."""
    say(f"{question} [y/N]")
    return input().strip().lower() in ("y", "yes")


def human_bytes(count: float) -> str:
    """`1.5 GiB`; binary units, as memory and flash are sold and counted by the kernel."""
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.2f} GiB"
