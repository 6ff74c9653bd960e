"""SIGTERM in every phase: what has begun comes to its end, and a second one ends all at once."""

from __future__ import annotations

import fcntl
import io
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import numpy as np
import openai as package
import pytest
import soundfile
from openai import OpenAI

from sphere_edge import resources
from tests import random_gguf, random_whisper
from tests.server_process import Served, serving
from tests.waiting import wait_until

TEXT: dict[str, Any] = {"model": "random", "temperature": 0.0}
SKY: Any = [{"role": "user", "content": "What colour is the sky?"}]
EMBEDDING = b'{"model": "random", "input": "the sky"}'


def read(openai: OpenAI) -> bool:
    made = openai.responses.create(input="x" * 3000, max_output_tokens=16, **TEXT)
    return made.status == "incomplete"


def written(openai: OpenAI) -> bool:
    made = openai.chat.completions.create(
        messages=SKY, max_tokens=200, extra_body={"ignore_eos": True}, **TEXT
    )
    return made.choices[0].finish_reason == "length"


def streamed(openai: OpenAI) -> bool:
    events = openai.responses.create(input="sky", max_output_tokens=200, stream=True, **TEXT)
    return [*events][-1].type in ("response.completed", "response.incomplete")


def transcribed(openai: OpenAI) -> bool:
    made = openai.audio.transcriptions.create(model="tiny-whisper", file=("a.flac", speech()))
    return bool(made.text)


def drawn(openai: OpenAI) -> bool:
    made = openai.images.generate(
        model="tiny-image", prompt="a red circle", extra_body={"steps": 20}
    )
    return len(made.data or []) == 1


# What is met at work, or was so quick that it has ended. Each opens its model first.
PHASES: tuple[Callable[[OpenAI], bool], ...] = (drawn, transcribed, streamed, written, read)


def speech() -> bytes:
    """Ten seconds of it."""
    file = min(resources.speech_samples().glob("*.flac"))
    sound, rate = soundfile.read(file, dtype="float32")
    out = io.BytesIO()
    soundfile.write(out, np.tile(sound, 10 * rate // len(sound)), rate, format="FLAC")
    return out.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "responses.sqlite"


@pytest.fixture
def served(bundles: list[str], file: Path) -> Iterator[Served]:
    # Threads of ggml wait for each other by spinning, which takes long on a busy machine.
    words = ["--store", str(file), "--parallel", "4", "--allow-extensions", "--threads", "1"]
    with serving(*bundles, *words) as served:
        yield served


def uploading(served: Served, content_bytes: int) -> socket.socket:
    """A connection with the head of a request whose body is to come."""
    address = urlsplit(served.url)
    client = socket.create_connection((address.hostname, address.port))
    head = f"POST /v1/embeddings HTTP/1.1\r\nHost: {address.netloc}\r\n"
    client.sendall(f"{head}Content-Length: {content_bytes}\r\n\r\n".encode())
    return client


def begin_all(served: Served, pool: ThreadPoolExecutor) -> list[Future[bool]]:
    """Asks for the work of every phase, and waits until all of it has begun."""

    def asked(phase: Callable[[OpenAI], bool]) -> bool:
        with served.openai as openai:
            return phase(openai)

    def has_begun() -> bool:
        with served.openai as openai:
            rows = [one.model_dump() for one in openai.models.list()]
        return sum(row["running"] for row in rows) + sum(one.done() for one in all) == len(all)

    all = [pool.submit(asked, phase) for phase in PHASES]
    wait_until(has_begun)
    return all


def is_draining(served: Served) -> bool:
    """Whether it takes no connection any more."""
    address = urlsplit(served.url)
    with suppress(OSError), socket.create_connection((address.hostname, address.port)):
        return False
    return True


def is_whole(file: Path) -> bool:
    with sqlite3.connect(file) as database:
        found = database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    kept = file.with_name(f"{file.name}.sequences").iterdir()
    return found and all(path.suffix == ".sequence" for path in kept)


def answer_to(served: Served, said: str | bytes) -> str | None:
    """To a text or to speech; None if the connection was cut off."""
    with served.openai as openai, suppress(package.APIConnectionError):
        if isinstance(said, bytes):
            return openai.audio.transcriptions.create(model="random", file=("a.flac", said)).text
        return openai.completions.create(prompt=said, max_tokens=1, **TEXT).choices[0].text
    return None


def is_at_work(served: Served, model: str) -> bool:
    with served.openai as openai:
        return bool(openai.models.retrieve(model).model_dump()["running"])


def ends_at_the_second_signal(served: Served) -> bool:
    """And not at the first, which lets work end."""
    served.process.send_signal(signal.SIGTERM)
    wait_until(lambda: is_draining(served))
    assert served.process.poll() is None
    return served.end() == 0


def test_a_signal_lets_every_phase_end(served: Served, file: Path) -> None:
    with ThreadPoolExecutor() as pool, uploading(served, len(EMBEDDING)) as client:
        client.sendall(EMBEDDING[:10])
        asked = begin_all(served, pool)
        served.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_draining(served))
        client.sendall(EMBEDDING[10:])
        assert [one.result() for one in asked] == [True] * len(PHASES)
        assert client.recv(15) == b"HTTP/1.1 200 OK"
    assert served.process.wait(60) == 0
    assert is_whole(file)


def test_a_second_signal_ends_every_phase(served: Served, file: Path) -> None:
    with ThreadPoolExecutor() as pool, uploading(served, len(EMBEDDING)) as client:
        asked = begin_all(served, pool)
        served.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_draining(served))
        # The body that does not come keeps it from ending by itself.
        assert served.process.poll() is None
        assert served.end() == 0
        for one in asked:
            # What was still at work is cut off; a client sees that.
            with suppress(package.APIError, httpx2.HTTPError):
                assert one.result()
        with suppress(ConnectionError):
            assert client.recv(1) == b""
    assert is_whole(file)


@contextmanager
def held_back(file: Path) -> Iterator[None]:
    """Whoever opens `file` waits, for 45 seconds at most: fcntl(2), leases."""
    patience = Path("/proc/sys/fs/lease-break-time")
    if not patience.exists() or int(patience.read_text()) < 45:
        pytest.skip("files cannot be held back here for long")
    before = signal.signal(signal.SIGIO, lambda *_: None)
    try:
        with file.open("r+b") as own:
            try:
                fcntl.fcntl(own, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            except OSError as error:
                pytest.skip(f"files cannot be held back here: {error}")
            yield
    finally:
        signal.signal(signal.SIGIO, before)


def test_a_second_signal_ends_the_opening_of_a_model(tmp_path: Path) -> None:
    model = random_whisper.write(tmp_path / "random.bin")
    with serving(model) as served, held_back(model), ThreadPoolExecutor() as pool:
        asked = pool.submit(answer_to, served, speech())
        wait_until(lambda: is_at_work(served, "random"))
        assert ends_at_the_second_signal(served)
        assert asked.result() is None


def test_a_second_signal_ends_the_reading_of_a_long_prompt(tmp_path: Path) -> None:
    words = 14_000
    model = random_gguf.write(tmp_path / "random.gguf", layers=24, context=words + 2_000)
    with (
        serving(model, "--threads", "1", "--context", str(words + 2_000)) as served,
        ThreadPoolExecutor() as pool,
    ):
        asked = pool.submit(answer_to, served, "x" * words)
        wait_until(lambda: is_at_work(served, "random"))
        assert ends_at_the_second_signal(served)
        assert asked.result() is None


def test_a_body_that_never_ends_keeps_no_server_from_ending(bundles: list[str]) -> None:
    with (
        serving(*bundles, "--timeout", "1") as served,
        served.openai as openai,
        ThreadPoolExecutor() as pool,
        uploading(served, 2**23) as client,
    ):

        def send() -> None:
            # Fast enough not to be given up.
            with suppress(OSError):
                for _ in range(2**13):
                    client.sendall(b" " * 2**10)
                    time.sleep(0.1)

        sending = pool.submit(send)
        # It takes connections in their order, so that it has met that one then.
        assert openai.models.list().data
        assert served.end() == 0
        sending.result()
