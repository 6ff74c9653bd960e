"""Work that is not cut short, whoever waits for it goes away."""

from __future__ import annotations

import asyncio

import pytest

from sphere_edge.server.to_its_end import to_its_end


@pytest.mark.parametrize("cancels", [0, 1, 3])
def test_work_is_done_however_often_its_task_is_cancelled(cancels: int) -> None:
    done: list[str] = []

    async def work() -> str:
        for _ in range(10):
            await asyncio.sleep(0)
        done.append("work")
        return "result"

    async def main() -> None:
        waiting = asyncio.ensure_future(to_its_end(work()))
        for _ in range(cancels):
            await asyncio.sleep(0)
            waiting.cancel()
        if cancels == 0:
            assert await waiting == "result"
        else:
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert done == ["work"]

    asyncio.run(main())


def test_its_failure_is_raised_and_is_the_reason_behind_a_cancel() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        message = "no"
        raise ValueError(message)

    async def main() -> None:
        with pytest.raises(ValueError, match="no"):
            await to_its_end(fail())
        waiting = asyncio.ensure_future(to_its_end(fail()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
