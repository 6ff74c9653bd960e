"""`serve --device`: on an emulated ARM board over SSH, and on this machine with the same file."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx2
import psutil
import pytest
from emulated_board import Board, start
from openai import OpenAI

from sphere_edge import errors, resources
from sphere_edge.boards import installing, python_there, server_deployment, server_file
from sphere_edge.bundle.read import Bundle
from sphere_edge.devices.local import LocalDevice
from sphere_edge.devices.open import open_device
from sphere_edge.devices.service import Address
from sphere_edge.devices.store import Store
from sphere_edge.server.on_board import PORT
from sphere_edge.toolchain import native, targets
from tests import made_bundles
from tests.cli_process import in_process, refused
from tests.server_process import Served, serving
from tests.waiting import wait_until

# For what never ends; how long something takes is not tested.
_PATIENCE_S = 300


def servers(place: Path | str) -> list[psutil.Process]:
    """The servers that run from the store at `place`."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if any(word.startswith(str(place)) and word.endswith(server_file.NAME) for word in words):
            found.append(process)
    return found


def answered(client: OpenAI, model: str) -> str:
    reply = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Hello"}], temperature=0, max_tokens=8
    )
    return reply.choices[0].message.content or ""


@pytest.fixture
def own_data(tmp_path: Path) -> dict[str, str]:
    """A data folder of its own, in which the store of this machine as a device lies."""
    return {"XDG_DATA_HOME": str(tmp_path / "data")}


@pytest.fixture
def here() -> Path:
    return made_bundles.made("tiny").folder


def heard(client: OpenAI, model: str) -> str:
    """What is said in the recording of "close the door"."""
    recording = resources.speech_samples() / "09.flac"
    return client.audio.transcriptions.create(model=model, file=recording).text


def page_of(served: Served) -> str:
    """What a browser gets at /."""
    answer = httpx2.get(served.url, timeout=_PATIENCE_S)
    assert answer.status_code == 200
    return answer.text


def test_an_emulated_board_serves_text_and_speech_until_the_link_breaks(
    board: Board, compiled: Path, hearing: Path
) -> None:
    models = (f"chat={compiled}", f"speech={hearing}")
    with serving(*models, "--device", "ssh://board") as served:
        assert "serving chat, speech from ssh://board" in served.log[-1]
        with served.openai as client:
            assert [one.id for one in client.models.list()] == ["chat", "speech"]
            assert answered(client, "chat")
            events = client.responses.create(model="chat", input="Hello", stream=True)
            assert list(events)[-1].type == "response.completed"
            assert heard(client, "speech") == "close the door"
        assert servers("/root/.sphere-edge")
        board.link.cut()
        assert served.process.wait(_PATIENCE_S) == 13
        wait_until(lambda: "error: lost the connection to ssh://board" in "".join(served.log))
    wait_until(lambda: not servers("/root/.sphere-edge"))
    # Nothing of the board's system was touched.
    assert {path.name for path in (board.root / "root").iterdir()} <= {".sphere-edge", ".cache"}


def test_what_the_unit_of_a_service_starts_serves_on_an_emulated_board(
    board: Board, hearing: Path
) -> None:
    with closing(open_device("ssh://board")) as device:
        store, bundle = Store(device), Bundle.open(hearing)
        server_deployment.deploy_bundles(store, [bundle])
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        # All of it is put there; then there is no systemd to start it.
        with pytest.raises(errors.LoadFailedError, match=r"`sphere-edge-tiny-whisper\.service` on"):
            installing.install(store, bundle.manifest, Address(port=port))
        own = f"{store.root}/services/tiny-whisper"
        process = device.start(["sh", "-c", 'sh "$0" serve 2>&1 & cat; kill $!', f"{own}/start"])
        while not (line := process.read_line(_PATIENCE_S)).startswith(PORT):
            assert not process.has_ended, line
        key = device.run(["cat", f"{own}/key"]).stdout
        assert len(key) == 64
        with OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0) as client:
            assert heard(client, "tiny-whisper") == "close the door"
        assert device.run(["sh", f"{own}/start", "ready"]).stdout == "ready\n"
        process.close()
        wait_until(lambda: not servers("/root/.sphere-edge"))
        assert device.run(["sh", f"{own}/start", "ready"]).exit_code == 12


def test_a_board_without_a_python_of_use_is_refused_before_anything_is_sent(
    tmp_path: Path, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = start(tmp_path, ())
    monkeypatch.setenv("SPHERE_EDGE_SSH_CONFIG", str(bare.config))
    ended = in_process("serve", compiled, "--device", "ssh://board", "--port", "0")
    refused(
        ended, 6, "ssh://board has no Python, which a server there needs", "apt install python3"
    )
    old = bare.root / "usr/bin/python3"
    old.write_text("#!/bin/sh\necho version 3 9 18; echo kind cpython aarch64 64; echo done\n")
    old.chmod(0o755)
    ended = in_process("serve", compiled, "--device", "ssh://board", "--port", "0")
    refused(ended, 6, "Python 3.9.18 (`/usr/bin/python3`)", "it needs 3.10 or newer")
    assert not (bare.root / "root/.sphere-edge").exists()
    bare.link.take_down()
    bare.server.stop()


def test_this_machine_serves_two_kinds_of_models_and_the_page_as_a_device(
    here: Path, own_data: dict[str, str]
) -> None:
    speech = made_bundles.made("tiny-whisper").folder
    words = (f"text={here}", f"speech={speech}", "--device", "local", "--store-days", "1")
    with serving(*words, **own_data) as served:
        assert page_of(served).startswith("<!doctype html>")
        with served.openai as client:
            first = client.responses.create(model="text", input="Hello")
            assert heard(client, "speech") == "close the door"
        assert served.end(signal.SIGINT) == 0
    assert not servers(own_data["XDG_DATA_HOME"])
    # Another session goes on with what the device has stored.
    with serving(*words, **own_data) as served, served.openai as client:
        assert client.responses.retrieve(first.id).output_text == first.output_text
        after = client.responses.create(model="text", input="Why?", previous_response_id=first.id)
        assert after.usage is not None
        assert first.usage is not None
        assert after.usage.input_tokens > first.usage.total_tokens


def test_the_server_ends_with_whoever_started_it(here: Path, own_data: dict[str, str]) -> None:
    with serving(here, "--device", "local", **own_data) as served:
        assert servers(own_data["XDG_DATA_HOME"])
        served.process.kill()
    wait_until(lambda: not servers(own_data["XDG_DATA_HOME"]))


def test_another_user_of_the_board_is_not_answered(here: Path, own_data: dict[str, str]) -> None:
    with serving(here, "--device", "local", **own_data) as served:
        (server,) = servers(own_data["XDG_DATA_HOME"])
        (port,) = {one.laddr.port for one in server.net_connections() if one.status == "LISTEN"}
        for said in (b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3, b"0" * 64 + b"\nGET"):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as stranger:
                stranger.sendall(said)
                assert stranger.recv(100) == b""
        with served.openai as client:
            assert answered(client, "tiny")


def test_phones_and_what_is_no_bundle_are_refused_by_name(here: Path) -> None:
    ended = in_process("serve", here, "--device", "adb:0123456789")
    refused(ended, 6, "no server runs on adb:0123456789: phones have no Python")
    ended = in_process("serve", "tiny", "--device", "local")
    refused(ended, 10, "`tiny` is not a bundle", "sphere-edge package tiny --profile")
    ended = in_process("serve", here, here, "--device", "local")
    refused(ended, 10, "two models are named `tiny`")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's file as it lies in a store."""
    folder = tmp_path_factory.mktemp("store") / "bundles" / "x"
    (folder / "server").mkdir(parents=True)
    build = native.build_with(("tvm", "llama"), targets.host())
    (folder / "runtime").symlink_to(build.folder)
    made = server_file.make(python_there.find(LocalDevice()))
    copied = folder / "server" / made.name
    copied.write_bytes(made.read_bytes())
    return copied


@pytest.fixture
def started(file: Path, here: Path) -> Iterator[subprocess.Popen[str]]:
    """The server as a board starts it, without any package of this machine."""
    python = python_there.find(LocalDevice()).path
    process = subprocess.Popen(
        [python, "-IS", file, "serve", "-", f"tiny={here}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield process
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        # What was not written goes nowhere.
        with suppress(BrokenPipeError):
            stream.close()


def test_the_file_holds_all_that_a_server_needs_and_ends_with_its_stdin(
    started: subprocess.Popen[str],
) -> None:
    assert started.stdin is not None
    assert started.stdout is not None
    started.stdin.write(json.dumps({"settings": {"port": 0}}) + "\n")
    started.stdin.flush()
    line = started.stdout.readline()
    assert line.startswith(PORT), line + started.stdout.read()
    base = f"http://127.0.0.1:{int(line.removeprefix(PORT))}/v1"
    with OpenAI(base_url=base, api_key="none", max_retries=0) as client:
        assert answered(client, "tiny")
        assert client.embeddings.create(model="tiny", input="Hello").data[0].embedding
    maps = Path(f"/proc/{started.pid}/maps").read_text()
    assert "site-packages" not in maps
    started.stdin.close()
    assert started.wait(_PATIENCE_S) == 0
    assert "Traceback" not in started.stdout.read()


@pytest.mark.parametrize(
    "line",
    ["", "{}", "not json", '{"settings": {"ports": 1}}', '{"settings": {}, "secret": "short"}']
    + ["[" * 100_000],
)
def test_settings_that_make_no_sense_are_refused(started: subprocess.Popen[str], line: str) -> None:
    out, _ = started.communicate(line + "\n")
    assert started.returncode == 10, out
    assert '"status": "INVALID_ARGUMENT"' in out
    assert "Traceback" not in out


def test_servers_that_start_at_the_same_moment_unpack_the_file_once(
    file: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "bundles/x/server" / file.name
    copied.parent.mkdir(parents=True)
    copied.write_bytes(file.read_bytes())
    words = [sys.executable, "-IS", copied, "ready", os.devnull]
    started = [subprocess.Popen(words, stdout=subprocess.PIPE) for _ in range(3)]
    for process in started:
        process.communicate()
        assert process.returncode == 10
    left = sorted(path.name[:9] for path in copied.parent.iterdir())
    assert left == ["sphere-ed", "unpacked-"]
