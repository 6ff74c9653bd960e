"""POST /v1/responses: https://platform.openai.com/docs/api-reference/responses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.requests import Request

from sphere_edge.runtime.chat_options import ChatOptions
from sphere_edge.runtime.text_delta import TextDelta
from sphere_edge.runtime.text_request import TextRequest
from sphere_edge.server import http_error, response_input, response_store, sampling
from sphere_edge.server.body import Part
from sphere_edge.server.chat_types import JsonObjectFormat
from sphere_edge.server.clients import client_of
from sphere_edge.server.exchange import Events, Output, as_json, event
from sphere_edge.server.generating import generated
from sphere_edge.server.job import running
from sphere_edge.server.kept_sequences import KeptSequences, Lineage
from sphere_edge.server.response_events import Document, GrowingResponse, new_id
from sphere_edge.server.response_types import HostedTool, JsonSchemaFormat, ResponseBody
from sphere_edge.server.settings import Settings
from sphere_edge.server.text_job import Chat, CountJob

_LOGPROBS = "message.output_text.logprobs"


async def answer(request: Request, body: ResponseBody) -> Output:
    """The response, or its events."""
    state = request.app.state
    history, given = await asyncio.to_thread(response_store.items_of, state.store, body)
    call, tools = await asyncio.to_thread(_call, body, history + given, state)
    response = GrowingResponse(_document(body, state), tools.custom)
    if state.kept is not None:
        lineage = await asyncio.to_thread(
            response_store.lineage_of, state.store, body, response.document
        )
        if lineage is not None:
            call = _resumed(call, lineage, body.model, state.kept)
    events = _events(request, body, call, response)
    if response.document["store"] or body.conversation is not None:
        keep = partial(response_store.keep, state.store, response, given)
        events = response_store.keeping(events, response, keep, is_streamed=bool(body.stream))
    if body.stream:
        return Events(_encoded(events))
    async with aclosing(events):
        async for one in events:
            if one["type"] == "error":
                continue
    return as_json(response.document)


async def _encoded(events: AsyncGenerator[Document, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for one in events:
            yield event(one, one["type"])


async def _events(
    request: Request, body: ResponseBody, call: Chat, response: GrowingResponse
) -> AsyncGenerator[Document, None]:
    """All events; what fails before the first delta is raised if nobody has seen an event yet."""
    has_begun = False
    pieces = generated(request, body.model, [call], response.document["id"])
    try:
        async with aclosing(pieces):
            async for _, piece in pieces:
                if not has_begun:
                    has_begun = True
                    for one in response.begin():
                        yield one
                if isinstance(piece, TextDelta):
                    made = response.add(piece)
                else:
                    made = response.finish(piece)
                for one in made:
                    yield one
    except Exception as error:
        if not has_begun or not body.stream:
            raise
        for one in response.fail(http_error.of(error)):
            yield one


async def input_tokens(request: Request, body: ResponseBody) -> Output:
    """POST /v1/responses/input_tokens: how many tokens the same body would be as a prompt."""
    state = request.app.state
    history, given = await asyncio.to_thread(response_store.items_of, state.store, body)
    call, _ = await asyncio.to_thread(_call, body, history + given, state)
    async with (
        state.models.turn(body.model, "text", client_of(request)) as text,
        running(CountJob(text, call)) as job,
    ):
        async for _ in job:
            continue
        return as_json({"object": "response.input_tokens", "input_tokens": job.result})


def _call(
    body: ResponseBody, documents: list[Document], state: Any
) -> tuple[Chat, response_input.Tools]:
    """The call that `documents`, all items in their order, are, and the tools that it has."""
    settings: Settings = state.settings
    items = response_store.typed(documents)
    tools = response_input.tools_of(body.tools or [], items)
    messages = response_input.messages_of(items, body.instructions, settings.limits)
    choice = response_input.tool_choice_of(body.tool_choice)
    sampling.check_tool_choice(choice, [tool["function"]["name"] for tool in tools.functions])
    for tool in tools.functions:
        sampling.checked_schema(tool["function"]["parameters"], settings, "tools")
    if not messages:
        message = "`input` is missing"
        raise http_error.invalid(message, "input", "missing_required_parameter")
    request = TextRequest(
        max_tokens=body.max_output_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        logprobs=bool(body.top_logprobs) or _LOGPROBS in (body.include or []),
        top_logprobs=body.top_logprobs,
        timeout_s=settings.timeout_s,
        chat_template_kwargs=body.chat_template_kwargs,
    )
    call = Chat(
        messages,
        request,
        ChatOptions(
            tools=tools.functions,
            tool_choice=choice,
            parallel_tool_calls=body.parallel_tool_calls if tools.functions else None,
            response_format=_format(body, settings),
            reasoning=sampling.reasoning_of(_effort(body)),
        ),
        shortened=body.truncation == "auto",
        schema_param="text.format.schema",
    )
    return call, tools


def _resumed(call: Chat, lineage: Lineage, model: str, kept: KeptSequences) -> Chat:
    """`call` with its sequence named, which first goes on from what was kept before a restart."""
    return replace(
        call,
        request=replace(call.request, sequence_key=lineage.owner),
        resume=partial(kept.resume, model, lineage),
    )


def _format(body: ResponseBody, settings: Settings) -> dict[str, Any] | None:
    form = body.text.format if body.text is not None else None
    if isinstance(form, JsonObjectFormat):
        return sampling.json_format()
    if isinstance(form, JsonSchemaFormat):
        schema = sampling.checked_schema(form.schema_, settings, "text.format.schema")
        return sampling.json_format(schema)
    return None


def _document(body: ResponseBody, state: Any) -> Document:
    """The response before anything was made: every key that OpenAI and Open Responses know."""
    form = body.text.format if body.text is not None else None
    conversation = response_store.conversation_of(body)
    return {
        "id": new_id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "completed_at": None,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": body.max_tool_calls,
        "model": body.model,
        "output": [],
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id,
        "conversation": None if conversation is None else {"id": conversation},
        "prompt_cache_key": body.prompt_cache_key,
        "prompt_cache_options": body.model_dump(mode="json", include={"prompt_cache_options"})[
            "prompt_cache_options"
        ],
        "prompt_cache_retention": body.prompt_cache_retention,
        "reasoning": {"effort": _effort(body), "summary": None},
        "safety_identifier": body.safety_identifier,
        "service_tier": "default",
        "store": body.store is not False and state.store is not None,
        "temperature": 1.0 if body.temperature is None else body.temperature,
        "text": {"format": {"type": "text"} if form is None else _dumped(form)},
        "tool_choice": _tool_choice(body),
        "tools": [_tool(tool) for tool in body.tools or [] if not isinstance(tool, HostedTool)],
        "top_logprobs": body.top_logprobs or 0,
        "top_p": 1.0 if body.top_p is None else body.top_p,
        "presence_penalty": body.presence_penalty or 0.0,
        "frequency_penalty": body.frequency_penalty or 0.0,
        "truncation": body.truncation or "disabled",
        "usage": None,
        "user": body.user,
        "metadata": body.metadata or {},
    }


def _dumped(part: Part) -> Document:
    return part.model_dump(mode="json", by_alias=True, exclude_none=True)


def _effort(body: ResponseBody) -> str | None:
    return body.reasoning.effort if body.reasoning is not None else None


def _tool_choice(body: ResponseBody) -> Any:
    choice = body.tool_choice
    if choice is None or isinstance(choice, str):
        return choice or "auto"
    return _dumped(choice)


def _tool(tool: Any) -> Document:
    """With every key of a function, as Open Responses wants it."""
    given = _dumped(tool)
    if given["type"] == "function":
        return {"description": None, "parameters": None, "strict": False, **given}
    return given
