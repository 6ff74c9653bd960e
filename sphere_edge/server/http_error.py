"""HttpError: what a client is refused with, in OpenAI's body, and how our own errors become one.

{"error": {"message", "type", "param", "code", "status"}}: `status` is our status code's name.
https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sphere_edge.errors import NO_ROOM, SphereEdgeError, Status, StorageError

_NEVER_AGAIN = {"x-should-retry": "false"}
_LATER = {"Retry-After": "2"}


@dataclass(frozen=True)
class _Kind:
    """A status code of ours in HTTP; `again`: whether the same request may succeed later."""

    http: int
    type: str
    code: str
    again: bool = False


_SERVER = "server_error"
_REQUEST = "invalid_request_error"
_KINDS: Mapping[Status, _Kind] = {
    Status.OOM_VRAM: _Kind(503, _SERVER, "out_of_memory"),
    Status.OOM_RAM: _Kind(503, _SERVER, "out_of_memory"),
    Status.MODEL_CORRUPT: _Kind(500, _SERVER, "model_corrupt"),
    Status.TIMEOUT: _Kind(504, _SERVER, "timeout"),
    Status.CANCELLED: _Kind(499, _SERVER, "cancelled"),
    Status.UNSUPPORTED: _Kind(400, _REQUEST, "unsupported"),
    Status.INTERNAL: _Kind(500, _SERVER, "internal_error"),
    Status.FORMAT_MISMATCH: _Kind(500, _SERVER, "format_mismatch"),
    Status.LOAD_FAILED: _Kind(500, _SERVER, "load_failed"),
    Status.INVALID_ARGUMENT: _Kind(400, _REQUEST, "invalid_value"),
    Status.NOT_FOUND: _Kind(404, _REQUEST, "not_found"),
    Status.STORAGE: _Kind(507, _SERVER, "storage"),
    Status.UNAVAILABLE: _Kind(503, _SERVER, "unavailable", again=True),
    Status.UNTRUSTED: _Kind(500, _SERVER, "untrusted"),
}


@dataclass(eq=False)
class HttpError(Exception):
    """An answer that is not 2xx."""

    http: int
    message: str
    code: str = field(kw_only=True)
    param: str | None = field(default=None, kw_only=True)
    type: str = field(default=_REQUEST, kw_only=True)
    status: Status = field(default=Status.INVALID_ARGUMENT, kw_only=True)
    headers: Mapping[str, str] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        """As an exception it says no more than its message."""
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        """The JSON that the client gets."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
                "status": self.status.name,
            }
        }


def invalid(message: str, param: str | None = None, code: str = "invalid_value") -> HttpError:
    """400 for a value that is wrong in itself."""
    return HttpError(400, message, code=code, param=param)


def unsupported(message: str, param: str | None = None) -> HttpError:
    """400 for what is understood, but not done here."""
    return HttpError(
        400, message, code="unsupported_parameter", param=param, status=Status.UNSUPPORTED
    )


def unsupported_endpoint(path: str, reason: str) -> HttpError:
    """400 for a path of OpenAI's: a 404 would look like a wrong address."""
    message = f"`{path}` is not supported: {reason}"
    return HttpError(400, message, code="unsupported_endpoint", status=Status.UNSUPPORTED)


def not_found(message: str, param: str | None = None, code: str = "not_found") -> HttpError:
    """404."""
    return HttpError(404, message, code=code, param=param, status=Status.NOT_FOUND)


def busy(message: str, retry_after_s: int) -> HttpError:
    """429 for what may succeed after `retry_after_s`."""
    return HttpError(
        429,
        message,
        code="rate_limit_exceeded",
        type="rate_limit_error",
        status=Status.UNAVAILABLE,
        headers={"Retry-After": str(retry_after_s)},
    )


def of(error: BaseException, param: str | None = None) -> HttpError:
    """`error` as the client gets it; what is not an error of ours is a bug, and says no more.

    `param`: the field that it is about, if the caller knows.
    """
    if isinstance(error, HttpError):
        return error
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        # Of the folder for temporary files, where long uploads wait.
        error = StorageError(f"the server cannot write: {os.strerror(error.errno).lower()}")
    if not isinstance(error, SphereEdgeError):
        message = "this is a bug in sphere-edge; the server's log has more"
        kind = _KINDS[Status.INTERNAL]
        return HttpError(
            kind.http,
            message,
            code=kind.code,
            type=kind.type,
            status=Status.INTERNAL,
            headers=_NEVER_AGAIN,
        )
    kind = _KINDS[error.code]
    message = error.message if error.hint is None else f"{error.message} ({error.hint})"
    # Agents shorten their conversation when they read this code.
    is_context = "tokens and the context holds" in error.message
    return HttpError(
        kind.http,
        message,
        code="context_length_exceeded" if is_context else kind.code,
        param=param,
        type=kind.type,
        status=error.code,
        headers=_LATER if kind.again else _NEVER_AGAIN if kind.http >= 500 else {},
    )
