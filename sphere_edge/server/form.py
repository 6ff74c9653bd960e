"""A request's multipart form: text fields as typed values, files beside them, all with limits."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from sphere_edge.server.body import Body, refused, too_long
from sphere_edge.server.http_error import invalid
from sphere_edge.server.settings import Settings

_MOST_FIELDS = 64
_FIELD_BYTES = 1024 * 1024
Typed = TypeVar("Typed", bound=Body)


@dataclass(frozen=True)
class Form(Generic[Typed]):
    """The fields, and the bytes of each file by its field's name."""

    fields: Typed
    files: Mapping[str, bytes]


async def read(request: Request, into: type[Typed], names: Collection[str]) -> Form[Typed]:
    """The form as `into`, and its files, of which `names` are known.

    Raises HttpError that names the field.
    """
    settings: Settings = request.app.state.settings
    limit = settings.limits.upload_bytes
    counted = Request(request.scope, _limited(request.receive, limit))
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        message = "the body is not multipart/form-data"
        raise invalid(message, code="invalid_form")
    try:
        # Starlette keeps what is longer than a MiB in temporary files.
        async with counted.form(
            max_files=_MOST_FIELDS, max_fields=_MOST_FIELDS, max_part_size=_FIELD_BYTES
        ) as form:
            texts: dict[str, Any] = {}
            files: dict[str, bytes] = {}
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    field = name.removesuffix("[]")
                    if field in names:
                        _once(field, files)
                        files[field] = await value.read()
                    elif not settings.lenient:
                        message = f"unknown file `{field}`"
                        raise invalid(message, field, "unknown_parameter")
                elif name.endswith("[]"):
                    listed = texts.setdefault(name[:-2], [])
                    if not isinstance(listed, list):
                        _once(name[:-2], texts)
                    listed.append(value)
                else:
                    _once(name, texts)
                    texts[name] = value
    except HTTPException as error:
        message = f"the form cannot be read: {error.detail}"
        raise invalid(message, code="invalid_form") from error
    return Form(await asyncio.to_thread(_typed, texts, into, settings), files)


def file_of(form: Form[Any], name: str) -> bytes:
    """The file `name`. Raises HttpError if it is missing or empty."""
    content = form.files.get(name)
    if content is None:
        message = f"the file `{name}` is missing"
        raise invalid(message, name, "missing_required_parameter")
    if not content:
        message = f"the file `{name}` is empty"
        raise invalid(message, name)
    return content


def _once(name: str, fields: Mapping[str, Any]) -> None:
    if name in fields:
        message = f"the form has `{name}` twice"
        raise invalid(message, name)


def _typed(texts: dict[str, Any], into: type[Typed], settings: Settings) -> Typed:
    extra = "ignore" if settings.lenient else "forbid"
    try:
        # A form knows strings only: `0.5` is a number there.
        return into.model_validate(texts, strict=False, extra=extra)  # type: ignore[arg-type]
    except ValidationError as error:
        raise refused(error, texts) from error


def _limited(receive: Any, limit: int) -> Any:
    size = 0

    async def counted() -> Any:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise too_long(limit)
        return message

    return counted
