"""POST /v1/completions: https://platform.openai.com/docs/api-reference/completions."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import Request

from sphere_edge.runtime.generation import Result
from sphere_edge.runtime.text_delta import TextDelta, TokenLogprob
from sphere_edge.server import logprobs, sampling
from sphere_edge.server.body import texts_of
from sphere_edge.server.chat import DONE, FINGERPRINT, check_stream_options, usage
from sphere_edge.server.chat_types import CompletionBody
from sphere_edge.server.exchange import Events, Output, as_json, event
from sphere_edge.server.generating import Piece, gather, generated, results_of
from sphere_edge.server.http_error import invalid
from sphere_edge.server.text_job import Continuation

# OpenAI's own.
_DEFAULT_TOKENS = 16
_MOST_PROMPTS = 16


@dataclass
class _Choice:
    """One text as it grows."""

    echoed: str
    text: list[str] = field(default_factory=list)
    tokens: list[TokenLogprob] = field(default_factory=list)
    # Where the first of `tokens` begins.
    offset: int = 0
    result: Result | None = None

    def __post_init__(self) -> None:
        self.offset = len(self.echoed)

    def add(self, delta: TextDelta) -> None:
        self.text.append(delta.text)
        self.tokens += delta.logprobs


async def answer(request: Request, body: CompletionBody) -> Output:
    """The texts, or their pieces as events."""
    check_stream_options(body)
    prompts = texts_of(body.prompt, "prompt", _MOST_PROMPTS)
    if body.echo and any(not isinstance(prompt, str) for prompt in prompts):
        message = "`echo` is for prompts that are texts"
        raise invalid(message, "echo")
    wanted = sampling.request_of(
        body, request.app.state.settings, max_tokens=body.max_tokens or _DEFAULT_TOKENS
    )
    wanted = replace(wanted, logprobs=body.logprobs is not None, top_logprobs=body.logprobs)
    seeds = [sampling.later_seed(wanted.seed, index) for index in range(body.n or 1)]
    calls = [
        Continuation(prompt, replace(wanted, seed=seed)) for prompt in prompts for seed in seeds
    ]
    pieces = generated(request, body.model, calls)
    choices = [
        _Choice(prompt if body.echo and isinstance(prompt, str) else "")
        for prompt in prompts
        for _ in range(body.n or 1)
    ]
    if body.stream:
        return Events(_chunks(body, choices, pieces))
    results = await gather(pieces, choices)
    texts = [choice.echoed + "".join(choice.text) for choice in choices]
    listed = [
        _choice(index, text, choice, body)
        for index, (text, choice) in enumerate(zip(texts, choices, strict=True))
    ]
    return as_json({**_head(body), "choices": listed, "usage": _usage(results, body)})


async def _chunks(
    body: CompletionBody,
    choices: list[_Choice],
    pieces: AsyncGenerator[Piece, None],
) -> AsyncGenerator[bytes, None]:
    head = _head(body)
    begun: set[int] = set()
    async with aclosing(pieces):
        async for index, piece in pieces:
            choice, text = choices[index], ""
            if index not in begun:
                begun.add(index)
                text = choice.echoed
            if isinstance(piece, TextDelta):
                text += piece.text
                choice.tokens = list(piece.logprobs)
            else:
                choice.result, choice.tokens = piece, []
            yield event({**head, "choices": [_choice(index, text, choice, body)]})
            choice.offset += sum(len(logprobs.text_of(token)) for token in choice.tokens)
    if body.stream_options is not None and body.stream_options.include_usage:
        yield event({**head, "choices": [], "usage": _usage(results_of(choices), body)})
    yield DONE


def _choice(index: int, text: str, choice: _Choice, body: CompletionBody) -> dict[str, Any]:
    finish_reason = choice.result.finish_reason if choice.result is not None else None
    known = None
    if body.logprobs is not None:
        known = logprobs.of_completion(choice.tokens, choice.offset)
    return {"index": index, "text": text, "logprobs": known, "finish_reason": finish_reason}


def _usage(results: list[Result], body: CompletionBody) -> dict[str, Any]:
    """All prompts, each once."""
    whole = usage(results)
    prompts = results[:: body.n or 1]
    tokens = sum(one.prompt_tokens for one in prompts)
    cached = sum(one.cached_tokens for one in prompts)
    return {
        **whole,
        "prompt_tokens": tokens,
        "total_tokens": tokens + whole["completion_tokens"],
        "prompt_tokens_details": {**whole["prompt_tokens_details"], "cached_tokens": cached},
    }


def _head(body: CompletionBody) -> dict[str, Any]:
    return {
        "id": f"cmpl-{uuid.uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": body.model,
        "system_fingerprint": FINGERPRINT,
    }
