"""`deploy --service` with a real systemd of the user's, which starts, reports and forgets it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from transports import start_sshd, wait_until

from sphere_edge import errors
from sphere_edge.devices import service
from sphere_edge.devices.device import Device
from sphere_edge.devices.items import Item
from sphere_edge.devices.local import LocalDevice
from sphere_edge.devices.open import open_device
from sphere_edge.devices.store import Store

_SYSTEMD = Path("/usr/lib/systemd/systemd")
# A systemd of a user wants a cgroup of its own and a machine that was booted by one.
_START = """
umount -l /sys/fs/cgroup 2>/dev/null
mount -t cgroup2 none /sys/fs/cgroup && mkdir -p "$1/tests" && mkdir -p "$1" || exit 1
echo $$ >"$1/tests/cgroup.procs" || exit 1
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system
exec "$0" --user
"""
_RUNNER = """#!/bin/sh
echo "$1 $2, libraries in $LD_LIBRARY_PATH"
! [ -e "$(dirname "$0")/../../bundle/broken" ]
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a program needs to know to find the systemd that runs here for its user."""
    if os.geteuid() != 0 or not _SYSTEMD.exists():
        pytest.skip("a systemd to try services with needs root and the package systemd")
    home = tmp_path_factory.mktemp("home")
    runtime = home / "run"
    runtime.mkdir(mode=0o700)
    environment = {"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime)}
    group = f"/sys/fs/cgroup/sphere-edge-{os.getpid()}"
    # Not in a process namespace of its own: it wants to see who calls.
    started = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", _START, str(_SYSTEMD), group],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    device = LocalDevice(environment)
    try:
        wait_until(lambda: started.poll() is not None or is_up(device))
        if started.poll() is not None:
            pytest.skip("a systemd for the user cannot be started here")
        yield environment
    finally:
        started.terminate()
        started.wait(20)


@pytest.fixture(params=["local", "ssh"])
def board(
    request: pytest.FixtureRequest,
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Device]:
    """This machine with a systemd for its user, reached on each transport that services are for."""
    if request.param == "local":
        yield LocalDevice(environment)
        return
    login = tmp_path / "login.sh"
    words = " ".join(shlex.quote(f"{name}={value}") for name, value in environment.items())
    login.write_text(f'#!/bin/sh\nexec env {words} sh -c "$SSH_ORIGINAL_COMMAND"\n')
    login.chmod(0o755)
    server = start_sshd(tmp_path / "sshd", f"ForceCommand {login}")
    monkeypatch.setenv("SPHERE_EDGE_SSH_CONFIG", str(server.config(server.port)))
    device = open_device("ssh://board")
    yield device
    device.close()
    server.stop()


def is_up(device: LocalDevice) -> bool:
    try:
        service.require_systemd(device)
    except errors.UnsupportedError:
        return False
    return True


@pytest.fixture
def deployed(board: Device, tmp_path: Path, make_item: Callable[..., Item]) -> Store:
    """A bundle whose runner tells how it was called, in a place with a difficult name."""
    store = Store(board, str(tmp_path / 'a "store" of $HOME, 100%\\'))
    runner = make_item("runtime/bin/sphere-edge-run", _RUNNER.encode(), is_program=True)
    store.deploy("demo", [runner, make_item("bundle/bundle.json", b"{}")])
    return store


def test_a_service_is_installed_enabled_started_shown_and_removed(
    board: Device, deployed: Store
) -> None:
    found = service.install(board, deployed.root, "demo")
    assert (found.active, found.enabled, found.result) == ("active", "enabled", "success")
    assert found.since is not None
    assert service.status(board, "demo").unit == "sphere-edge-demo.service"
    assert service.is_installed(board, "demo")
    # Once more, as each deploy does.
    assert service.install(board, deployed.root, "demo").active == "active"
    service.remove(board, "demo")
    assert not service.is_installed(board, "demo")
    listed = board.run(["systemctl", "--user", "list-units", "--all", "sphere-edge-*"]).stdout
    assert "demo" not in listed
    with pytest.raises(errors.NotFoundError, match="no service for `demo`"):
        service.remove(board, "demo")


def test_a_bundle_that_does_not_work_is_a_failed_service(
    board: Device, deployed: Store, make_item: Callable[..., Item]
) -> None:
    runner = make_item("runtime/bin/sphere-edge-run", _RUNNER.encode(), is_program=True)
    deployed.deploy("demo", [runner, make_item("bundle/broken", b"")])
    assert service.install(board, deployed.root, "demo").active == "failed"
    # The service asks each time which bundle is in use.
    deployed.rollback("demo")
    assert service.install(board, deployed.root, "demo").active == "active"
    service.remove(board, "demo")


def test_systemd_itself_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed (apt install systemd)")
    unit = tmp_path / "sphere-edge-demo.service"
    unit.write_text(service.unit_file("/home/me/a 100% $place", "demo"))
    verified = subprocess.run(
        [analyze, "--user", "verify", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert (verified.returncode, verified.stderr) == (0, "")


def test_a_device_without_systemd_says_so(tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    (tmp_path / "id").symlink_to("/usr/bin/id")
    with pytest.raises(errors.UnsupportedError, match="has no systemd"):
        service.require_systemd(LocalDevice({"PATH": str(tmp_path)}))
