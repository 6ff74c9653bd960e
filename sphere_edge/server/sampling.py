"""How a body's sampling fields become a TextRequest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sphere_edge.runtime.text_request import TextRequest
from sphere_edge.server.chat_types import Sampled
from sphere_edge.server.http_error import invalid
from sphere_edge.server.settings import Settings

# The engine's seeds are 32 bits, and the greatest stands for a random one.
_SEEDS = 2**32 - 1


def request_of(
    body: Sampled,
    settings: Settings,
    *,
    max_tokens: int | None,
) -> TextRequest:
    """The sampling fields of `body`; what it does not say is as the model has it."""
    stop = [body.stop] if isinstance(body.stop, str) else body.stop or []
    return TextRequest(
        max_tokens=max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        min_p=body.min_p,
        repeat_penalty=body.repeat_penalty,
        seed=None if body.seed is None else body.seed % _SEEDS,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        logit_bias={int(token): bias for token, bias in (body.logit_bias or {}).items()},
        stop=stop,
        grammar=body.grammar,
        ignore_end_of_text=bool(body.ignore_eos),
        timeout_s=settings.timeout_s,
    )


def reasoning_of(effort: str | None) -> bool | int | None:
    """Whether the model thinks, or how many tokens it may think for; None: as its template has it.

    OpenAI's efforts are not numbers; these are what others let them stand for.
    """
    if effort is None or effort == "none":
        return None if effort is None else False
    return {"minimal": 128, "low": 1024, "medium": 4096}.get(effort, True)


def later_seed(seed: int | None, index: int) -> int | None:
    """The seed of choice `index`: a repeated request gives the same choices."""
    return None if seed is None else (seed + index) % _SEEDS


def json_format(schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """The response_format of JSON that follows `schema`, or of any object."""
    if schema is None:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def check_tool_choice(choice: str | dict[str, Any] | None, names: Sequence[str]) -> None:
    """Refuses a choice among tools that are not there."""
    if isinstance(choice, dict):
        allowed = choice.get("allowed_tools", {}).get("tools", [choice])
        for one in allowed:
            if (name := one["function"]["name"]) not in names:
                message = f"no tool is named `{name}`"
                raise invalid(message, "tool_choice")
    elif choice == "required" and not names:
        message = "`required` needs `tools`"
        raise invalid(message, "tool_choice")


def checked_schema(schema: dict[str, Any], settings: Settings, param: str) -> dict[str, Any]:
    """`schema` if it is not larger than allowed."""
    limit = settings.limits.schema_bytes
    if len(json.dumps(schema)) > limit:
        message = f"the schema has more than `{limit}` bytes"
        raise invalid(message, param)
    return schema
