"""Out of the wheel for devices every kind of device gets its runtime, where no compiler is."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sphere_edge import console, errors
from sphere_edge.run import run
from sphere_edge.simulate import android, environment
from sphere_edge.simulate.adb_daemon import AdbDaemon
from sphere_edge.simulate.environment import RootEnvironment
from sphere_edge.simulate.sshd import Sshd
from sphere_edge.toolchain import compilers, targets
from tests import installed_wheel
from tests.installed_wheel import COMPILERS, command

pytestmark = pytest.mark.group("device-wheels")


@dataclass(frozen=True)
class Simulated:
    """A device in the folder `root`: its URI, and variables of who reaches it."""

    root: Path
    uri: str
    variables: dict[str, str]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with the wheel for this machine."""
    level = installed_wheel.level()
    name = str(level.triple).split("-")[0]
    wheel = installed_wheel.built(name, level, tmp_path_factory.mktemp("wheels"))
    return installed_wheel.installed(wheel, tmp_path_factory.mktemp("environment"))


@contextmanager
def board(folder: Path, root: RootEnvironment) -> Iterator[Simulated]:
    """With an SSH server."""
    server = Sshd(folder / "sshd", root)
    server.start()
    try:
        config = str(server.config(server.port))
        yield Simulated(root.folder, "ssh://board", {"SPHERE_EDGE_SSH_CONFIG": config})
    finally:
        server.stop()


@contextmanager
def phone(root: RootEnvironment, adb_server: int) -> Iterator[Simulated]:
    """With adb."""
    android.furnish(root.folder)
    daemon = AdbDaemon(root)
    daemon.start()
    try:
        variables = {"ANDROID_ADB_SERVER_PORT": str(adb_server), compilers.NDK_VARIABLE: ""}
        yield Simulated(root.folder, f"adb:127.0.0.1:{daemon.port}", variables)
    finally:
        daemon.stop()


def older_pc(folder: Path) -> RootEnvironment:
    """This machine as if its CPU had nothing newer than AVX2."""
    here = environment.this_machine(folder)
    flags = re.sub(r"\b(avx512|avx_vnni)\w*", "", Path("/proc/cpuinfo").read_text())
    (folder / "cpuinfo").write_text(flags)
    hidden = 'mount --bind /cpuinfo /proc/cpuinfo && exec "$@"'
    return replace(here, entering=(*here.entering, "/bin/sh", "-c", hidden, "sh"))


@contextmanager
def simulated(kind: str, folder: Path, adb_server: int) -> Iterator[Simulated]:
    try:
        if kind == "PC":
            if not any(one.name == "linux-x86-64-v3" for one in targets.host_levels()):
                pytest.skip("the CPU of this machine has no AVX2")
            root = older_pc(folder / "root")
        else:
            # qemu's own choice has everything.
            cpu = {"board": "max", "phone": "cortex-a76"}[kind]
            root = environment.arm(folder / "root", cpu, console.SILENT)
        opened = phone(root, adb_server) if kind == "phone" else board(folder, root)
        with opened as device:
            yield device
    except errors.NotFoundError as error:
        pytest.skip(error.message)


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("board", "linux-arm64-i8mm"),
        ("phone", "musl-arm64-dotprod"),
        ("PC", "linux-x86-64-v3"),
    ],
)
def test_a_device_gets_its_runtime_from_the_wheel(
    python: Path, adb_server: int, tmp_path: Path, kind: str, target: str
) -> None:
    only = ("--engines", "tvm")
    wheel = installed_wheel.built("runtimes", targets.NAMED[target], tmp_path / "wheels", *only)
    pip = [python, "-m", "pip", "--quiet"]
    run([*pip, "install", "--no-deps", "--force-reinstall", wheel], timeout_s=600)
    names = {
        one["name"]
        for one in json.loads(run([*pip, "list", "--format", "json"], timeout_s=60).stdout)
    }
    assert not names & set(COMPILERS)
    cache, bundle = tmp_path / "cache", str(tmp_path / "tiny")
    with simulated(kind, tmp_path, adb_server) as device:
        there = ("--device", device.uri)
        words = ("package", "tiny", "--profile", "auto", *there, "--output", bundle)
        command(python, cache, *words, **device.variables)
        # The runner on the device answers, and its logits are compared with the reference.
        words = ("deploy", bundle, *there, "--json")
        deployed = json.loads(command(python, cache, *words, **device.variables).stdout)
        sent = device.root / deployed["folder"].lstrip("/") / "runtime/bin/sphere-edge-run"
        with zipfile.ZipFile(wheel) as opened:
            (name,) = (one for one in opened.namelist() if one.endswith("/bin/sphere-edge-run"))
            assert f"/{target}-" in name
            assert sent.read_bytes() == opened.read(name)
    assert not (cache / "zig").exists()
