"""The examples of docs/server.md, run as they are written there."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from sphere_edge import resources
from tests.server_process import Served, serving

PAGE = Path(__file__).parents[3] / "docs" / "server.md"
WRITTEN = "http://127.0.0.1:8080"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ (curl .*?[^\\])$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The fenced blocks that ask a server."""
    found = _BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    return [text for name, text in found if name == language and WRITTEN in text]


def commands() -> list[str]:
    """Every curl, with the lines that it goes on in."""
    return [one for block in blocks("console") for one in _COMMAND.findall(block)]


def first_words(example: str) -> str:
    return "-".join(re.findall(r"\w+", example)[-4:])


@pytest.fixture(scope="module")
def server(bundles: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    store = tmp_path_factory.mktemp("store") / "responses.sqlite"
    with serving(*bundles, "--store", str(store)) as served:
        yield served


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the examples find the recording that they name."""
    sound = next(resources.speech_samples().glob("*.flac"))
    samples, rate = soundfile.read(sound)
    soundfile.write(tmp_path / "meeting.mp3", samples, rate)
    return tmp_path


def run(command: list[str], folder: Path, given: str | None = None) -> str:
    ended = subprocess.run(
        command, cwd=folder, input=given, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def playwrights_node() -> str | None:
    """The one that playwright brings."""
    found = importlib.util.find_spec("playwright")
    if found is None or found.origin is None:
        return None
    return str(Path(found.origin).parent / "driver" / "node")


def test_every_kind_of_example_is_there() -> None:
    assert len(commands()) >= 3
    assert blocks("python")
    assert blocks("javascript")


@pytest.mark.parametrize("command", commands(), ids=first_words)
def test_curl(server: Served, folder: Path, command: str) -> None:
    failing = command.replace("curl ", "curl --fail-with-body --silent --show-error ", 1)
    assert run(["sh", "-c", failing.replace(WRITTEN, server.url)], folder).strip()


@pytest.mark.parametrize("program", blocks("python"), ids=first_words)
def test_python(server: Served, folder: Path, program: str) -> None:
    assert run([sys.executable, "-"], folder, program.replace(WRITTEN, server.url)).strip()


@pytest.mark.parametrize("program", blocks("javascript"), ids=first_words)
def test_javascript(server: Served, folder: Path, program: str) -> None:
    node = shutil.which("node") or playwrights_node()
    if node is None:
        pytest.skip("neither node nor playwright is installed")
    program = program.replace(WRITTEN, server.url)
    assert run([node, "--input-type=module", "-"], folder, program).strip()
