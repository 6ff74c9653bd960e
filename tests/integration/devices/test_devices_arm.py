"""From a model to an answer on an emulated ARM board, over adb and SSH, and back again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbutils
import pytest

from sphere_edge import __main__, console, errors, packaging, profiles
from sphere_edge.engines.options import PackageOptions
from sphere_edge.simulate import place
from sphere_edge.simulate.adb_daemon import AdbDaemon
from sphere_edge.simulate.sshd import Sshd
from tests import random_gguf

# What a Raspberry Pi 5 has; qemu's own choice has everything.
CPU = "cortex-a76"


@pytest.fixture(scope="module")
def board(arm_root: Path, tmp_path_factory: pytest.TempPathFactory) -> place.RootPlace:
    """A board's root of its own, which both roads reach."""
    try:
        folder = tmp_path_factory.mktemp("board") / "root"
        return place.arm(folder, CPU, console.SILENT)
    except errors.SphereEdgeError as error:
        pytest.skip(error.message)


@pytest.fixture
def adb_uri(board: place.RootPlace, adb_server: int) -> Iterator[str]:
    daemon = AdbDaemon(board)
    daemon.start()
    yield f"adb:127.0.0.1:{daemon.port}"
    adbutils.AdbClient(port=adb_server).disconnect(f"127.0.0.1:{daemon.port}")
    daemon.stop()


@pytest.fixture
def ssh_uri(
    board: place.RootPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    server = Sshd(tmp_path / "sshd", board)
    try:
        server.start()
    except errors.NotFoundError as error:
        pytest.skip(error.message)
    monkeypatch.setenv("SPHERE_EDGE_SSH_CONFIG", str(server.config(server.port)))
    yield "ssh://board"
    server.stop()


def packaged(source: str | Path, into: Path, name: str) -> Path:
    options = PackageOptions(quantization="q4" if source == packaging.TINY else None, name=name)
    packaging.package(packaging.find(str(source)), profiles.load("raspberry-pi-5"), options, into)
    return into


def said(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    capsys.readouterr()
    code = __main__.main([*map(str, words), "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err + captured.out
    document: dict[str, Any] = json.loads(captured.out)
    return document


def test_a_compiled_model_is_deployed_over_adb(
    adb_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = packaged(packaging.TINY, tmp_path / "tiny.pi", "tiny")
    # The deploy itself lets the runner on the device answer and compares that with the reference.
    first = said(capsys, "deploy", bundle, "--device", adb_uri)
    assert first["sent_bytes"] > 0
    assert said(capsys, "device", "list", "--device", adb_uri)["bundles"][0]["name"] == "tiny"


def test_a_gguf_is_deployed_over_ssh_replaced_and_brought_back(
    ssh_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        model = random_gguf.write(tmp_path / str(seed) / "random.gguf", seed=seed)
        bundle = packaged(model, tmp_path / f"random-{seed}.pi", "random")
        found.append(said(capsys, "deploy", bundle, "--device", ssh_uri))
    # The runtime went there with the first one.
    assert found[1]["sent_bytes"] < 2 * model.stat().st_size
    back = said(capsys, "rollback", "random", "--device", ssh_uri)
    assert (back["bundle"], back["previous"]) == (found[0]["bundle"], found[1]["bundle"])
