"""Generations for a request, one after the other in one turn: their deltas, results, figures."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from starlette.requests import Request

from sphere_edge.runtime.generation import Result
from sphere_edge.runtime.text_delta import TextDelta
from sphere_edge.server.clients import client_of
from sphere_edge.server.job import running
from sphere_edge.server.text_job import Chat, Continuation, TextJob, with_drafts

Piece = tuple[int, TextDelta | Result]


class Growing(Protocol):
    """One answer as it grows."""

    result: Result | None

    def add(self, delta: TextDelta) -> object:
        """Keeps `delta`."""


async def gather(pieces: AsyncGenerator[Piece, None], choices: Sequence[Growing]) -> list[Result]:
    """Waits until every choice has its text and its result, which are returned."""
    async with aclosing(pieces):
        async for index, piece in pieces:
            if isinstance(piece, TextDelta):
                choices[index].add(piece)
            else:
                choices[index].result = piece
    return results_of(choices)


def results_of(choices: Sequence[Growing]) -> list[Result]:
    """The results of the choices that have one."""
    return [choice.result for choice in choices if choice.result is not None]


async def generated(
    request: Request, model: str, calls: Sequence[Chat | Continuation], id: str | None = None
) -> AsyncGenerator[Piece, None]:
    """Each call's index with its deltas and then its result; `id`: by which it is cancelled.

    Raises HttpError and what TextManager raises.
    """
    state = request.app.state
    async with state.models.turn(model, "text", client_of(request)) as text:
        for index, call in enumerate(calls):
            drafting = with_drafts(call, text.info, prompt_lookup=state.settings.prompt_lookup)
            async with running(TextJob(text, drafting)) as job:
                if id is not None:
                    state.running_responses[id] = job
                try:
                    async for delta in job:
                        yield index, delta
                finally:
                    state.running_responses.pop(id, None)
                state.metrics.count_text(model, job.result)
                yield index, job.result
