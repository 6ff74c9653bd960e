"""POST /v1/embeddings: https://platform.openai.com/docs/api-reference/embeddings."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from starlette.requests import Request

from sphere_edge.errors import CancelledError
from sphere_edge.runtime.embedding import MOST_CALL_IDS, EmbedRequest
from sphere_edge.runtime.text import TextManager
from sphere_edge.server.body import Body, texts_of
from sphere_edge.server.chat_types import Name
from sphere_edge.server.clients import client_of
from sphere_edge.server.exchange import Output, Reply, encode
from sphere_edge.server.http_error import invalid
from sphere_edge.server.job import running
from sphere_edge.server.text_job import check_size

_MOST_INPUTS = 2048
# Between two calls of the engine a client may have gone away.
_TEXTS_PER_CALL = 8
_calls = itertools.count()
# Stopped at the first value that is wrong: each error costs more than the value.
Tokens = Annotated[list[Annotated[int, Field(ge=0, le=2**31 - 1)]], Field(fail_fast=True)]


class EmbeddingBody(Body):
    """POST /v1/embeddings. Token ids are the model's own."""

    model: Name
    input: (
        str
        | Annotated[list[str], Field(fail_fast=True)]
        | Tokens
        | Annotated[list[Tokens], Field(fail_fast=True)]
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: str | None = None


async def answer(request: Request, body: EmbeddingBody) -> Output:
    """A vector of length 1 for each input."""
    inputs = texts_of(body.input, "input", _MOST_INPUTS)
    state = request.app.state
    async with (
        state.models.turn(body.model, "text", client_of(request)) as text,
        running(_EmbedJob(text, inputs, body, state.settings.timeout_s)) as job,
    ):
        listed = [vector async for vector in job]
        tokens = job.result
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    rest = encode({"model": body.model, "usage": usage})[1:]
    return Reply(b'{"object":"list","data":[' + b",".join(listed) + b"]," + rest)


def _encoded(index: int, vector: npt.NDArray[np.float32], body: EmbeddingBody) -> bytes:
    embedding: Any = vector.tolist()
    if body.encoding_format == "base64":
        embedding = base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return encode({"object": "embedding", "index": index, "embedding": embedding})


class _EmbedJob:
    """Vectors of texts, a Job of them in JSON: thousands are too much for the event loop."""

    def __init__(
        self,
        text: TextManager,
        inputs: Sequence[str | list[int]],
        body: EmbeddingBody,
        timeout_s: float,
    ) -> None:
        self._text = text
        self._inputs = inputs
        self._body = body
        self._call_id = next(_calls) % MOST_CALL_IDS + 1
        self._request = EmbedRequest(timeout_s=timeout_s, call_id=self._call_id)
        self._cancelled = False

    def run(self, emit: Callable[[bytes], None]) -> int:
        """The number of tokens. Raises HttpError and what `embed` raises."""
        size = self._text.info.embedding_size
        if self._body.dimensions not in (None, size):
            message = f"the model's vectors have `{size}` dimensions and mean nothing when cut"
            raise invalid(message, "dimensions")
        info = self._text.info
        for index, one in enumerate(self._inputs):
            name = "input" if isinstance(self._body.input, str) else f"input[{index}]"
            # Models that make no embeddings are refused by the engine, by name.
            check_size(one, info.embed_tokens or info.context_tokens, name)
        tokens = 0
        for begin in range(0, len(self._inputs), _TEXTS_PER_CALL):
            if self._cancelled:
                message = "the call was cancelled"
                raise CancelledError(message)
            some = self._inputs[begin : begin + _TEXTS_PER_CALL]
            texts = [one if isinstance(one, str) else self._text.detokenize(one) for one in some]
            made = self._text.embed(texts, self._request)
            for index, vector in enumerate(made.vectors, begin):
                emit(_encoded(index, vector, self._body))
            tokens += made.tokens
        return tokens

    def cancel(self) -> None:
        """From any thread."""
        self._cancelled = True
        self._text.cancel_call(self._call_id)
