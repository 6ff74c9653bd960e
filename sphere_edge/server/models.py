"""Models: the table of what is served; models are opened when they are first needed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sphere_edge.packaging.opening import Opening, open_audio, open_image, open_text
from sphere_edge.runtime.manager import Manager
from sphere_edge.server.fair_queue import FairQueue
from sphere_edge.server.http_error import invalid, not_found
from sphere_edge.server.settings import Settings

Task = Literal["text", "audio", "image"]


@dataclass(frozen=True)
class Served:
    """What is known of a model before it is opened; `memory_bytes` is its predicted peak."""

    name: str
    path: Path
    task: Task
    created: int
    memory_bytes: int
    context_tokens: int | None = None


class Model:
    """A row of the table: who waits for it, and the manager while it is open."""

    def __init__(self, served: Served, settings: Settings) -> None:
        # Speech and image engines do one thing at a time.
        parallel = settings.parallel if served.task == "text" else 1
        self.served = served
        self.queue = FairQueue(parallel, settings.waiting)
        self.manager: Any = None
        self.used_at = 0.0
        # Turns that use the manager now.
        self.users = 0


class Models:
    """All models that are served; for the event loop only."""

    def __init__(self, served: Sequence[Served], settings: Settings) -> None:
        self._settings = settings
        self._models = {one.name: Model(one, settings) for one in served}
        # Held by whoever waits for memory: nobody may begin in the meantime.
        self._entry = asyncio.Lock()
        self._changed = asyncio.Condition()

    def all(self) -> list[Model]:
        """In the order in which they were named."""
        return list(self._models.values())

    def find(self, name: str) -> Model:
        """The model `name`, never another one instead. Raises HttpError 404."""
        model = self._models.get(name)
        if model is None:
            message = f"no model is named `{name}` here (GET /v1/models lists them)"
            raise not_found(message, "model", "model_not_found")
        return model

    @asynccontextmanager
    async def turn(self, name: str, task: Task, client: str) -> AsyncIterator[Any]:
        """Waits for a turn of `client`, opens the model if need be, and gives its manager.

        Raises HttpError (unknown, wrong kind, too many wait) and what opening raises.
        """
        model = self.find(name)
        if model.served.task != task:
            message = f"`{name}` is a model for {model.served.task}, not for {task}"
            raise invalid(message, "model", "wrong_model_task")
        async with model.queue.turn(client):
            async with self._entry:
                manager = await self._opened(model)
                model.users += 1
            try:
                yield manager
            finally:
                model.users -= 1
                model.used_at = time.monotonic()
                async with self._changed:
                    self._changed.notify_all()

    async def close(self) -> None:
        """Closes all that are open."""
        for model in self.all():
            await self._close(model)

    async def _opened(self, model: Model) -> Any:
        if model.manager is None:
            model.manager = await asyncio.to_thread(_open, model.served, self._settings)
            model.used_at = time.monotonic()
        return model.manager

    async def _close(self, model: Model) -> None:
        manager, model.manager = model.manager, None
        if manager is not None:
            await asyncio.to_thread(manager.close)


def _open(served: Served, settings: Settings) -> Manager:
    opening = Opening(served.path, settings.threads, settings.context_tokens)
    if served.task == "audio":
        return open_audio(opening)
    if served.task == "image":
        return open_image(opening)
    return open_text(opening)[0]
