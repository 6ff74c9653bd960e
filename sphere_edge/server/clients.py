"""Who a request is from, as far as a fair queue needs to know."""

from __future__ import annotations

from starlette.requests import Request


def client_of(request: Request) -> str:
    """The key that came with it, required or not; else the address."""
    key = request.headers.get("authorization")
    if key:
        return str(key)
    return str(request.client.host) if request.client else ""
