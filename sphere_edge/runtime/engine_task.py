"""EngineTask: a call of the engine on a thread beside, and the queue of what it produces."""

from __future__ import annotations

import atexit
import functools
import os
import queue
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from sphere_edge.errors import InvalidArgumentError, SphereEdgeError, Status
from sphere_edge.runtime import worker_threads

Item = TypeVar("Item")
Result = TypeVar("Result")

# So many items may wait for a slow reader; then the engine waits too.
_ITEMS_WAITING = 256


class EngineTask(Generic[Item, Result]):
    """The engine's side of an OutputStream; it holds no reference to the reader's side.

    So a stream that nobody reads any more is collected, and its end cancels the engine. All
    methods may be called from any thread but the engine's own.
    """

    def __init__(self, cancel: Callable[[], None]) -> None:
        # The thread that began the task and is expected to read its output.
        self.reader = threading.get_ident()
        # Items in order, at last None.
        self.items: queue.Queue[Item | None] = queue.Queue(_ITEMS_WAITING)
        self.failure: BaseException | None = None
        # Set if the engine had begun: also after a timeout, not after a bad argument.
        self.result: Result | None = None
        self._cancel = cancel
        self._cancelled = threading.Event()
        self._abandoned = threading.Event()
        self._started = False
        self._ended = threading.Event()

    def start(self, call: Callable[[EngineTask[Item, Result]], SphereEdgeError | None]) -> None:
        """Runs the engine's `call` on another thread.

        It passes its items to `put`, sets `result` and returns its failure.
        """
        self._started = True
        _running.add(self)
        try:
            worker_threads.start(functools.partial(self._run, call))
        except BaseException:
            # No thread could be started, and nobody else would say that it has ended.
            _running.discard(self)
            self._ended.set()
            raise

    @property
    def is_running(self) -> bool:
        """Whether the engine is still at work."""
        return self._started and not self._ended.is_set()

    @property
    def is_cancelled(self) -> bool:
        """Whether the engine was asked to end."""
        return self._cancelled.is_set()

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody will read any more."""
        return self._abandoned.is_set()

    def cancel(self) -> None:
        """Ends the engine's work soon; what it has produced so far can still be read."""
        self._cancelled.set()
        self._cancel()

    def abandon(self) -> None:
        """The same, and nobody will read any more."""
        self._abandoned.set()
        self.cancel()

    def stop(self) -> None:
        """The same, and waits for the end."""
        while self.is_running:
            # A cancel that comes before the engine's call has begun does nothing: repeat it.
            self.abandon()
            self.join(0.02)

    def join(self, timeout_s: float | None = None) -> None:
        """Waits for the end."""
        if self._started:
            self._ended.wait(timeout_s)

    def put(self, item: Item) -> bool:
        """For the engine: passes an item on, waiting for room; False when it has to end."""
        return not self.is_cancelled and self._put(item)

    def _run(self, call: Callable[[EngineTask[Item, Result]], SphereEdgeError | None]) -> None:
        try:
            failure = call(self)
            if failure is not None and failure.code is not Status.CANCELLED:
                self.failure = failure
        except BaseException as error:
            # Raised again for the reader, whatever it is: nobody else would see it.
            self.failure = error
        finally:
            if not self._put(None):
                self._end_abandoned()
            self._ended.set()

    def _put(self, item: Item | None) -> bool:
        while not self.is_abandoned:
            try:
                self.items.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def _end_without_thread(self) -> None:
        """In a child process, which has the task, but not its thread, nor who held its locks."""
        if not self.is_running:
            return
        self._cancelled, self._abandoned = threading.Event(), threading.Event()
        self._ended = threading.Event()
        self._ended.set()
        message = "the output is produced in the process that was forked, not in its child"
        self.failure = InvalidArgumentError(message, hint="read it there")
        self.items = queue.Queue(_ITEMS_WAITING)
        self.items.put_nowait(None)

    def _end_abandoned(self) -> None:
        """Drops what was not read, so that whoever still waits for an item gets the end."""
        with suppress(queue.Empty):
            while True:
                self.items.get_nowait()
        self.items.put_nowait(None)


# A thread inside the engine must not outlive the interpreter: its next item would crash it.
_running: weakref.WeakSet[EngineTask[Any, Any]] = weakref.WeakSet()


def _end_in_child() -> None:
    for task in list(_running):
        task._end_without_thread()
    _running.clear()


os.register_at_fork(after_in_child=_end_in_child)


@atexit.register
def _stop_all() -> None:
    for task in list(_running):
        task.stop()
