"""A phone without an NDK here: the static runner serves it over adb, with both kinds of models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbutils
import pytest

from sphere_edge import __main__, console, errors
from sphere_edge.simulate import android, environment
from sphere_edge.simulate.adb_daemon import AdbDaemon
from sphere_edge.toolchain import compilers, native, targets
from tests import random_gguf

pytestmark = pytest.mark.group("musl")
# Dot products, as phones since 2019 have them.
CPU = "cortex-a76"
SHORT = ("--prompt-tokens", "8", "--new-tokens", "4", "--repeat", "1")


@pytest.fixture
def phone(
    arm_root: Path, adb_server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Its URI."""
    monkeypatch.delenv(compilers.NDK_VARIABLE, raising=False)
    try:
        root = environment.arm(tmp_path / "root", CPU, console.SILENT)
    except errors.SphereEdgeError as error:
        pytest.skip(error.message)
    android.furnish(root.folder)
    daemon = AdbDaemon(root)
    daemon.start()
    yield f"adb:127.0.0.1:{daemon.port}"
    adbutils.AdbClient(port=adb_server).disconnect(f"127.0.0.1:{daemon.port}")
    daemon.stop()


def said(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    capsys.readouterr()
    code = __main__.main([*map(str, words), "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err + captured.out
    document: dict[str, Any] = json.loads(captured.out)
    return document


def test_a_phone_gets_the_static_runner_and_runs_a_compiled_model_and_a_gguf(
    phone: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Deploying takes the fullest runner that is built, so it must not become fuller in between.
    native.build(targets.NAMED["musl-arm64-dotprod"])
    there = said(capsys, "devices", phone)["devices"][0]
    assert (there["os"], there["os_release"], there["libc"]) == ("android", "Android 14", "bionic")
    refusals = said(capsys, "devices", phone, "--gpu")["devices"][0]["drivers"]["refusals"]
    assert "statically linked program cannot load drivers" in refusals[0]["reason"]
    assert __main__.main(
        ["package", "tiny", "--profile", "auto", "--device", phone, "-o", str(tmp_path / "tiny")]
    ) == 0  # fmt: skip
    manifest = json.loads((tmp_path / "tiny" / "bundle.json").read_text())
    assert "android" in manifest["target"]["triple"]
    deployed = said(capsys, "deploy", tmp_path / "tiny", "--device", phone)
    files = said(capsys, "deploy", tmp_path / "tiny", "--device", phone, "--dry-run")
    assert (files["send_bytes"], files["total_bytes"]) == (0, deployed["total_bytes"])
    runtime = tmp_path / "root" / deployed["folder"].lstrip("/") / "runtime"
    assert [path.name for path in runtime.rglob("*") if path.is_file()] == ["sphere-edge-run"]
    found = said(capsys, "bench", tmp_path / "tiny", "--device", phone, *SHORT)
    assert (found["engine"], found["device"]["os"]) == ("tvm", "Android 14")
    model = random_gguf.write(tmp_path / "tiny.gguf")
    made = ["package", str(model), "--profile", "auto", "--device", phone]
    assert __main__.main([*made, "-o", str(tmp_path / "gguf")]) == 0
    second = said(capsys, "deploy", tmp_path / "gguf", "--device", phone)
    # The runner is there already.
    assert second["sent_bytes"] < deployed["sent_bytes"]
    back = said(capsys, "rollback", "tiny", "--device", phone)
    assert (back["bundle"], back["previous"]) == (deployed["bundle"], second["bundle"])
