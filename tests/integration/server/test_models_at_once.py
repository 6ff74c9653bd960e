"""Requests for several models: the table is as it should be, whichever ends or waits when."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sphere_edge.runtime.text import TextManager
from sphere_edge.runtime.text_request import TextRequest
from sphere_edge.server.kept_sequences import KeptSequences, Lineage
from sphere_edge.server.models import Models
from sphere_edge.server.resolving import resolve
from sphere_edge.server.settings import MIB, Settings
from sphere_edge.server.store import Store, Stored

OWNERS = [f"resp_{number}" for number in range(4)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sequences"


@pytest.fixture
def models(bundles: list[str], tmp_path: Path, folder: Path) -> Models:
    """`tiny` and `random`, of which one fits; each response in OWNERS is stored."""
    settings = Settings(parallel=len(OWNERS), context_tokens=512)
    store = Store(tmp_path / "responses.sqlite", settings)
    for owner in OWNERS:
        store.save(Stored({"id": owner, "output": []}, [], []))
    served = resolve([bundles[0], bundles[3]], settings)
    settings = Settings(
        parallel=settings.parallel,
        context_tokens=settings.context_tokens,
        memory_bytes=max(one.memory_bytes for one in served) + MIB,
    )
    return Models(served, settings, KeptSequences(store, folder, 2**30))


def converse(text: TextManager, models: Models) -> None:
    """Fills every sequence with the conversation of a stored response."""
    assert models._kept is not None
    for owner in OWNERS:
        models._kept.resume("tiny", Lineage(owner), text)
        text.generate(f"{owner} " * 20, TextRequest(max_tokens=1, sequence_key=owner)).text()


@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1])
def test_a_client_that_hangs_up_while_room_is_made_costs_nobody_a_conversation(
    models: Models, folder: Path, after_s: float
) -> None:
    tiny, random = models.find("tiny"), models.find("random")

    async def asked(name: str) -> None:
        async with models.turn(name, "text", "client") as text:
            if name == "tiny":
                await asyncio.to_thread(converse, text, models)

    async def tried() -> None:
        await asked("tiny")
        lost = asyncio.ensure_future(asked("random"))
        await asyncio.sleep(after_s)
        lost.cancel()
        await asyncio.wait((lost,))
        assert [one.users for one in (tiny, random)] == [0, 0]
        assert not (tiny.manager and random.manager)
        await asked("random")
        assert random.manager is not None
        assert tiny.manager is None
        assert sorted(path.name.partition(".")[0] for path in folder.iterdir()) == OWNERS
        await models.close()

    asyncio.run(tried())


def test_a_model_that_is_opened_keeps_no_other_one_waiting(bundles: list[str]) -> None:
    settings = Settings(context_tokens=512)
    models = Models(resolve([bundles[0], bundles[3]], settings), settings)
    tiny, random = models.find("tiny"), models.find("random")
    gate = threading.Event()

    async def asked(name: str) -> None:
        async with models.turn(name, "text", "client"):
            pass

    async def tried() -> None:
        await asked("tiny")
        # Models are opened on its threads, and now there is only one, which does something else.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        busy = asyncio.ensure_future(asyncio.to_thread(gate.wait))
        opening = asyncio.ensure_future(asked("random"))
        # Until it waits for that thread.
        for _ in range(100):
            await asyncio.sleep(0)
        assert random.queue.running
        try:
            await asyncio.wait_for(asked("tiny"), 60)
            assert random.manager is None
        finally:
            gate.set()
        await asyncio.gather(busy, opening)
        assert tiny.manager
        assert random.manager
        await models.close()

    asyncio.run(tried())
