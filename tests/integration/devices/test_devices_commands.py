"""`devices`, `deploy`, `rollback` and `device …` as a user types them, with the built-in model."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from sphere_edge import __main__, errors, packaging, resources
from sphere_edge.devices.open import open_device
from sphere_edge.devices.store import Store
from sphere_edge.engines.options import PackageOptions
from sphere_edge.simulate.sshd import Sshd
from tests import made_bundles


@pytest.fixture(scope="module")
def bundles() -> list[Path]:
    """The built-in model in two weight formats, under one name."""
    formats = (PackageOptions(quantization=name) for name in ("q4", "q8"))
    return [made_bundles.made(packaging.TINY, options=options).folder for options in formats]


@pytest.fixture(params=["local", pytest.param("ssh", marks=pytest.mark.group("pc"))])
def uri(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "local":
        return "local"
    server: Sshd = request.getfixturevalue("sshd")
    monkeypatch.setenv("SPHERE_EDGE_SSH_CONFIG", str(server.config(server.port)))
    return "ssh://board"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    """What the command prints with --json, when it succeeds."""
    capsys.readouterr()
    code = __main__.main([*words, "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err + captured.out
    document: dict[str, object] = json.loads(captured.out)
    return document


def test_a_model_is_deployed_replaced_and_brought_back(
    uri: str, bundles: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--device", uri, "--store", str(tmp_path / "store")]
    plan = said(capsys, "deploy", str(bundles[0]), *place, "--dry-run")
    assert plan["send_bytes"] == plan["total_bytes"]
    assert not (tmp_path / "store").exists()

    first = said(capsys, "deploy", str(bundles[0]), *place)
    assert first["sent_bytes"] == plan["send_bytes"]
    again = said(capsys, "deploy", str(bundles[0]), *place)
    assert again["sent_bytes"] == 0
    second = said(capsys, "deploy", str(bundles[1]), *place)
    # The runtime and the tokenizer are there already.
    assert 0 < int(str(second["sent_bytes"])) < int(str(first["sent_bytes"]))
    name = str(second["name"])

    listed = said(capsys, "device", "list", *place)
    assert [one["previous"] for one in listed["bundles"]] == [first["bundle"]]  # type: ignore[attr-defined]
    assert said(capsys, "rollback", name, *place)["bundle"] == first["bundle"]

    # What is current answers, without any of our Python.
    folder = Path(str(first["folder"]))
    runner = folder / "runtime" / "bin" / "sphere-edge-run"
    words = [runner, "generate", folder / "bundle", "Hello", "--max-tokens", "4", "--json"]
    answer = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["completion_tokens"] > 0

    assert __main__.main(["device", "remove", name, *place]) == 0
    assert not list((tmp_path / "store" / "blobs").iterdir())


def test_a_bundle_whose_model_does_not_load_is_never_used(
    bundles: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sphere_edge.bundle.read import Bundle
    from sphere_edge.devices import payload
    from sphere_edge.devices.items import Item
    from sphere_edge.devices.probe import probe
    from sphere_edge.engines import smoke

    device = open_device("local")
    store = Store(device, str(tmp_path / "store"))
    runtime = payload.runtime_items(probe(device), device.uri)
    good = [*payload.bundle_items(Bundle.open(bundles[0])), *runtime]
    store.deploy("tiny", good, smoke=lambda folder: smoke.TEXT.run_on(device, folder))
    # Without its weights.
    broken: list[Item] = [item for item in good if "weights" not in item.path]
    with pytest.raises(errors.SphereEdgeError) as caught:
        store.deploy("tiny", broken, smoke=lambda folder: smoke.TEXT.run_on(device, folder))
    assert "on local" in caught.value.message
    assert store.installed()[0].previous is None
    assert (Path(store.folder("tiny")) / "bundle" / "weights").is_dir()


def test_a_device_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "devices", "local")["devices"]
    assert found[0]["uri"] == "local"  # type: ignore[index]
    assert found[0]["cores"] > 0  # type: ignore[index]


def test_the_drivers_of_gpus_are_asked_by_our_runner(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The device's store is to be empty, not the cache of what was built.
    monkeypatch.setenv(resources.CACHE_VARIABLE, str(resources.cache_folder()))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = said(capsys, "devices", uri, "--gpu")["devices"][0]  # type: ignore[index]
    drivers = found["drivers"]
    # PoCL where it is installed; elsewhere the reason why there is none.
    for one in drivers["gpus"]:
        assert (one["api"], one["memory_bytes"] > 0) == ("opencl", True)
        assert all((one["name"], one["driver"], one["platform"]))
    assert len(drivers["gpus"]) + len(drivers["refusals"]) == 1
    assert all("OpenCL" in one["reason"] for one in drivers["refusals"])
    assert __main__.main(["devices", uri, "--gpu"]) == 0
    assert "opencl driver" in capsys.readouterr().out
    assert __main__.main(["devices", "--gpu"]) == errors.Status.INVALID_ARGUMENT


def test_devices_are_listed_with_what_to_do(
    adb_server: int, sshd: Sshd, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sphere_edge.devices import adb_host
    from sphere_edge.simulate.adb_daemon import AdbDaemon

    monkeypatch.setenv("SPHERE_EDGE_SSH_CONFIG", str(sshd.config(sshd.port)))
    daemon = AdbDaemon(owner="unwilling")
    daemon.start()
    with pytest.raises(errors.UnavailableError):
        adb_host.connect_network(f"127.0.0.1:{daemon.port}")
    found = {one["uri"]: one for one in said(capsys, "devices")["devices"]}  # type: ignore[attr-defined]
    adb_host.server().disconnect(f"127.0.0.1:{daemon.port}")
    daemon.stop()
    assert found["local"]["state"] == "ready"
    assert found["ssh://board"]["state"] == "in ssh config"
    phone = found[f"adb:127.0.0.1:{daemon.port}"]
    assert phone["state"] in ("unauthorized", "authorizing")
    assert "Allow USB debugging" in phone["advice"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["devices", "usb:1"], errors.Status.INVALID_ARGUMENT),
        (["rollback", "tiny", "-d", "local"], errors.Status.NOT_FOUND),
        (["device", "remove", "tiny", "-d", "local"], errors.Status.NOT_FOUND),
        (["device", "list", "-d", "ssh://no-such-host.invalid"], errors.Status.UNAVAILABLE),
        (["deploy", "no-such-bundle", "-d", "local"], errors.Status.NOT_FOUND),
    ],
)
def test_what_cannot_be_done_has_its_code(
    words: list[str], code: errors.Status, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ["--store", str(tmp_path / "store")] if words[0] not in ("devices",) else []
    assert __main__.main([*words, *store]) == code
    assert "error: " in capsys.readouterr().err


def test_a_built_in_model_is_packaged_before_it_is_deployed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert __main__.main(["deploy", "tiny", "-d", "local"]) == errors.Status.NOT_FOUND
    assert "`sphere-edge package tiny --profile PROFILE`" in capsys.readouterr().err
