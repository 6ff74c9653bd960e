"""A request's JSON body: read with a limit, parsed and checked off the event loop, typed."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from starlette.requests import Request

from sphere_edge.server.http_error import HttpError, invalid, unsupported
from sphere_edge.server.settings import Settings

_LEFT_OUT = "unsupported_parameter"


class Part(BaseModel):
    """A part of a body: an unknown field is an error, and `1` is not a string.

    `left_out`: fields of OpenAI's that are not done here, each with the reason; one that is null or
    false is let through. `left_out_types`: values of `type` that are not done, the same way.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    left_out: ClassVar[Mapping[str, str]] = {}
    left_out_types: ClassVar[Mapping[str, str]] = {}
    # Whether `--lenient` lets those types through, to be ignored.
    may_be_ignored: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _refuse_left_out(cls, values: Any, info: ValidationInfo) -> Any:
        if not isinstance(values, dict):
            return values
        for name in cls.left_out.keys() & values.keys():
            if values[name] not in (None, False):
                raise _left_out(name, name, cls.left_out[name])
        type = values.get("type")
        is_ignored = cls.may_be_ignored and (info.context or {}).get("lenient", False)
        if isinstance(type, str) and type in cls.left_out_types and not is_ignored:
            raise _left_out(type, "type", cls.left_out_types[type])
        return {name: value for name, value in values.items() if name not in cls.left_out}


def _left_out(what: str, name: str, reason: str) -> PydanticCustomError:
    message = "`{what}` is not supported: {reason}"
    return PydanticCustomError(_LEFT_OUT, message, {"what": what, "name": name, "reason": reason})


class Body(Part):
    """A whole body. `extensions`: fields that only `--allow-extensions` lets through."""

    extensions: ClassVar[frozenset[str]] = frozenset()


Typed = TypeVar("Typed", bound=Body)


async def read(request: Request, into: type[Typed]) -> Typed:
    """The body as `into`. Raises HttpError that names the field."""
    settings: Settings = request.app.state.settings
    content = await content_of(request, settings.limits.json_bytes)
    return await asyncio.to_thread(parse, content, into, settings)


async def content_of(request: Request, limit: int) -> bytes:
    """The bytes of the body; 413 for more than `limit`, read no further."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise too_long(limit)
        parts.append(part)
    return b"".join(parts)


def too_long(limit: int) -> HttpError:
    """413."""
    message = f"the body has more than `{limit}` bytes"
    return HttpError(413, message, code="body_too_large")


def parse(content: bytes, into: type[Typed], settings: Settings) -> Typed:
    """`content` as `into`. Raises HttpError."""
    outside = _outside_strings(content)
    if _depth(outside) > settings.limits.json_depth:
        message = f"the body is nested deeper than `{settings.limits.json_depth}`"
        raise invalid(message, code="invalid_json")
    _check_numbers(content, outside)
    extra = "ignore" if settings.lenient else "forbid"
    try:
        typed = into.model_validate_json(
            content,
            extra=extra,  # type: ignore[arg-type]
            context={"lenient": settings.lenient},
        )
    except ValidationError as error:
        raise refused(error, None if _is_not_json(error) else json.loads(content)) from error
    if not settings.extensions:
        for name in into.extensions & typed.model_fields_set:
            message = f"`{name}` is an extension (serve with --allow-extensions)"
            raise unsupported(message, name)
    return typed


def texts_of(given: Any, name: str, most: int) -> list[str | list[int]]:
    """One or many texts, or lists of token ids, of the field `name`. Raises HttpError."""
    many = isinstance(given, list) and given and isinstance(given[0], (str, list))
    texts: list[str | list[int]] = list(given) if many else [given]
    if len(texts) > most:
        message = f"more than `{most}` {name}s"
        raise invalid(message, name)
    if any(not one for one in texts):
        message = f"an empty {name}"
        raise invalid(message, name)
    return texts


def _is_not_json(error: ValidationError) -> bool:
    return error.errors(include_url=False)[0]["type"] == "json_invalid"


def refused(error: ValidationError, document: Any) -> HttpError:
    """What is wrong with `document`; of a union, the alternative that was meant."""
    first = max(error.errors(include_url=False), key=_how_far)
    kind = first["type"]
    if kind == "json_invalid":
        return invalid(f"the body is not JSON: {first['msg']}", code="invalid_json")
    steps = first["loc"]
    if kind == _LEFT_OUT:
        steps = (*steps, first["ctx"]["name"])
    param = _path(steps, document, is_missing=kind == "missing")
    if kind == _LEFT_OUT:
        return unsupported(first["msg"], param)
    if kind == "missing":
        return invalid(f"`{param}` is missing", param, "missing_required_parameter")
    if kind == "extra_forbidden":
        return invalid(f"unknown field `{param}`", param, "unknown_parameter")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _unknown_kind(first, param)
    message = first["msg"][:1].lower() + first["msg"][1:]
    return invalid(f"invalid value for `{param}`: {message}" if param else message, param)


# Alternatives that only exist to be refused, or are chosen by a function of ours.
_OUR_TAGS = ("other", "hosted")


def _unknown_kind(error: ErrorDetails, param: str | None) -> HttpError:
    """One of many kinds was meant, and it is not clear which: pydantic would name our functions."""
    context = error.get("ctx", {})
    # Those of functions stand for `type`.
    field = context["discriminator"].strip("'")
    name = field if field in ("type", "role") else "type"
    param = f"{param}.{name}" if param else name
    if error["type"] == "union_tag_not_found":
        return invalid(f"`{param}` is missing", param, "missing_required_parameter")
    known = re.findall(r"'([^']*)'", context["expected_tags"])
    shown = ", ".join(tag for tag in known if tag not in _OUR_TAGS)
    message = f"invalid value for `{param}`: `{context['tag'][:100]}` is none of {shown}"
    return invalid(message, param)


def _how_far(error: ErrorDetails) -> tuple[bool, int, bool, list[int]]:
    """Deeper in the document, there of the type that was given, and later in its lists."""
    places = [step for step in error["loc"] if isinstance(step, int)]
    is_of_type = not error["type"].endswith("_type")
    return error["type"] == _LEFT_OUT, len(error["loc"]), is_of_type, places


def _path(
    location: tuple[int | str, ...], document: Any, *, is_missing: bool = False
) -> str | None:
    """`location` in the document, without the names of alternatives, which no client knows."""
    path = ""
    for at, step in enumerate(location):
        if isinstance(step, int) and isinstance(document, list):
            path += f"[{step}]"
            document = document[step]
            continue
        is_last = at == len(location) - 1
        if not isinstance(document, dict) or not (step in document or (is_last and is_missing)):
            continue
        # An alternative is named by its discriminator, which may be the name of a field, too.
        if not is_last and step in (document.get("type"), document.get("role")):
            following = location[at + 1]
            if following == step or following in document:
                continue
        path += f".{step}" if path else str(step)
        document = document.get(step)
    return path or None


_NOT_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


def _outside_strings(content: bytes) -> bytes:
    """The JSON without its strings.

    In linear time whatever comes: a regular expression for strings takes minutes, and the
    interpreter's lock, where one has no end.
    """
    unescaped = content.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b" ".join(unescaped.split(b'"')[::2])


def _depth(outside: bytes) -> int:
    """The deepest nesting."""
    depth = deepest = 0
    for bracket in outside.translate(None, _NOT_BRACKETS):
        if bracket in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


# What some readers of JSON take for numbers, and JSON has not.
_NO_NUMBER = re.compile(rb"NaN|Infinity")
# What a number without it cannot be too large for.
_MAY_BE_LARGE = re.compile(rb"[0-9][eE]\+?[0-9]{2}|[0-9]{250}")


def _check_numbers(content: bytes, outside: bytes) -> None:
    """Refuses what JSON cannot write, and what nothing here can hold: `1e999` would become null."""
    if (found := _NO_NUMBER.search(outside)) is not None:
        message = f"the body is not JSON: `{found[0].decode()}` is none of its numbers"
        raise invalid(message, code="invalid_json")
    if _MAY_BE_LARGE.search(outside) is None:
        return

    def finite(text: str) -> float:
        if not math.isfinite(float(text)):
            message = f"`{text[:40]}` is too large a number"
            raise invalid(message, code="invalid_json")
        return 0.0

    # What is no JSON at all is refused later, with the place.
    with suppress(ValueError):
        json.loads(content, parse_float=finite, parse_int=finite)
