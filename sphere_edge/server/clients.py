"""Who a request is from, as far as a fair queue needs to know."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

_KEY = "sphere_edge.key"


def let_in(scope: Any, key: str) -> None:
    """Notes the key that a request was let in with."""
    scope[_KEY] = key


def client_of(request: Request) -> str:
    """That key; where none is asked for, the address.

    A header that nobody checks names nobody: with another one each time, one client would be many.
    """
    key: str | None = request.scope.get(_KEY)
    if key is not None:
        return key
    return str(request.client.host) if request.client else ""
