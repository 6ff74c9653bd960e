"""Which models are open, who has a turn, and how a turn ends early."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import openai
import psutil
import pytest
from openai import OpenAI

from tests.server_process import Served, serving
from tests.waiting import wait_until

SKY = [{"role": "user", "content": "What colour is the sky?"}]
# Runs until the context of a random model is full.
ENDLESS: dict[str, Any] = {
    "model": "random",
    "messages": SKY,
    "temperature": 0.0,
    "extra_body": {"ignore_eos": True},
}


@pytest.fixture(scope="module")
def server(bundles: list[str]) -> Iterator[Served]:
    with serving(*bundles, "--queue", "2", "--allow-extensions", "--context", "2048") as served:
        yield served


def model(client: OpenAI, name: str) -> dict[str, Any]:
    found = client.models.retrieve(name)
    return found.model_dump()


def hang_up_after_the_first_byte(server: Served, path: str, body: dict[str, Any]) -> None:
    """Sends a request, reads the beginning of what comes, and goes away."""
    address = urlsplit(server.url)
    content = json.dumps(body).encode()
    with socket.create_connection((address.hostname, address.port)) as client:
        head = f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(content)}"
        client.sendall(head.encode() + b"\r\n\r\n" + content)
        if body.get("stream"):
            client.recv(1)
        else:
            time.sleep(0.5)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_hangs_up_frees_the_model(
    server: Served, openai: OpenAI, stream: bool
) -> None:
    openai.chat.completions.create(model="random", messages=SKY, max_tokens=1)  # type: ignore[arg-type]
    body = {**ENDLESS, **ENDLESS["extra_body"], "stream": stream}
    del body["extra_body"]
    hang_up_after_the_first_byte(server, "/v1/chat/completions", body)
    began = time.monotonic()
    wait_until(lambda: model(openai, "random")["running"] == 0)
    # 200 ms is the aim; other processes work here, too.
    assert time.monotonic() - began < 5
    assert not model(openai, "random")["waiting"]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/embeddings", {"input": ["the sky is blue " * 200] * 8}),
        ("/v1/embeddings", {"input": ["the sky is blue " * 200] * 2000}),
    ],
)
def test_embeddings_end_with_their_client(
    server: Served, openai: OpenAI, path: str, fields: dict[str, Any]
) -> None:
    openai.embeddings.create(model="random", input="the sky")
    hang_up_after_the_first_byte(server, path, {"model": "random", **fields})
    began = time.monotonic()
    wait_until(lambda: model(openai, "random")["running"] == 0)
    assert time.monotonic() - began < 5


def test_too_many_waiting_requests_are_refused_with_when_to_come_again(openai: OpenAI) -> None:
    import openai as package

    first = openai.chat.completions.create(**ENDLESS, stream=True)
    next(iter(first))
    with ThreadPoolExecutor(2) as pool:
        waiting = [
            pool.submit(openai.chat.completions.create, **{**ENDLESS, "max_tokens": 1})
            for _ in range(2)
        ]
        wait_until(lambda: model(openai, "random")["waiting"] == 2)
        with pytest.raises(package.RateLimitError) as caught:
            openai.chat.completions.create(**ENDLESS)
        assert int(caught.value.response.headers["retry-after"]) > 0
        first.close()
        assert [one.result().usage.completion_tokens for one in waiting] == [1, 1]


def test_health_and_the_table_answer_while_a_model_works(openai: OpenAI) -> None:
    with openai.chat.completions.create(**ENDLESS, stream=True) as stream:
        next(iter(stream))
        assert model(openai, "random")["running"] == 1
        assert model(openai, "random")["loaded"]
        # Another model works at the same time.
        answer = openai.chat.completions.create(model="tiny", messages=SKY, temperature=0)  # type: ignore[arg-type]
        assert answer.choices[0].message.content == "The sky is blue."


def test_the_list_has_what_clients_look_for(openai: OpenAI) -> None:
    listed = openai.models.list().model_dump()
    for name in ("data", "models"):
        ids = [one["id"] for one in listed[name]]
        assert ids == ["tiny", "tiny-whisper", "tiny-image", "random"]
    for one in listed["data"]:
        assert one["object"] == "model"
        assert isinstance(one["created"], int)
        assert one["slug"] == one["display_name"] == one["id"]
        assert one["context_window"] == one["context_length"]
        assert model(openai, one["id"])["created"] == one["created"]


def test_models_that_do_not_fit_together_take_turns(bundles: list[str]) -> None:
    with (
        serving(*bundles, "--memory", "60", "--context", "1024") as served,
        served.openai as client,
    ):
        sizes = {one.id: one.model_dump()["memory_bytes"] for one in client.models.list()}
        assert sizes["tiny"] + sizes["random"] > 60 * 2**20 > max(sizes["tiny"], sizes["random"])
        with ThreadPoolExecutor(4) as pool:
            asked = [
                pool.submit(
                    client.chat.completions.create,
                    **{"model": name, "messages": SKY, "max_tokens": 3},
                )
                for name in ["tiny", "random"] * 3
            ]
            assert [one.result().model for one in asked] == ["tiny", "random"] * 3
        assert [model(client, name)["loaded"] for name in ("tiny", "random")].count(True) == 1
        with pytest.raises(openai.InternalServerError) as caught:
            client.audio.transcriptions.create(model="tiny-whisper", file=b"RIFF")
        assert caught.value.code == "out_of_memory"
        assert caught.value.response.headers["x-should-retry"] == "false"


def test_an_unused_model_is_closed(bundles: list[str]) -> None:
    with serving(*bundles, "--keep-alive", "0.5") as served, served.openai as client:
        client.chat.completions.create(model="tiny", messages=SKY)  # type: ignore[arg-type]
        assert model(client, "tiny")["loaded"]
        wait_until(lambda: not model(client, "tiny")["loaded"])


def test_sigterm_lets_an_answer_end_and_a_second_one_does_not(bundles: list[str]) -> None:
    for signals in (1, 2):
        with serving(*bundles, "--allow-extensions") as served, served.openai as client:
            fields = {**ENDLESS, "max_tokens": 400} if signals == 1 else ENDLESS
            stream = client.chat.completions.create(**fields, stream=True)
            chunks = iter(stream)
            next(chunks)
            served.process.send_signal(signal.SIGTERM)
            if signals == 1:
                assert list(chunks)[-1].choices[0].finish_reason == "length"
            else:
                time.sleep(0.5)
                assert served.process.poll() is None
                served.process.send_signal(signal.SIGTERM)
            assert served.process.wait(30) == 0


def test_clients_that_come_and_go_leave_nothing_behind(server: Served, openai: OpenAI) -> None:
    process = psutil.Process(server.process.pid)
    body = {**ENDLESS, "ignore_eos": True, "stream": True}
    del body["extra_body"]

    def hang_up(_: int) -> None:
        hang_up_after_the_first_byte(server, "/v1/chat/completions", body)

    hang_up(0)
    wait_until(lambda: model(openai, "random")["running"] == 0)
    before = process.num_fds(), process.num_threads()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(hang_up, range(24)))
    wait_until(lambda: model(openai, "random")["running"] == 0)
    wait_until(lambda: process.num_threads() <= before[1] + 2)
    wait_until(lambda: process.num_fds() <= before[0] + 2)
    assert threading.active_count() < 100


def test_several_texts_are_generated_at_once(bundles: list[str]) -> None:
    options = ["--parallel", "3", "--allow-extensions", "--context", "1024", "--queue", "0"]
    with serving(*bundles, *options) as served, served.openai as client:
        streams = [client.chat.completions.create(**ENDLESS, stream=True) for _ in range(2)]
        for stream in streams:
            next(iter(stream))
        assert model(client, "random")["running"] == 2
        third = client.chat.completions.create(**{**ENDLESS, "max_tokens": 5})
        assert third.usage.completion_tokens == 5
        # One that is ended leaves the other alone.
        streams[0].close()
        wait_until(lambda: model(client, "random")["running"] == 1)
        assert next(iter(streams[1])).choices[0].delta is not None
        alone = client.chat.completions.create(**{**ENDLESS, "model": "tiny", "max_tokens": 5})
        assert alone.choices[0].message.content == "The sky is blue."
        streams[1].close()
