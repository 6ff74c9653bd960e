"""Models: the table of what is served; models are opened when they are first needed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sphere_edge import profiles
from sphere_edge.console import human_bytes
from sphere_edge.errors import OutOfMemoryError
from sphere_edge.packaging.opening import Opening, open_audio, open_image, open_text
from sphere_edge.runtime.manager import Manager
from sphere_edge.server.fair_queue import FairQueue
from sphere_edge.server.http_error import invalid, not_found
from sphere_edge.server.kept_sequences import KeptSequences
from sphere_edge.server.settings import Settings
from sphere_edge.server.to_its_end import to_its_end

_IDLE_STEP_S = 5.0

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
    # The bundle or file that drafts for it.
    draft_model: Path | None = None
    reads_images: bool = False
    # Keys that hold for it alone, instead of those of the settings.
    trusted_keys: Path | None = None


class Model:
    """A row of the table: who waits for it, and the manager while it is open."""

    def __init__(self, served: Served, settings: Settings) -> None:
        # Speech and image engines do one thing at a time.
        parallel = settings.parallel if served.task == "text" else 1
        self.served = served
        self.queue = FairQueue(parallel, settings.waiting)
        self.manager: Any = None
        self.used_at = 0.0
        # Turns that use the manager now, or will once it is open: from then on its memory counts.
        self.users = 0
        # Held by the turn that opens it.
        self.opening = asyncio.Lock()

    @property
    def is_counted(self) -> bool:
        """Whether it has memory, or will have it."""
        return self.manager is not None or self.users > 0


class Models:
    """All models that are served; for the event loop only."""

    def __init__(
        self, served: Sequence[Served], settings: Settings, kept: KeptSequences | None = None
    ) -> None:
        self._settings = settings
        self._kept = kept
        self._models = {one.name: Model(one, settings) for one in served}
        self._budget_bytes = settings.memory_bytes or profiles.host().memory.usable_bytes
        # Held by whoever waits for memory: nobody may begin in the meantime, or it never comes.
        self._entry = asyncio.Lock()
        # Set when a turn ends.
        self._ended = asyncio.Event()

    def all(self) -> list[Model]:
        """In the order in which they were named."""
        return list(self._models.values())

    @property
    def used_at(self) -> float:
        """When a turn ended last, as `time.monotonic` has it."""
        return max((model.used_at for model in self.all()), default=0.0)

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
                if not model.is_counted:
                    await self._make_room(model)
                model.users += 1
            try:
                # Not while others wait to enter: they may want a model that is open.
                yield await self._opened(model)
            finally:
                model.users -= 1
                model.used_at = time.monotonic()
                # Nothing is waited for here: a second cancel would keep it from whoever waits.
                self._ended.set()

    async def open_all(self) -> None:
        """Opens the models in their order, as far as they fit beside each other."""
        for model in self.all():
            async with self.turn(model.served.name, model.served.task, "start"):
                pass

    async def close_idle(self) -> None:
        """Closes, again and again, what nobody has used for `keep_alive_s`."""
        keep_alive_s = self._settings.keep_alive_s
        while keep_alive_s is not None:
            await asyncio.sleep(min(keep_alive_s / 4 + 0.05, _IDLE_STEP_S))
            async with self._entry:
                for model in self._unused():
                    if time.monotonic() - model.used_at >= keep_alive_s:
                        await self._close(model)

    async def close(self) -> None:
        """Closes all that are open."""
        for model in self.all():
            await self._close(model)

    async def _opened(self, model: Model) -> Any:
        async with model.opening:
            if model.manager is None:
                # What a thread opens must not be lost.
                await to_its_end(self._open_now(model))
            return model.manager

    async def _open_now(self, model: Model) -> None:
        model.manager = await asyncio.to_thread(_open, model.served, self._settings)
        model.used_at = time.monotonic()

    async def _make_room(self, model: Model) -> None:
        """Closes what was used longest ago until `model` fits; waits for what is in use."""
        needed, budget = model.served.memory_bytes, self._budget_bytes
        if needed > budget:
            message = (
                f"`{model.served.name}` needs {human_bytes(needed)}, "
                f"and the server may use {human_bytes(budget)}"
            )
            hint = "serve it with a smaller --context, or raise --memory"
            raise OutOfMemoryError(message, hint=hint)
        while needed + self._counted_bytes() > budget:
            unused = sorted(self._unused(), key=lambda one: one.used_at)
            if unused:
                await self._close(unused[0])
                continue
            self._ended.clear()
            await self._ended.wait()

    def _counted_bytes(self) -> int:
        return sum(one.served.memory_bytes for one in self.all() if one.is_counted)

    def _unused(self) -> list[Model]:
        """Those that are open for nobody."""
        return [one for one in self.all() if one.manager is not None and one.users == 0]

    async def _close(self, model: Model) -> None:
        manager, model.manager = model.manager, None
        if manager is not None:
            # A client that hangs up while room is made for it would have others' conversations
            # computed again, and its memory counted as free too early.
            await to_its_end(self._close_now(model, manager))

    async def _close_now(self, model: Model, manager: Any) -> None:
        try:
            if self._kept is not None and model.served.task == "text":
                await asyncio.to_thread(self._kept.keep, model.served.name, manager)
        finally:
            await asyncio.to_thread(manager.close)


def _open(served: Served, settings: Settings) -> Manager:
    opening = Opening(
        served.path,
        settings.threads,
        settings.context_tokens,
        sequences=settings.parallel,
        draft_model=served.draft_model,
        trusted_keys=served.trusted_keys or settings.trusted_keys,
    )
    if served.task == "audio":
        return open_audio(opening)
    if served.task == "image":
        return open_image(opening)
    return open_text(opening)[0]
