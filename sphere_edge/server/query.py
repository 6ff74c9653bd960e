"""What stands behind the `?` of a path, as typed values."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BeforeValidator, ValidationError
from pydantic_core import PydanticCustomError
from starlette.requests import Request

from sphere_edge.server.body import Part, refused
from sphere_edge.server.http_error import invalid


def _truth(text: str) -> bool:
    """As JSON writes it: pydantic also takes `on` and `1`."""
    if text not in ("true", "false"):
        kind, message = "truth", "expected true or false"
        raise PydanticCustomError(kind, message)
    return text == "true"


Truth = Annotated[bool, BeforeValidator(_truth)]


class Query(Part):
    """The fields of a query, all with a default. Others are nobody's: Codex sends its version."""


Typed = TypeVar("Typed", bound=Query)


async def read(request: Request, into: type[Typed]) -> Typed:
    """The query as `into`. Raises HttpError that names the field."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        plain = name.removesuffix("[]")
        if plain in given and plain in into.model_fields:
            message = f"the query has `{plain}` twice"
            raise invalid(message, plain)
        given[plain] = value
    try:
        # A query knows strings only: `20` is a number there.
        return into.model_validate(given, strict=False, extra="ignore")
    except ValidationError as error:
        raise refused(error, given) from error
