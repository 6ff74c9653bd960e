"""From a model to an answer on an emulated ARM board, over adb and SSH, and back again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbutils
import pytest
import soundfile

from sphere_edge import __main__, console, errors, packaging, profiles, resources
from sphere_edge.bench.plan import Plan
from sphere_edge.bench.target import ModelOnDevice
from sphere_edge.bench.text import measure
from sphere_edge.devices.open import open_device
from sphere_edge.devices.probe import probe
from sphere_edge.engines.options import PackageOptions
from sphere_edge.simulate import environment
from sphere_edge.simulate.adb_daemon import AdbDaemon
from sphere_edge.simulate.sshd import Sshd
from tests import made_bundles, random_diffusion, random_gguf, runtimes

# What a Raspberry Pi 5 has; qemu's own choice has everything.
CPU = "cortex-a76"


@pytest.fixture(scope="module")
def board(arm_root: Path, tmp_path_factory: pytest.TempPathFactory) -> environment.RootEnvironment:
    """A board's root of its own, which both transports reach; its runtime is compiled already."""
    try:
        folder = tmp_path_factory.mktemp("board") / "root"
        made = environment.arm(folder, CPU, console.SILENT)
    except errors.SphereEdgeError as error:
        pytest.skip(error.message)
    runtimes.on_boards()
    return made


@pytest.fixture
def adb_uri(board: environment.RootEnvironment, adb_server: int) -> Iterator[str]:
    daemon = AdbDaemon(board)
    daemon.start()
    yield f"adb:127.0.0.1:{daemon.port}"
    adbutils.AdbClient(port=adb_server).disconnect(f"127.0.0.1:{daemon.port}")
    daemon.stop()


@pytest.fixture
def ssh_uri(
    board: environment.RootEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    options = PackageOptions(quantization="q4" if source == packaging.TINY else None)
    model = dataclasses.replace(packaging.find(str(source)), name=name)
    packaging.package(model, profiles.load("raspberry-pi-5"), options, into)
    return into


def said(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    capsys.readouterr()
    code = __main__.main([*map(str, words), "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err + captured.out
    document: dict[str, Any] = json.loads(captured.out)
    return document


@pytest.fixture(scope="module")
def compiled() -> Path:
    options = PackageOptions(quantization="q4")
    return made_bundles.made(packaging.TINY, profiles.load("raspberry-pi-5"), options).folder


SHORT = ("--prompt-tokens", "8", "--new-tokens", "4", "--repeat", "1")


def test_a_compiled_model_is_deployed_over_adb_once(
    adb_uri: str, compiled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The deploy itself lets the runner on the device answer and compares that with the reference.
    first = said(capsys, "deploy", compiled, "--device", adb_uri)
    assert first["sent_bytes"] == first["total_bytes"]
    assert said(capsys, "device", "list", "--device", adb_uri)["bundles"][0]["name"] == "tiny"
    planned = said(capsys, "deploy", compiled, "--device", adb_uri, "--dry-run")
    assert (planned["send_bytes"], planned["files"]) == (0, [])


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


def test_two_emulated_devices_measure_two_engines_at_the_same_time(
    adb_uri: str, ssh_uri: str, compiled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model").mkdir()
    model = random_gguf.write(tmp_path / "model" / "random.gguf", seed=1)
    bundles = [compiled, packaged(model, tmp_path / "random.pi", "random")]
    devices = ["--device", adb_uri, "--device", ssh_uri]
    told = said(capsys, "bench", "matrix", *bundles, *devices, *SHORT, "--reports", tmp_path / "r")
    cells = told["cells"]
    assert [(Path(one["bundle"]), one["device"]) for one in cells] == [
        (bundle, uri) for bundle in bundles for uri in (adb_uri, ssh_uri)
    ]
    for one in cells:
        found = one["measurement"]
        assert found is not None, one["failure"]
        assert found["device"]["architecture"] == "aarch64"
        names = {series["name"]: len(series["samples"]) for series in found["series"]}
        assert names == {"load": 3, "prefill": 1, "first_token": 1, "decode": 1}
        assert found["memory"]["peak_rss_bytes"] > 2**20
        assert found["sensors"]["resident_bytes"]
    assert [one["measurement"]["engine"] for one in cells] == ["tvm", "tvm", "llama", "llama"]
    reports = sorted(path.name for path in (tmp_path / "r").iterdir())
    assert len(reports) == 8


# Every 100 ms a line as a Jetson Orin Nano prints it, whatever interval is asked for.
_TEGRASTATS = """#!/bin/sh
[ "$1" = --interval ] || exit 2
while :; do
  echo "11-21-2026 12:00:01 RAM 2448/7620MB (lfb 4x4MB) CPU [5%@729] GR3D_FREQ 37%@[611] \
cpu@45.5C tj@46.75C VDD_IN 4584mW/4500mW VDD_CPU_GPU_CV 534mW/530mW"
  sleep 0.1 || exit
done
"""
_INA3221 = {
    "name": "ina3221",
    "in1_label": "VDD_IN",
    "in1_input": "5000",
    "curr1_input": "1200",
    "in2_label": "VDD_CPU_GPU_CV",
    "in2_input": "5000",
    "curr2_input": "300",
}


@pytest.mark.parametrize("rails", ["tegrastats", "INA3221"])
def test_an_emulated_jetson_tells_its_power_by_files_or_by_tegrastats(
    board: environment.RootEnvironment, ssh_uri: str, compiled: Path, rails: str
) -> None:
    program, sysfs = board.folder / "usr/bin/tegrastats", board.folder / f"sys-{rails}"
    program.write_text(_TEGRASTATS)
    program.chmod(0o755)
    (board.folder / "etc/nv_tegra_release").write_text("# R36 (release), REVISION: 4.3\n")
    gpu = sysfs / "class/devfreq/17000000.gpu"
    for folder, files in {
        sysfs / "class/hwmon/hwmon1": _INA3221 if rails == "INA3221" else {},
        gpu: {"cur_freq": "611000000", "max_freq": "624750000", "governor": "nvhost_podgov"},
    }.items():
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / name).write_text(f"{content}\n")
    device = open_device(ssh_uri)
    try:
        there = probe(device, sysfs=f"/sys-{rails}")
        assert (there.gpu, there.gpu_driver) == ("NVIDIA Tegra", "L4T R36 (release), REVISION: 4.3")
        plan = Plan((8,), 4, repeat=1, threads=1, loads=1, sustain_s=5)
        found = measure(ModelOnDevice(device, compiled), plan, sysfs=f"/sys-{rails}").conditions
    finally:
        device.close()
        program.unlink()
        (board.folder / "etc/nv_tegra_release").unlink()
    assert found.power is not None, found.power_note
    assert found.power.source == "VDD_IN, the whole board"
    assert found.power.mean_w == pytest.approx(6.0 if rails == "INA3221" else 4.584)
    assert found.power.joules_per_token is not None
    clock = next(one for one in found.clocks if one.name == "GPU 17000000.gpu")
    assert (clock.median, clock.limit, clock.governor) == (611, 624.75, "nvhost_podgov")
    assert found.processor is not None
    assert (found.processor.name, found.processor.most) == ("tj", 46.75)


def heard_and_measured(
    uri: str, bundle: Path, store: list[str], capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """Verifies, deploys and measures a speech bundle by the command line."""
    words = ["--device", uri, *store]
    verified = said(capsys, "verify", bundle)
    assert verified["files"] == 2
    # The deploy itself lets the runner on the device hear a second of silence.
    deployed = said(capsys, "deploy", bundle, *words)
    assert deployed["sent_bytes"] > 7_000_000
    recording = resources.speech_samples() / "09.flac"
    measured = said(capsys, "bench", bundle, *words, "--audio", recording, "--repeat", "1")
    assert measured["bundle_id"] == verified["id"]
    assert measured["first_segment_seconds"] > 0
    assert measured["audio_seconds"] == pytest.approx(soundfile.info(recording).duration, abs=0.01)
    assert measured["real_time_factor"] > 0
    assert measured["peak_rss_bytes"] > 7_000_000
    return measured


def test_a_speech_model_is_packaged_verified_deployed_and_measured_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "tiny-whisper.host"
    source = packaging.find(packaging.TINY_WHISPER)
    packaging.package(source, profiles.host(), PackageOptions(), bundle)
    measured = heard_and_measured("local", bundle, ["--store", str(tmp_path / "store")], capsys)
    assert measured["peak_rss_bytes"] < measured["predicted_peak_bytes"]


def test_a_speech_model_is_packaged_verified_deployed_and_measured_over_ssh(
    ssh_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "tiny-whisper.pi"
    source = packaging.find(packaging.TINY_WHISPER)
    packaging.package(source, profiles.load("raspberry-pi-5"), PackageOptions(), bundle)
    heard_and_measured(ssh_uri, bundle, [], capsys)


@pytest.mark.group("arm-image")
def test_an_image_model_is_deployed_over_ssh_and_measured_there(
    ssh_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = random_diffusion.write(tmp_path / "random.safetensors")
    bundle = packaged(model, tmp_path / "painter.pi", "painter")
    # The deploy itself lets the runner on the device paint a picture.
    assert said(capsys, "deploy", bundle, "--device", ssh_uri)["sent_bytes"] > 0
    size = ("--image-size", "64x64", "--steps", "1", "--repeat", "1")
    told = said(capsys, "bench", bundle, "--device", ssh_uri, *size)
    assert (told["task"], told["family"], told["width"]) == ("image", "ernie-image", 64)
    assert told["seconds_per_step"] > 0
    assert told["peak_rss_bytes"] > told["predicted"]["weights_bytes"]
