"""An answer while it is being made: pieces of text as they come, and the account at the end."""

from __future__ import annotations

import atexit
import ctypes
import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sphere_edge.errors import InvalidArgumentError, SphereEdgeError, Status
from sphere_edge.runtime import binding

FinishReason = Literal["stop", "length", "cancelled"]
# Runs the engine with a piece function and the struct for its account; returns its failure.
Call = Callable[[Any, binding.Result], SphereEdgeError | None]
# In the order of se_finish_reason.
_FINISH_REASONS: tuple[FinishReason, ...] = ("stop", "length", "cancelled")
# So many pieces may wait for a slow reader; then the engine waits too.
_PIECES_WAITING = 256


@dataclass(frozen=True)
class Result:
    """How a generation went. `finish_reason`: `stop` (the model or a stop string ended it),
    `length` (max_tokens, or the context is full) or `cancelled`.

    `cached_tokens` of the `prompt_tokens` had been computed by the call before and were not again.
    `seed` repeats the answer. `first_token_seconds` runs from the call to the first token.
    """  # noqa: D205  the first sentence needs the list that follows it

    finish_reason: FinishReason
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    seed: int
    prefill_seconds: float
    first_token_seconds: float
    decode_seconds: float


class Work:
    """The engine's side of an answer; it knows nothing of the reader's side.

    So an answer that nobody reads any more is collected, and its end cancels the engine. All
    methods may be called from any thread but the engine's own.
    """

    def __init__(self, cancel: Callable[[], None]) -> None:
        # The thread that began the answer and is expected to read it.
        self.reader = threading.get_ident()
        # Pieces in order, at last None.
        self.pieces: queue.Queue[str | None] = queue.Queue(_PIECES_WAITING)
        self.failure: BaseException | None = None
        self.result: Result | None = None
        self._cancel = cancel
        self._cancelled = threading.Event()
        self._abandoned = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, call: Call) -> None:
        """Runs the engine's `call` on a thread of its own."""
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

    def _run(self, call: Call) -> None:
        def on_piece(address: int, size: int, _: int | None) -> bool:
            piece = ctypes.string_at(address, size).decode("utf-8", "replace")
            return not self._cancelled.is_set() and self._put(piece)

        filled = binding.Result(size=ctypes.sizeof(binding.Result))
        try:
            failure = call(binding.PieceFunction(on_piece), filled)
            # Filled if the engine had begun: also after a timeout, not after a bad argument.
            if failure is None or failure.code in (Status.CANCELLED, Status.TIMEOUT):
                self.result = _result(filled)
            if failure is not None and failure.code is not Status.CANCELLED:
                self.failure = failure
        except BaseException as error:
            # The reader must hear of it, whatever it is: this thread has nobody else to tell.
            self.failure = error
        finally:
            self._put(None)

    def _put(self, piece: str | None) -> bool:
        """Hands a piece over, waiting for room; False when nobody wants it any more."""
        while not self._abandoned.is_set():
            try:
                self.pieces.put(piece, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


# A thread inside the engine must not meet a dying interpreter: its next piece would crash it.
_under_way: weakref.WeakSet[Work] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    for work in list(_under_way):
        work.stop()


class Generation(Iterator[str]):
    """An answer: iterate for its pieces (whole characters), then read `result`.

    The engine works on a thread of its own and starts at once. `close()`, leaving a `with` block or
    dropping the object cancels it. To be read by one thread at a time; `cancel()` and `close()` may
    be called from any thread. Reading raises the SphereEdgeError that ended it, errors.TimeoutError
    among them; cancelling is no error: reading then ends and `result` says `cancelled`.
    """

    def __init__(self, call: Call, cancel: Callable[[], None]) -> None:
        """Made by TextManager, from the engine's call and the function that cancels it."""
        self._said: list[str] = []
        self._ended = False
        self.work = Work(cancel)
        self.work.start(call)

    def __iter__(self) -> Generation:
        return self

    def __next__(self) -> str:
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

    def text(self) -> str:
        """Waits for the end; the whole answer, with what was read before."""
        for _ in self:
            pass
        return "".join(self._said)

    @property
    def result(self) -> Result:
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

    def __enter__(self) -> Generation:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def __del__(self) -> None:
        # No waiting here, the collector may run anywhere: the next call waits for the engine.
        if hasattr(self, "work") and self.work.is_running:
            self.work.abandon()


def _result(filled: binding.Result) -> Result:
    return Result(
        finish_reason=_FINISH_REASONS[filled.finish_reason],
        prompt_tokens=filled.prompt_tokens,
        cached_tokens=filled.cached_tokens,
        completion_tokens=filled.completion_tokens,
        seed=filled.seed,
        prefill_seconds=filled.prefill_seconds,
        first_token_seconds=filled.first_token_seconds,
        decode_seconds=filled.decode_seconds,
    )
