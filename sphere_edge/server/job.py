"""A job of an engine, read on the event loop while it runs on another thread.

Nothing of an engine runs on the event loop. When the reader goes away, the job is cancelled until
it has ended, so that the model is free when the reader's turn ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Generic, Protocol, TypeVar

from sphere_edge.runtime import worker_threads
from sphere_edge.server.to_its_end import to_its_end

Item = TypeVar("Item")
Result = TypeVar("Result")
Job_Item = TypeVar("Job_Item", covariant=True)
Job_Result = TypeVar("Job_Result", covariant=True)

# A cancel that comes before the engine's call has begun does nothing: it is repeated.
_CANCEL_STEP_S = 0.02


class Job(Protocol[Job_Item, Job_Result]):
    """Work of an engine."""

    def run(self, emit: Callable[[Job_Item], None]) -> Job_Result:
        """Does all of it on the thread that calls, passing items on; raises what ends it."""

    def cancel(self) -> None:
        """Ends it soon; from any thread, any number of times, also before it has begun."""


class Running(Generic[Item, Result]):
    """A job that is running: iterate once for its items, then read `result`."""

    def __init__(self, job: Job[Item, Result]) -> None:
        self._job = job
        self._loop = asyncio.get_running_loop()
        # Unbounded: a slow client must not keep the engine waiting, and what one job produces is
        # bounded by the context.
        self._items: asyncio.Queue[Item | None] = asyncio.Queue()
        self._result: list[Result] = []
        self._failure: BaseException | None = None
        self._ended = asyncio.Event()
        worker_threads.start(self._work)

    async def __aiter__(self) -> AsyncIterator[Item]:
        while (item := await self._items.get()) is not None:
            yield item
        if self._failure is not None:
            raise self._failure

    @property
    def result(self) -> Result:
        """What the job returned, after its last item."""
        return self._result[0]

    async def end(self) -> None:
        """Cancels what still runs, and waits for its end."""
        while not self._ended.is_set():
            self._job.cancel()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _CANCEL_STEP_S)

    def _work(self) -> None:
        try:
            self._result.append(self._job.run(self._emit))
        except BaseException as error:
            # Raised again for the reader.
            self._failure = error
        self._call(self._finish)

    def _emit(self, item: Item) -> None:
        self._call(self._items.put_nowait, item)

    def _finish(self) -> None:
        self._items.put_nowait(None)
        self._ended.set()

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        # The loop may be closed already when the process ends.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)


@asynccontextmanager
async def running(job: Job[Item, Result]) -> AsyncIterator[Running[Item, Result]]:
    """Starts `job`; at the end of the block, however it is left, the engine is free again."""
    started = Running(job)
    try:
        yield started
    finally:
        # The client's disconnect may cancel this task while it waits.
        await to_its_end(started.end())
