"""POST /v1/chat/completions: https://platform.openai.com/docs/api-reference/chat."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import Request

from sphere_edge import __version__
from sphere_edge.runtime.chat_options import ChatOptions
from sphere_edge.runtime.generation import Result
from sphere_edge.runtime.text_delta import TextDelta
from sphere_edge.server import logprobs, sampling
from sphere_edge.server.chat_types import (
    ChatBody,
    JsonObjectFormat,
    JsonSchemaFormat,
    Prediction,
    Sampled,
)
from sphere_edge.server.conversation import messages_of
from sphere_edge.server.exchange import Events, Output, as_json, event
from sphere_edge.server.generating import Piece, gather, generated, results_of
from sphere_edge.server.http_error import invalid
from sphere_edge.server.settings import Settings
from sphere_edge.server.text_job import Chat

FINGERPRINT = f"sphere-edge-{__version__}"
DONE = b"data: [DONE]\n\n"


@dataclass
class _Choice:
    """One answer as it grows."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    result: Result | None = None

    def add(self, delta: TextDelta) -> dict[str, Any] | None:
        """Keeps `delta`; the same as OpenAI's chunks have it, None for the end of a call."""
        self.logprobs += logprobs.of_tokens(delta.logprobs)
        if delta.kind == "text":
            self.text.append(delta.text)
            return {"content": delta.text}
        if delta.kind == "reasoning":
            self.reasoning.append(delta.text)
            # Clients are split over the name.
            return {"reasoning_content": delta.text, "reasoning": delta.text}
        if delta.kind == "tool_call_begin":
            function = {"name": delta.tool_name, "arguments": ""}
            call = {"id": delta.tool_call_id, "type": "function", "function": function}
            self.calls.append(call)
            return {"tool_calls": [{"index": delta.tool_index, **call, "function": {**function}}]}
        if delta.kind == "tool_call_arguments":
            self.calls[delta.tool_index]["function"]["arguments"] += delta.text
            function = {"arguments": delta.text}
            return {"tool_calls": [{"index": delta.tool_index, "function": function}]}
        return None

    def message(self) -> dict[str, Any]:
        text, reasoning = "".join(self.text), "".join(self.reasoning)
        return {
            "role": "assistant",
            "content": text if text or not self.calls else None,
            "refusal": None,
            "annotations": [],
            **({"reasoning_content": reasoning, "reasoning": reasoning} if reasoning else {}),
            **({"tool_calls": self.calls} if self.calls else {}),
        }

    def finish_reason(self) -> str:
        assert self.result is not None
        if self.result.finish_reason == "length":
            return "length"
        return "tool_calls" if self.calls else "stop"


async def answer(request: Request, body: ChatBody) -> Output:
    """The completion, or its chunks as events."""
    check_stream_options(body)
    call = await asyncio.to_thread(_call, body, request.app.state.settings)
    seeds = [sampling.later_seed(call.request.seed, index) for index in range(body.n or 1)]
    calls = [replace(call, request=replace(call.request, seed=seed)) for seed in seeds]
    pieces = generated(request, body.model, calls)
    if body.stream:
        return Events(_chunks(body, pieces))
    choices = [_Choice() for _ in range(body.n or 1)]
    results = await gather(pieces, choices)
    return as_json(
        {
            **_head(body, "chat.completion"),
            "choices": [
                {
                    "index": index,
                    "message": choice.message(),
                    "logprobs": {"content": choice.logprobs, "refusal": None}
                    if body.logprobs
                    else None,
                    "finish_reason": choice.finish_reason(),
                }
                for index, choice in enumerate(choices)
            ],
            "usage": usage(results),
        }
    )


def check_stream_options(body: Sampled) -> None:
    """Refuses options of a stream where there is none."""
    if body.stream_options is not None and not body.stream:
        message = "`stream_options` is for streamed answers"
        raise invalid(message, "stream_options")


async def _chunks(
    body: ChatBody, pieces: AsyncGenerator[Piece, None]
) -> AsyncGenerator[bytes, None]:
    with_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    head = _head(body, "chat.completion.chunk")
    if with_usage:
        # Every chunk but the last says that it has none.
        head["usage"] = None
    choices: dict[int, _Choice] = {}

    def chunk(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice: dict[str, Any] = {"index": index, "delta": delta, "logprobs": None}
        if body.logprobs and choices[index].logprobs:
            choice["logprobs"] = {"content": choices[index].logprobs, "refusal": None}
            choices[index].logprobs = []
        return event({**head, "choices": [{**choice, "finish_reason": finish_reason}]})

    async with aclosing(pieces):
        async for index, piece in pieces:
            if index not in choices:
                choices[index] = _Choice()
                yield chunk(index, {"role": "assistant", "content": "", "refusal": None})
            choice = choices[index]
            if not isinstance(piece, TextDelta):
                choice.result = piece
                yield chunk(index, {}, choice.finish_reason())
            elif (delta := choice.add(piece)) is not None:
                yield chunk(index, delta)
    if with_usage:
        usage_of_all = usage(results_of(list(choices.values())))
        yield event({**head, "choices": [], "usage": usage_of_all})
    yield DONE


def _predicted(prediction: Prediction | None) -> str | None:
    if prediction is None:
        return None
    if isinstance(prediction.content, str):
        return prediction.content
    return "".join(part.text for part in prediction.content)


def _call(body: ChatBody, settings: Settings) -> Chat:
    response_format = None
    if isinstance(body.response_format, JsonObjectFormat):
        response_format = sampling.json_format()
    elif isinstance(body.response_format, JsonSchemaFormat):
        param = "response_format.json_schema.schema"
        schema = sampling.checked_schema(body.response_format.json_schema.schema_, settings, param)
        response_format = sampling.json_format(schema)
    for at, tool in enumerate(body.tools or []):
        param = f"tools[{at}].function.parameters"
        sampling.checked_schema(tool.function.parameters or {}, settings, param)
    max_tokens = body.max_completion_tokens or body.max_tokens
    request = sampling.request_of(body, settings, max_tokens=max_tokens)
    if body.top_logprobs is not None and not body.logprobs:
        message = "`top_logprobs` needs `logprobs`"
        raise invalid(message, "top_logprobs")
    request = replace(
        request,
        logprobs=bool(body.logprobs),
        top_logprobs=body.top_logprobs,
        chat_template_kwargs=body.chat_template_kwargs,
        prediction=_predicted(body.prediction),
    )
    given = body.tool_choice
    choice: str | dict[str, Any] | None = None
    if given is not None:
        choice = given if isinstance(given, str) else given.model_dump(mode="json")
    sampling.check_tool_choice(choice, [tool.function.name for tool in body.tools or []])
    return Chat(
        messages_of(body.messages, settings.limits),
        request,
        ChatOptions(
            tools=[tool.model_dump(mode="json", exclude_none=True) for tool in body.tools or []],
            tool_choice=choice,
            parallel_tool_calls=body.parallel_tool_calls if body.tools else None,
            response_format=response_format,
            reasoning=sampling.reasoning_of(body.reasoning_effort),
        ),
    )


def _head(body: ChatBody, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": body.model,
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


def usage(results: list[Result]) -> dict[str, Any]:
    """The tokens of all choices; the prompt is one. Predicted are those of any draft."""
    accepted = sum(one.accepted_tokens for one in results)
    prompt, made = results[0].prompt_tokens, sum(one.completion_tokens for one in results)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": made,
        "total_tokens": prompt + made,
        "prompt_tokens_details": {"cached_tokens": results[0].cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": sum(one.reasoning_tokens for one in results),
            "audio_tokens": 0,
            "accepted_prediction_tokens": accepted,
            "rejected_prediction_tokens": sum(one.draft_tokens for one in results) - accepted,
        },
    }
