"""Manager: what the managers of text, audio and image models have in common."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typing_extensions import Self

from sphere_edge.errors import InvalidArgumentError
from sphere_edge.runtime.engine_task import EngineTask
from sphere_edge.runtime.handle import Handle


class Manager:
    """An open model, and the one task that its engine may be at work on."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        # Reentrant: a callback of ours may close the model, or ask for what it then cannot have.
        self._lock = threading.RLock()
        self._task: EngineTask[Any, Any] | None = None

    def cancel(self) -> None:
        """Ends the task that is running, if there is one; from any thread."""
        task = self._task
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """Ends the task that is running and frees the model. Closing twice is fine."""
        task = self._task
        if task is not None:
            task.stop()
        with self._lock:
            self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    @contextmanager
    def _exclusive(self, *, replaces: bool = False) -> Iterator[None]:
        """For a call that needs the engine to itself. Raises InvalidArgumentError if it is busy.

        A task that nobody reads any more is ended, and with `replaces` one that this very thread
        began: it would never read on.
        """
        with self._lock:
            task = self._task
            if task is not None and task.is_running:
                is_own = replaces and task.reader == threading.get_ident()
                if not (task.is_abandoned or is_own):
                    message = "the model is busy with another call"
                    hint = "read its output to the end, or close it"
                    raise InvalidArgumentError(message, hint=hint)
                task.stop()
            yield


def model_name(path: Path, *suffixes: str) -> str:
    """The name of the bundle folder `path`, or that of a file without one of these suffixes."""
    return path.stem if path.suffix in suffixes else path.absolute().name
