"""GET /openapi.json: what every path takes, made from the types that check it.

https://spec.openapis.org/oas/v3.1.0.html
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic.json_schema import models_json_schema
from starlette.requests import Request

from sphere_edge import __version__
from sphere_edge.server.body import Body
from sphere_edge.server.exchange import Output, as_json
from sphere_edge.server.query import Query

_REFERENCE = "#/components/schemas/{model}"
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code", "status"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
                "status": {"type": "string"},
            },
        }
    },
}


@dataclass(frozen=True)
class Operation:
    """A path, a method and what answers it; `files` of a form, the required ones first.

    What answers it gets the body, or the query of a path that has one.
    """

    method: str
    path: str
    answer: Callable[[Request, Any], Awaitable[Output]]
    body: type[Body] | None = None
    files: tuple[str, ...] = ()
    query: type[Query] | None = None


def document(
    operations: Sequence[Operation], models: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Any]:
    """The description of `operations`; `models`: by path, what its body may have as `model`."""
    bodies = {one.body for one in operations if one.body is not None}
    ordered = sorted(bodies, key=lambda body: body.__name__)
    names, definitions = models_json_schema(
        [(body, "validation") for body in ordered], ref_template=_REFERENCE
    )
    schemas = {**definitions.get("$defs", {}), "Error": _ERROR}
    references = {body: names[(body, "validation")] for body in ordered}
    forms = {body: schemas[references[body]["$ref"].rpartition("/")[2]] for body in ordered}
    paths: dict[str, Any] = {}
    for one in operations:
        if one.body is not None and (found := (models or {}).get(one.path)):
            forms[one.body]["properties"]["model"]["enum"] = list(found)
        path = paths.setdefault(re.sub(r":\w+}", "}", one.path), {})
        path[one.method.lower()] = _operation(one, forms if one.files else references)
    return {
        "openapi": "3.1.0",
        "info": {"title": "sphere-edge", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


async def served(request: Request, _: None) -> Output:
    """What every path takes."""
    return as_json(request.app.state.description)


def _operation(one: Operation, schemas: dict[type[Body], Any]) -> dict[str, Any]:
    """`schemas`: references to those of the bodies, or for forms the schemas themselves."""
    error = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    described: dict[str, Any] = {
        "summary": (one.answer.__doc__ or "").strip().splitlines()[0],
        "responses": {
            "200": {"description": "success"},
            "default": {"description": "refused or failed", **error},
        },
    }
    text = {"in": "path", "required": True, "schema": {"type": "string"}}
    names = re.findall(r"{(\w+)(?::\w+)?}", one.path)
    parameters: list[dict[str, Any]] = [{"name": name, **text} for name in names]
    if one.query is not None:
        fields = one.query.model_json_schema()["properties"]
        parameters += [
            {"name": name, "in": "query", "schema": schema} for name, schema in fields.items()
        ]
    if parameters:
        described["parameters"] = parameters
    if one.body is not None:
        schema = schemas[one.body]
        kind = "application/json"
        if one.files:
            binary = {"type": "string", "format": "binary"}
            kind = "multipart/form-data"
            schema = {
                **schema,
                "properties": {**schema["properties"], **dict.fromkeys(one.files, binary)},
                "required": [*schema["required"], one.files[0]],
            }
        described["requestBody"] = {"required": True, "content": {kind: {"schema": schema}}}
    return described
