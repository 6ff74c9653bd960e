"""Connections that hold on to the server: how each of them ends, over real sockets."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from sphere_edge.server import app
from sphere_edge.server.connection import Connection
from sphere_edge.server.settings import Limits, Settings

HEAD = b"Host: localhost\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Hasty(Connection):
    """With less patience."""

    idle_s = 0.3
    stalled_s = 0.3


class Few(Connection):
    """With room for few."""

    most = 4


@asynccontextmanager
async def listening(
    application: Any = None, protocol: type[Connection] = Connection, **limits: Any
) -> AsyncIterator[Callable[[], Awaitable[Streams]]]:
    """A server without models, or of `application`; gives what connects to it."""
    settings = Settings(limits=Limits(**limits))
    served = application or app.guarded(app.make((), settings))
    config = uvicorn.Config(served, lifespan="off", log_config=None, access_log=False)
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    opened: list[asyncio.StreamWriter] = []

    async def connect() -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        opened.append(writer)
        return reader, writer

    try:
        yield connect
    finally:
        for writer in opened:
            writer.close()
        server.close()
        await server.wait_closed()
        while state.connections:
            await asyncio.sleep(0.01)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """All until the server ends the connection, which it must do soon."""
    content = b""
    # Where it leaves something unread, it resets the connection after the answer.
    with suppress(ConnectionError):
        while block := await asyncio.wait_for(reader.read(65536), 20):
            content += block
    return content


def status_and_code(answer: bytes) -> tuple[int, str]:
    """Of a refusal."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def test_a_connection_without_a_request_is_closed_however_slowly_bytes_come() -> None:
    async def tried() -> None:
        async with listening(protocol=Hasty) as connect:
            silent, _ = await connect()
            slow, writer = await connect()
            answered, asking = await connect()
            asking.write(b"GET /health HTTP/1.1\r\n" + HEAD + b"\r\n")

            async def drip() -> None:
                for byte in b"GET /health HTTP/1.1\r\n" + HEAD * 100:
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0.02)

            dripping = asyncio.ensure_future(drip())
            assert await rest(silent) == b""
            assert await rest(slow) == b""
            assert (await rest(answered)).endswith(b'{"status":"ok"}')
            assert not dripping.done()
            dripping.cancel()

    asyncio.run(tried())


def test_a_body_without_end_is_read_no_further_than_some_seconds_after_the_answer() -> None:
    async def tried() -> None:
        async with listening(protocol=Hasty) as connect:
            reader, writer = await connect()
            chunk = b"8\r\n12345678\r\n"
            writer.write(b"GET /health HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n")

            async def endless() -> None:
                while True:
                    writer.write(chunk)
                    await asyncio.sleep(0.01)

            sending = asyncio.ensure_future(endless())
            assert b'{"status":"ok"}' in await rest(reader)
            sending.cancel()

    asyncio.run(tried())


def test_a_body_that_does_not_go_on_is_given_up() -> None:
    async def tried() -> None:
        patience = {"body_patience_s": 0.3, "body_bytes_per_s": 1000}
        async with listening(protocol=Hasty, **patience) as connect:
            for path in (b"/v1/responses", b"/v1/audio/transcriptions"):
                reader, writer = await connect()
                kind = b"Content-Type: multipart/form-data; boundary=b\r\n"
                head = b"POST " + path + b" HTTP/1.1\r\n" + HEAD + kind
                writer.write(head + b"Content-Length: 100000\r\n\r\n--b\r\n")
                assert status_and_code(await rest(reader)) == (408, "request_timeout")

    asyncio.run(tried())


def test_much_of_a_body_sent_fast_buys_no_long_silence() -> None:
    async def tried() -> None:
        patience = {"body_patience_s": 0.3, "body_bytes_per_s": 1000}
        async with listening(protocol=Hasty, **patience) as connect:
            reader, writer = await connect()
            head = b"POST /v1/responses HTTP/1.1\r\n" + HEAD
            writer.write(head + b"Content-Length: 2000000\r\n\r\n" + b" " * 2**20)
            assert status_and_code(await rest(reader)) == (408, "request_timeout")

    asyncio.run(tried())


def test_a_body_that_comes_slowly_but_fast_enough_is_read() -> None:
    async def tried() -> None:
        patience = {"body_patience_s": 0.5, "body_bytes_per_s": 1000}
        async with listening(protocol=Hasty, **patience) as connect:
            reader, writer = await connect()
            head = b"POST /v1/responses HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n"
            writer.write(head + b"Content-Length: 2000\r\n\r\n")
            for _ in range(10):
                await asyncio.sleep(0.1)
                writer.write(b" " * 200)
            assert status_and_code(await rest(reader))[0] == 400

    asyncio.run(tried())


def test_a_client_that_reads_nothing_is_let_go() -> None:
    ended = asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        part = {"type": "http.response.body", "body": b"x" * 2**20, "more_body": True}
        gone = asyncio.ensure_future(disconnected(receive))
        while not gone.done():
            await send(part)
            await asyncio.sleep(0)
        ended.set()

    async def disconnected(receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            continue

    async def tried() -> None:
        async with listening(endless, Hasty) as connect:
            _, writer = await connect()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n")
            await asyncio.wait_for(ended.wait(), 20)

    asyncio.run(tried())


@pytest.mark.parametrize("read", [0, 44])
@pytest.mark.parametrize("how", ["close", "HTTP/1.0", "half", "shutdown"])
def test_a_client_that_does_not_read_the_end_of_its_answer_is_let_go(how: str, read: int) -> None:
    mib = 2**20
    lost = asyncio.Event()
    served: list[Connection] = []

    class Large(Hasty):
        """What a small answer is to a usual connection, 64 MiB are to it."""

        idle_s = 30.0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            # Only who reads some is waited for: a pause, and later its end.
            transport.set_write_buffer_limits((32 if read else 128) * mib, 24 * mib)
            served.append(self)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    async def answers(scope: Any, receive: Any, send: Any) -> None:
        head = [(b"content-length", str(64 * mib).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"x" * 64 * mib, "more_body": False})

    async def tried() -> None:
        async with listening(answers, Large) as connect:
            reader, writer = await connect()
            connected = writer.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, mib)
            version = b"1.0" if how == "HTTP/1.0" else b"1.1"
            more = b"Connection: close\r\n" if how == "close" else b""
            writer.write(b"GET / HTTP/" + version + b"\r\n" + HEAD + more + b"\r\n")
            await reader.readexactly(read * mib + 1)
            if how == "half":
                writer.write_eof()
            if how == "shutdown":
                served[0].shutdown()
            assert not lost.is_set()
            await asyncio.wait_for(lost.wait(), 10)

    asyncio.run(tried())


def test_a_client_that_reads_slowly_gets_its_whole_answer() -> None:
    size = 2**24

    async def answers(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(16):
            part = {"type": "http.response.body", "body": b"x" * (size // 16), "more_body": True}
            await send(part)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def tried() -> None:
        async with listening(answers, Hasty) as connect:
            reader, writer = await connect()
            writer.write(b"GET / HTTP/1.0\r\n" + HEAD + b"\r\n")
            await reader.readuntil(b"\r\n\r\n")
            for _ in range(32):
                await reader.readexactly(size // 32)
                await asyncio.sleep(0.05)
            assert await rest(reader) == b""

    asyncio.run(tried())


def test_what_comes_behind_the_last_request_does_not_cost_its_answer() -> None:
    async def answers(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.3)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"answer", "more_body": False})

    async def tried() -> None:
        async with listening(answers) as connect:
            for version, more in ((b"1.0", b""), (b"1.1", b"Connection: close\r\n")):
                for ahead in (b"\r\n", b"x" * 2**20):
                    reader, writer = await connect()
                    writer.write(b"GET / HTTP/" + version + b"\r\n" + HEAD + more + b"\r\n")
                    await asyncio.sleep(0.1)
                    writer.write(ahead)
                    assert b"answer" in await rest(reader)

    asyncio.run(tried())


def test_a_client_that_hangs_up_is_noticed_also_where_it_has_sent_more() -> None:
    noticed = asyncio.Event()

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            continue
        noticed.set()

    async def tried() -> None:
        aheads = (b"", b"\r\n", b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n", b"x" * 2**20)
        for ahead, more in itertools.product(aheads, (b"", b"Connection: close\r\n")):
            noticed.clear()
            async with listening(waits) as connect:
                _, writer = await connect()
                head = b"POST / HTTP/1.1\r\n" + HEAD + more
                writer.write(head + b"Content-Length: 2\r\n\r\n{}")
                await asyncio.sleep(0.1)
                writer.write(ahead)
                await asyncio.sleep(0.1)
                writer.close()
                await asyncio.wait_for(noticed.wait(), 20)

    asyncio.run(tried())


def test_the_connection_that_was_idle_for_longest_makes_room() -> None:
    async def tried() -> None:
        async with listening(protocol=Few) as connect:
            many = [await connect() for _ in range(Few.most)]
            reader, writer = await connect()
            writer.write(b"GET /health HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n\r\n")
            assert (await rest(reader)).endswith(b'{"status":"ok"}')
            assert await rest(many[0][0]) == b""
            many[-1][1].write(b"GET /health HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n\r\n")
            assert (await rest(many[-1][0])).endswith(b'{"status":"ok"}')

    asyncio.run(tried())


def test_as_many_connections_as_half_of_the_files_have_room() -> None:
    script = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
from sphere_edge.server.connection import Connection
assert Connection.most == 50, Connection.most
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_bytes_that_are_not_http_are_refused_in_the_same_body_or_ends_the_connection(
    caplog: Any,
) -> None:
    async def tried() -> None:
        async with listening() as connect:
            for sent in (
                b"\x16\x03\x01\x02\x00\x01\x00",
                b"GET /health HTTP/1.1\r\n\r\n",
                b"GET /health HTTP/1.1\r\n" + HEAD + HEAD + b"\r\n",
                b"GET /health HTTP/1.1\r\n" + HEAD + b"Content-Length: -5\r\n\r\n",
            ):
                reader, writer = await connect()
                writer.write(sent)
                assert status_and_code(await rest(reader)) == (400, "invalid_http")
            reader, writer = await connect()
            writer.write(b"GET /health HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            assert (await reader.readuntil(b'"ok"}')).startswith(b"HTTP/1.1 200")
            writer.write(b"zz\r\n")
            assert await rest(reader) == b""

    asyncio.run(tried())
    assert [one.message for one in caplog.records if one.levelname == "ERROR"] == []


def test_who_asks_for_another_protocol_is_answered_in_this_one(caplog: Any) -> None:
    async def tried() -> None:
        async with listening() as connect:
            for name in (b"websocket", b"h2c"):
                reader, writer = await connect()
                ask = b"Connection: Upgrade, close\r\nUpgrade: " + name + b"\r\n\r\n"
                writer.write(b"GET /health HTTP/1.1\r\n" + HEAD + ask)
                assert (await rest(reader)).endswith(b'{"status":"ok"}')

    asyncio.run(tried())
    assert "upgrade" not in caplog.text.lower()


def test_of_headers_that_decide_there_is_one() -> None:
    async def tried() -> None:
        async with listening() as connect:
            for name, first, second in (
                (b"Origin", b"http://evil.example", b"http://localhost"),
                (b"Authorization", b"Bearer x", b"Bearer y"),
            ):
                reader, writer = await connect()
                both = b"".join(name + b": " + value + b"\r\n" for value in (first, second))
                writer.write(
                    b"GET /ready HTTP/1.1\r\n" + HEAD + both + b"Connection: close\r\n\r\n"
                )
                assert status_and_code(await rest(reader)) == (400, "invalid_http")

    asyncio.run(tried())


def test_names_of_hosts_are_the_same_in_capitals_and_with_the_last_dot() -> None:
    async def tried() -> None:
        async with listening() as connect:
            for host, http_status in (
                (b"LOCALHOST:1", b"200"),
                (b"localhost.", b"200"),
                (b"localhost..", b"403"),
                (b"localhost@evil.example", b"403"),
                (b"2130706433", b"403"),
            ):
                reader, writer = await connect()
                writer.write(
                    b"GET /ready HTTP/1.1\r\nConnection: close\r\nHost: " + host + b"\r\n\r\n"
                )
                assert (await rest(reader)).split()[1] == http_status

    asyncio.run(tried())
