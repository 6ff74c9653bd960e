"""`bench` on each transport: the runner really runs there, with a sampler that reads real files."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from transports import Sshd, Transport, open_transport

from sphere_edge import __main__, errors, packaging
from sphere_edge.bench import cooling, recording
from sphere_edge.bench.cooling import Cooling
from sphere_edge.bench.plan import Plan
from sphere_edge.bench.recording import Sampling
from sphere_edge.bench.target import ModelOnDevice
from sphere_edge.bench.text import measure
from sphere_edge.console import SILENT
from sphere_edge.devices.local import LocalDevice
from sphere_edge.devices.open import open_device
from sphere_edge.devices.probe import probe
from sphere_edge.devices.store import Store
from tests import made_bundles
from tests.waiting import wait_until

SHORT = Plan(prompt_tokens=(16,), new_tokens=8, repeat=2, threads=1, loads=2)


@pytest.fixture(scope="module")
def bundle() -> Path:
    return made_bundles.made(packaging.TINY).folder


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """Real files where a board with every kind of sensor has them."""
    root = tmp_path / "sys"
    for path, content in {
        "class/thermal/thermal_zone0/type": "cpu-thermal",
        "class/thermal/thermal_zone0/temp": "41000",
        "class/thermal/thermal_zone1/type": "gpu-thermal",
        "class/thermal/thermal_zone1/temp": "-274000",
        "class/thermal/cooling_device0/type": "cpufreq-cpu0",
        "class/thermal/cooling_device0/cur_state": "0",
        "class/hwmon/hwmon0/name": "ina3221",
        "class/hwmon/hwmon0/in1_label": "VDD_IN",
        "class/hwmon/hwmon0/in1_input": "5000",
        "class/hwmon/hwmon0/curr1_input": "1200",
        "devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "1510400",
        "devices/system/cpu/cpufreq/policy0/scaling_max_freq": "1510400",
        "devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq": "1984000",
        "devices/system/cpu/cpufreq/policy0/scaling_governor": "schedutil",
    }.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")
    return root


@pytest.fixture(params=["local-mksh", "local-busybox", "ssh", "adb", "adb-toybox"])
def shell_transport(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Transport]:
    if request.param == "local-mksh":
        # Android's shell, with coreutils beside it.
        yield from mksh_transport(tmp_path)
    else:
        yield from open_transport(request, request.param, tmp_path, monkeypatch)


@pytest.fixture(
    params=[
        "local-busybox",
        pytest.param("ssh", marks=pytest.mark.group("pc")),
        pytest.param("adb", marks=pytest.mark.group("pc")),
    ]
)
def some_transport(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Transport]:
    yield from open_transport(request, request.param, tmp_path, monkeypatch)


def mksh_transport(tmp_path: Path) -> Iterator[Transport]:
    import shutil

    shell = shutil.which("mksh")
    if shell is None:
        pytest.skip("mksh is not installed (apt install mksh)")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sh").symlink_to(shell)
    path = f"{tools}:/usr/bin:/bin"
    yield Transport("local-mksh", lambda: LocalDevice({"PATH": path}), tmp_path / "store")


def lives(words: str) -> bool:
    """Whether a process with `words` in its command line runs on this machine."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if words in line and int(folder.name) != os.getpid():
            return True
    return False


def test_a_program_is_recorded_with_the_sensors_beside_it(
    shell_transport: Transport, sysfs: Path
) -> None:
    device = shell_transport.device()
    sensors = probe(device, sysfs=str(sysfs)).sensors
    kinds = {sensor.kind for sensor in sensors}
    assert {"temperature", "cooling", "current", "voltage", "clock", "governor"} <= kinds
    # The GPU's zone is switched off.
    assert [sensor.name for sensor in sensors if sensor.kind == "temperature"] == ["cpu-thermal"]
    heat = sysfs / "class/thermal/thermal_zone0/temp"
    script = f'sleep 1; echo 52000 >"{heat}"; sleep 1; echo \'{{"ok": "<&>"}}\'; exit 3'
    seen: list[recording.Sample] = []
    found = recording.record(
        device, ["sh", "-c", script], Sampling(sensors, interval_s=0.25), seen.append
    )
    assert (found.exit_code, json.loads(found.stdout)) == (3, {"ok": "<&>"})
    assert list(found.samples) == seen
    times = [sample.at_s for sample in found.samples]
    assert times == sorted(times)
    place = [sensor.kind for sensor in sensors].index("temperature")
    heats = [sample.words[place] for sample in found.samples]
    assert (heats[0], heats[-1]) == ("41000", "52000")
    # Before and after the program there is no process to ask for its memory.
    resident = [sample.resident_pages is not None for sample in found.samples]
    assert resident[0] is False
    assert any(resident)


def test_a_sensor_that_vanishes_and_one_that_talks_nonsense_are_not_zero(
    shell_transport: Transport, sysfs: Path
) -> None:
    device = shell_transport.device()
    sensors = probe(device, sysfs=str(sysfs)).sensors
    (sysfs / "class/thermal/thermal_zone0/temp").unlink()
    (sysfs / "class/hwmon/hwmon0/curr1_input").write_text("\x1b[31m $(reboot) `x`\n")
    found = recording.record(device, ["true"], Sampling(sensors, interval_s=0.1))
    told = {
        sensor.kind: sensor.reading(found.samples[0].words[at]) for at, sensor in enumerate(sensors)
    }
    assert told["temperature"] is None
    assert told["current"] is None
    assert told["voltage"] == 5.0


def test_a_program_that_ends_at_once_ends_the_recording(tmp_path: Path) -> None:
    device = next(mksh_transport(tmp_path)).device()
    # One time in some hundred the sampler was told to end before it could hear it, and never did.
    for _ in range(300):
        seen: list[recording.Sample] = []

        def told(sample: recording.Sample, seen: list[recording.Sample] = seen) -> None:
            seen.append(sample)
            assert len(seen) < 100

        recording.record(device, ["true"], Sampling([], 0.02, before=0, after=0), told)


def test_what_runs_on_the_device_ends_with_us(shell_transport: Transport, tmp_path: Path) -> None:
    device = shell_transport.device()
    mark = f"{tmp_path.name}-{os.getpid()}"
    started = threading.Event()

    class Stop(Exception):
        pass

    def stop(sample: recording.Sample) -> None:
        if sample.resident_pages is not None and lives(f"ends-with-us {mark}"):
            started.set()
            raise Stop

    # It holds on to life for longer than anybody waits.
    script = f": ends-with-us {mark}; trap '' TERM INT; while :; do sleep 1; done"
    with pytest.raises(Stop):
        recording.record(device, ["sh", "-c", script], Sampling(interval_s=0.2), stop)
    assert started.is_set()
    wait_until(lambda: not lives(mark))


def test_a_cut_link_ends_what_runs_there(cuttable_transport: Transport, tmp_path: Path) -> None:
    device = cuttable_transport.device()
    mark = f"{tmp_path.name}-{os.getpid()}"

    def cut(sample: recording.Sample) -> None:
        if sample.resident_pages is not None and cuttable_transport.link is not None:
            cuttable_transport.link.take_down()

    script = f": cut-with-us {mark}; while :; do sleep 1; done"
    with pytest.raises(errors.UnavailableError):
        recording.record(device, ["sh", "-c", script], Sampling(interval_s=0.2), cut)
    wait_until(lambda: not lives(mark))


def test_a_bundle_is_measured_on_each_transport_and_nothing_stays(
    some_transport: Transport, bundle: Path, sysfs: Path
) -> None:
    transport = some_transport
    device = transport.device()
    found = measure(ModelOnDevice(device, bundle, str(transport.root)), SHORT, sysfs=str(sysfs))
    names = [(one.name, len(one.samples)) for one in found.series]
    assert names == [("load", 2), ("prefill", 2), ("first_token", 2), ("decode", 2)]
    assert found.memory.predicted is not None
    assert 2**20 < found.memory.peak_rss_bytes < found.memory.predicted.peak_bytes
    heat = found.conditions.processor
    assert heat is not None
    assert (heat.name, heat.before, heat.after) == ("cpu-thermal", 41.0, 41.0)
    # It may have been over before the first reading: then nothing is known of that time.
    assert (heat.most, found.conditions.throttled) in ((None, None), (41.0, False))
    assert found.sensors is not None
    assert found.sensors.started_s > 0
    left = (
        [path for path in transport.root.rglob("*") if path.is_file()]
        if transport.root.exists()
        else []
    )
    assert [path.name for path in left] in ([], [".writable"])


def test_a_sustained_run_says_how_fast_it_was_over_time(bundle: Path, sysfs: Path) -> None:
    plan = Plan(prompt_tokens=(16,), new_tokens=8, repeat=1, threads=1, loads=1, sustain_s=4)
    found = measure(ModelOnDevice(LocalDevice(), bundle), plan, sysfs=str(sysfs))
    assert len(found.sustained) >= 3
    assert all(one.ended_s - one.started_s >= 1 for one in found.sustained)
    assert found.sensors is not None
    # The board takes 5 V · 1.2 A whatever happens.
    assert found.conditions.throttled is False
    assert found.conditions.power is not None
    assert found.conditions.power.mean_w == pytest.approx(6.0)
    seconds = found.sensors.ended_s - found.sensors.started_s
    assert found.conditions.power.energy_j == pytest.approx(6 * seconds)
    assert found.conditions.power.joules_per_token is not None
    assert any(size for size in found.sensors.resident_bytes)


def test_the_cold_gate_waits_for_the_processor(sysfs: Path) -> None:
    device = LocalDevice()
    sensors = probe(device, sysfs=str(sysfs)).sensors
    heat = sysfs / "class/thermal/thermal_zone0/temp"
    cooled = threading.Timer(1.0, lambda: heat.write_text("38000\n"))
    cooled.start()
    begun = time.monotonic()
    cooling.wait_until_cool(device, sensors, Cooling(40, interval_s=0.2), SILENT)
    assert time.monotonic() - begun > 0.9
    heat.write_text("70000\n")
    with pytest.raises(errors.TimeoutError, match=r"cpu-thermal is at 70\.0"):
        cooling.wait_until_cool(device, sensors, Cooling(40, 0.5, interval_s=0.2), SILENT)
    with pytest.raises(errors.UnsupportedError, match="no temperature sensor"):
        cooling.wait_until_cool(device, [], Cooling(40), SILENT)


@pytest.mark.group("pc")
def test_a_bundle_that_is_deployed_is_measured_where_it_lies(
    sshd: Sshd,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SPHERE_EDGE_SSH_CONFIG", str(sshd.config(sshd.port)))
    place = ["--device", "ssh://board", "--store", str(tmp_path / "store")]
    assert __main__.main(["deploy", str(bundle), *place]) == 0
    store = Store(open_device("ssh://board"), str(tmp_path / "store"))
    deployed = store.installed()
    capsys.readouterr()
    report = tmp_path / "bench.json"
    words = ["--prompt-tokens", "8", "--new-tokens", "4", "--repeat", "1", "--report", str(report)]
    assert __main__.main(["bench", str(bundle), *place, *words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(report.read_text())
    assert printed["device"]["uri"] == "ssh://board"
    # This machine may have no sensor at all; then nothing is made up.
    if not printed["sensors"]["tracks"]:
        assert printed["conditions"]["processor"] is None
        assert printed["conditions"]["power"] is None
    assert store.installed() == deployed
    store.device.close()
