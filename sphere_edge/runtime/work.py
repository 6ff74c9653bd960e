"""A call of the engine on a thread of its own, and what it hands over while it lasts."""

from __future__ import annotations

import atexit
import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from sphere_edge.errors import InvalidArgumentError, SphereEdgeError, Status

Item = TypeVar("Item")
Account = TypeVar("Account")

# So many pieces may wait for a slow reader; then the engine waits too.
_PIECES_WAITING = 256


class Work(Generic[Item, Account]):
    """The engine's side of an answer; it knows nothing of the reader's side.

    So an answer that nobody reads any more is collected, and its end cancels the engine. All
    methods may be called from any thread but the engine's own.
    """

    def __init__(self, cancel: Callable[[], None]) -> None:
        # The thread that began the answer and is expected to read it.
        self.reader = threading.get_ident()
        # Pieces in order, at last None.
        self.pieces: queue.Queue[Item | None] = queue.Queue(_PIECES_WAITING)
        self.failure: BaseException | None = None
        # Filled if the engine had begun: also after a timeout, not after a bad argument.
        self.result: Account | None = None
        self._cancel = cancel
        self._cancelled = threading.Event()
        self._abandoned = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, call: Callable[[Work[Item, Account]], SphereEdgeError | None]) -> None:
        """Runs the engine's `call` on a thread of its own.

        It hands its pieces to `put`, sets `result` and returns its failure.
        """
        # A daemon: what keeps a process alive is for the program to say, not for an answer.
        self._thread = threading.Thread(
            target=self._run, args=(call,), name="sphere-edge-answer", daemon=True
        )
        _under_way.add(self)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the engine still works."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def is_cancelled(self) -> bool:
        """Whether the engine shall end."""
        return self._cancelled.is_set()

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody will read any more."""
        return self._abandoned.is_set()

    def cancel(self) -> None:
        """The engine ends soon; what it has said so far can still be read."""
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
        if self._thread is not None:
            self._thread.join(timeout_s)

    def put(self, piece: Item) -> bool:
        """For the engine: hands a piece over, waiting for room; False when it shall end."""
        return not self.is_cancelled and self._put(piece)

    def _run(self, call: Callable[[Work[Item, Account]], SphereEdgeError | None]) -> None:
        try:
            failure = call(self)
            if failure is not None and failure.code is not Status.CANCELLED:
                self.failure = failure
        except BaseException as error:
            # The reader must hear of it, whatever it is: this thread has nobody else to tell.
            self.failure = error
        finally:
            self._put(None)

    def _put(self, piece: Item | None) -> bool:
        while not self.is_abandoned:
            try:
                self.pieces.put(piece, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


# A thread inside the engine must not meet a dying interpreter: its next piece would crash it.
_under_way: weakref.WeakSet[Work[Any, Any]] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    for work in list(_under_way):
        work.stop()


class Answer(Iterator[Item], Generic[Item, Account]):
    """An answer: iterate for its pieces, then read `result`.

    The engine works on a thread of its own and starts at once. `close()`, leaving a `with` block or
    dropping the object cancels it. To be read by one thread at a time; `cancel()` and `close()` may
    be called from any thread. Reading raises the SphereEdgeError that ended it, errors.TimeoutError
    among them; cancelling is no error: reading then just ends.
    """

    def __init__(
        self,
        call: Callable[[Work[Item, Account]], SphereEdgeError | None],
        cancel: Callable[[], None],
    ) -> None:
        """Made by a manager, from the engine's call and the function that cancels it."""
        self._said: list[Item] = []
        self._ended = False
        self.work: Work[Item, Account] = Work(cancel)
        self.work.start(call)

    def __next__(self) -> Item:
        if self._ended:
            raise StopIteration
        try:
            piece = self.work.pieces.get()
        except BaseException:
            # Ctrl-C while waiting.
            self.close()
            raise
        if piece is not None:
            self._said.append(piece)
            return piece
        self._ended = True
        self.work.join()
        if self.work.failure is not None:
            raise self.work.failure
        raise StopIteration

    @property
    def result(self) -> Account:
        """The account, there when the answer has ended; InvalidArgumentError before."""
        if self.work.result is None:
            message = "the answer has not ended yet"
            raise InvalidArgumentError(message, hint="read it to its end first")
        return self.work.result

    @property
    def is_running(self) -> bool:
        """Whether the engine still works on it."""
        return self.work.is_running

    def cancel(self) -> None:
        """Ends the answer soon; what is there can still be read."""
        self.work.cancel()

    def close(self) -> None:
        """Ends the answer and waits until the engine is free; nothing more can be read."""
        self._ended = True
        self.work.stop()

    def __exit__(self, *failure: object) -> None:
        self.close()

    def __del__(self) -> None:
        # No waiting here, the collector may run anywhere: the next call waits for the engine.
        if hasattr(self, "work") and self.work.is_running:
            self.work.abandon()
