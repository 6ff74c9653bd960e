"""EngineOutput and OutputStream: what an engine produces, read while it is being produced."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic

from typing_extensions import Self

from sphere_edge.errors import InvalidArgumentError, SphereEdgeError
from sphere_edge.runtime.engine_task import EngineTask, Item, Result

_STEP_S = 0.1


class EngineOutput(Generic[Item, Result]):
    """The items of a running call, and its `result` once they have all been read.

    The engine works on a thread of its own and starts at once. `close()`, leaving a `with` block or
    dropping the object cancels it. To be read by one thread at a time; `cancel()` and `close()` may
    be called from any thread. Reading raises the SphereEdgeError that ended it, errors.TimeoutError
    among them; a cancelled stream just ends.
    """

    def __init__(
        self,
        call: Callable[[EngineTask[Item, Result]], SphereEdgeError | None],
        cancel: Callable[[], None],
    ) -> None:
        """Made by a manager, from the engine's call and the function that cancels it."""
        self._items: list[Item] = []
        self._ended = False
        self.task: EngineTask[Item, Result] = EngineTask(cancel)
        self.task.start(call)

    def _next(self) -> Item:
        """Raises StopIteration at the end."""
        if self._ended:
            raise StopIteration
        try:
            item = self._next_item()
        except BaseException:
            # Ctrl-C while waiting.
            self.close()
            raise
        if item is not None:
            self._items.append(item)
            return item
        self._ended = True
        self.task.join()
        if self.task.failure is not None:
            raise self.task.failure
        raise StopIteration

    @property
    def result(self) -> Result:
        """How it went, once the stream has ended; InvalidArgumentError before."""
        if self.task.result is None:
            message = "the output has not ended yet"
            raise InvalidArgumentError(message, hint="read it to its end first")
        return self.task.result

    @property
    def is_running(self) -> bool:
        """Whether the engine is still at work."""
        return self.task.is_running

    def cancel(self) -> None:
        """Ends the stream soon; what is there can still be read."""
        self.task.cancel()

    def close(self) -> None:
        """Ends the stream and waits until the engine is free; nothing more can be read."""
        self._ended = True
        self.task.stop()

    def _next_item(self) -> Item | None:
        while True:
            # In steps: a signal that comes while Python goes to sleep does not wake it.
            with suppress(queue.Empty):
                return self.task.items.get(timeout=_STEP_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def __del__(self) -> None:
        # No waiting here, the collector may run anywhere: the next call waits for the engine.
        if hasattr(self, "task") and self.task.is_running:
            self.task.abandon()


class OutputStream(EngineOutput[Item, Result], Iterator[Item]):
    """Iterate for the items, then read `result`."""

    def __next__(self) -> Item:
        return self._next()
