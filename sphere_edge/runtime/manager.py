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
    """An open model, and the tasks that its engine is at work on."""

    def __init__(self, handle: Handle, *, is_shared: bool = False) -> None:
        """`is_shared`: the engine takes many calls at once, else one."""
        self._handle = handle
        self._is_shared = is_shared
        # Reentrant: a callback of ours may close the model, or ask for what it then cannot have.
        self._lock = threading.RLock()
        self._ended = threading.Condition(self._lock)
        self._tasks: list[EngineTask[Any, Any]] = []
        # The threads that are inside a call of a shared engine.
        self._callers: list[int] = []

    def cancel(self) -> None:
        """Ends the tasks that are running; from any thread."""
        for task in tuple(self._tasks):
            task.cancel()

    def close(self) -> None:
        """Ends the tasks that are running and frees the model. Closing twice is fine."""
        for task in tuple(self._tasks):
            task.stop()
        own = threading.get_ident()
        with self._lock:
            self._ended.wait_for(lambda: all(caller == own for caller in self._callers))
            # One that began in between.
            for task in self._tasks:
                task.stop()
            self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    @contextmanager
    def _exclusive(self, *, replaces: bool = False) -> Iterator[None]:
        """For a call that needs the engine to itself, unless it is shared.

        Raises InvalidArgumentError if the engine is busy. A task that nobody reads any more is
        ended, and with `replaces` one that this very thread began: it would never read on.
        """
        if self._is_shared:
            with self._shared():
                yield
            return
        with self._lock:
            for task in self._running():
                is_own = replaces and task.reader == threading.get_ident()
                if not (task.is_abandoned or is_own):
                    message = "the model is busy with another call"
                    hint = "read its output to the end, or close it"
                    raise InvalidArgumentError(message, hint=hint)
                task.stop()
            self._tasks.clear()
            yield

    @contextmanager
    def _shared(self) -> Iterator[None]:
        """For a call beside others: the model is not closed while it runs."""
        with self._lock:
            self._tasks = self._running()
            self._callers.append(threading.get_ident())
        try:
            yield
        finally:
            with self._lock:
                self._callers.remove(threading.get_ident())
                self._ended.notify_all()

    def _began(self, task: EngineTask[Any, Any]) -> None:
        with self._lock:
            self._tasks.append(task)

    def _running(self) -> list[EngineTask[Any, Any]]:
        return [task for task in self._tasks if task.is_running]


def model_name(path: Path, *suffixes: str) -> str:
    """The name of the bundle folder `path`, or that of a file without one of these suffixes."""
    return path.stem if path.suffix in suffixes else path.absolute().name
