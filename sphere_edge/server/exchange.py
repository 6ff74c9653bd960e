"""One request and its answer: typed body in, JSON, bytes or events out, errors in OpenAI's body.

While the answer is made, the connection is watched: a client that hangs up ends the work.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic_core import PydanticSerializationError, to_json
from starlette.requests import ClientDisconnect, Request

from sphere_edge.server import http_error
from sphere_edge.server.http_error import HttpError
from sphere_edge.server.settings import Limits

# A failure within that time gets its own status; later ones are an event.
_HEADERS_WITHIN_S = 1.0
# Proxies close connections on which nothing comes.
_PING_S = 15.0

_log = logging.getLogger("sphere_edge")
Read = TypeVar("Read")


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    content: bytes
    media_type: str = "application/json"
    http: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Events:
    """Server-sent events, encoded; the last part of an answer that began with success."""

    encoded: AsyncGenerator[bytes, None]


Output = Reply | Events


def as_json(document: Any, http: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """`document` as an answer."""
    return Reply(encode(document), http=http, headers=headers or {})


def encode(document: Any) -> bytes:
    """Compact JSON in UTF-8."""
    try:
        # A quarter of the time of `json`, in which the event loop does nothing else.
        return to_json(document, inf_nan_mode="null")
    except PydanticSerializationError:
        # Half of a character that JSON writes as two, and UTF-8 has not.
        whole = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return whole.encode("utf-8", "replace")


def event(document: Any, name: str | None = None) -> bytes:
    """One server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + encode(document) + b"\n\n"


def refused(error: HttpError) -> Reply:
    """The answer that `error` is."""
    return as_json(error.body(), error.http, error.headers)


async def send_reply(send: Any, reply: Reply) -> None:
    """Sends `reply` through ASGI's `send`."""
    await _Sender(send).reply(reply)


async def nothing(request: Request) -> None:
    """For endpoints without a body."""


class Endpoint(Generic[Read]):
    """An ASGI application of `read`, which reads the request, and `answer`, which answers it."""

    def __init__(
        self,
        path: str,
        read: Callable[[Request], Awaitable[Read]],
        answer: Callable[[Request, Read], Awaitable[Output]],
    ) -> None:
        self._path = path
        self._read = read
        self._answer = answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGI has it."""
        request = Request(scope, _patient(receive, scope["app"].state.settings.limits))
        sender = _Sender(send)
        try:
            await self._exchange(request, receive, sender)
        finally:
            if sender.http is not None:
                request.app.state.metrics.count_request(self._path, sender.http)

    async def _exchange(self, request: Request, receive: Any, sender: _Sender) -> None:
        try:
            read = await self._read(request)
        except ClientDisconnect:
            return
        except Exception as error:
            await sender.reply(refused(_failure_of(error)))
            return
        work = asyncio.ensure_future(self._work(request, read, sender))
        watch = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Also where the server itself is told to end.
            watch.cancel()
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work

    async def _work(self, request: Request, read: Read, sender: _Sender) -> None:
        try:
            answer = await self._answer(request, read)
            if isinstance(answer, Reply):
                await sender.reply(answer)
            else:
                await sender.events(answer)
        except Exception as error:
            failure = _failure_of(error)
            if sender.has_begun:
                await sender.last(event(failure.body()))
            else:
                await sender.reply(refused(failure))


def _patient(receive: Any, limits: Limits) -> Any:
    """`receive` for a body, which raises HttpError 408 where it does not go on.

    What comes faster than it must buys time, but never more than `body_patience_s` of silence.
    """
    loop = asyncio.get_running_loop()
    left = limits.body_patience_s

    async def received() -> Any:
        nonlocal left
        began = loop.time()
        try:
            message = await asyncio.wait_for(receive(), max(0.0, left))
        except asyncio.TimeoutError as error:
            text = f"the body comes slower than `{limits.body_bytes_per_s}` bytes a second"
            raise HttpError(408, text, code="request_timeout") from error
        bought = len(message.get("body", b"")) / limits.body_bytes_per_s
        left = min(left - (loop.time() - began) + bought, limits.body_patience_s)
        return message

    return received


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def _failure_of(error: Exception) -> HttpError:
    failure = http_error.of(error)
    if failure.http >= 500:
        is_bug = failure.http == 500 and failure.code == "internal_error"
        _log.error("%s", failure.message, exc_info=error if is_bug else None)
    return failure


class _Sender:
    """ASGI's messages of one answer."""

    def __init__(self, send: Any) -> None:
        self._send = send
        self._idle_since = 0.0
        # Of what was sent.
        self.http: int | None = None

    @property
    def has_begun(self) -> bool:
        return self.http is not None

    async def reply(self, reply: Reply) -> None:
        size = str(len(reply.content))
        await self._begin(reply.http, reply.media_type, {"content-length": size, **reply.headers})
        await self.last(reply.content)

    async def events(self, events: Events) -> None:
        """Sends events as they come, and a comment where none comes for long."""
        async with aclosing(events.encoded) as encoded:
            first = asyncio.ensure_future(anext(encoded, b""))
            try:
                done, _ = await asyncio.wait((first,), timeout=_HEADERS_WITHIN_S)
                if done:
                    first.result()
                # Nginx would collect events until its buffer is full.
                headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
                await self._begin(200, "text/event-stream", headers)
                ping = asyncio.ensure_future(self._ping())
                try:
                    await self._part(await first)
                    async for one in encoded:
                        await self._part(one)
                finally:
                    ping.cancel()
            finally:
                first.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await first
        await self.last(b"")

    async def last(self, content: bytes) -> None:
        await self._send({"type": "http.response.body", "body": content, "more_body": False})

    async def _begin(self, http: int, media_type: str, headers: Mapping[str, str]) -> None:
        self.http = http
        pairs = {"content-type": media_type, "x-content-type-options": "nosniff", **headers}
        await self._send(
            {
                "type": "http.response.start",
                "status": http,
                "headers": [(name.lower().encode(), text.encode()) for name, text in pairs.items()],
            }
        )

    async def _part(self, content: bytes) -> None:
        self._idle_since = asyncio.get_running_loop().time()
        await self._send({"type": "http.response.body", "body": content, "more_body": True})

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(_PING_S)
            if asyncio.get_running_loop().time() - self._idle_since >= _PING_S:
                await self._part(b": still working\n\n")
