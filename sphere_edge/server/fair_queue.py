"""FairQueue: who has a model next; clients take turns, so that one who sends much waits."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sphere_edge.server.http_error import busy

_RETRY_AFTER_S = 2


class FairQueue:
    """At most `parallel` turns at once and `waiting` that wait; for the event loop only."""

    def __init__(self, parallel: int, waiting: int) -> None:
        self.running = 0
        self._parallel = parallel
        self._most_waiting = waiting
        # The client whose turn is next comes first.
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    @asynccontextmanager
    async def turn(self, client: str) -> AsyncIterator[None]:
        """Waits for a turn of `client`, which lasts as long as the block. 429 if too many wait."""
        if self.running < self._parallel:
            self.running += 1
        else:
            await self._wait(client)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, client: str) -> None:
        if self.waiting >= self._most_waiting:
            message = f"`{self._most_waiting}` requests are waiting for this model already"
            raise busy(message, _RETRY_AFTER_S)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # It was given the turn in the very moment in which it went away.
                self._pass_on()
            else:
                self._leave(client, turn)
            raise

    def _leave(self, client: str, turn: asyncio.Future[None]) -> None:
        mine = self._waiting.get(client, deque())
        if turn in mine:
            mine.remove(turn)
            if not mine:
                del self._waiting[client]

    def _pass_on(self) -> None:
        """Gives the turn that ended to the next client."""
        while self._waiting:
            client, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[client] = turns
            # One that was cancelled in this moment has not left yet.
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1
