"""`deploy --service` with a real systemd of the user's, which starts, restarts and forgets it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from openai import AuthenticationError, OpenAI
from transports import start_sshd

from sphere_edge import errors
from sphere_edge.boards import installing, server_deployment
from sphere_edge.devices import service
from sphere_edge.devices.device import Device
from sphere_edge.devices.items import Item
from sphere_edge.devices.local import LocalDevice
from sphere_edge.devices.open import open_device
from sphere_edge.devices.service import Address, Service
from sphere_edge.devices.store import Store
from tests import made_bundles
from tests.waiting import wait_until

_SYSTEMD = Path("/usr/lib/systemd/systemd")
# A systemd of a user wants a cgroup of its own and a machine that was booted by one.
_START = """
umount -l /sys/fs/cgroup 2>/dev/null
mount -t cgroup2 none /sys/fs/cgroup && mkdir -p "$1/tests" && mkdir -p "$1" || exit 1
echo $$ >"$1/tests/cgroup.procs" || exit 1
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system
exec "$0" --user
"""
# As far as systemd can tell, a server: it says when it is ready, and whether it is.
_SERVER = """
import os, socket, sys, time
action, settings, model = sys.argv[1:]
bundle = model.partition("=")[2]
if action == "ready":
    print("ready")
    sys.exit(0)
print("settings", open(settings).read(), "key of", len(open("key").read()), flush=True)
if os.path.exists(bundle + "/broken"):
    print("does not load", flush=True)
    sys.exit(9)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.connect(os.environ["NOTIFY_SOCKET"])
    notify.send(b"READY=1")
time.sleep(3600)
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
    """A bundle and its server, in a place with a difficult name."""
    store = Store(board, str(tmp_path / 'a "store" of $HOME, 100%\\'))
    store.deploy("demo", [make_item("bundle/bundle.json", b"{}")])
    store.deploy("demo.server", [make_item("server/fake.pyz", _SERVER.encode())])
    return store


def serving(store: Store) -> Service:
    return Service(store.root, "demo", "server/fake.pyz", sys.executable, settings="{}")


def test_a_service_is_installed_enabled_started_shown_and_removed(
    board: Device, deployed: Store
) -> None:
    found = service.install(board, serving(deployed))
    assert (found.active, found.enabled, found.result) == ("active", "enabled", "success")
    assert found.since is not None
    assert found.ready
    assert "and takes requests, enabled" in found.summary
    assert service.status(board, deployed.root, "demo").unit == "sphere-edge-demo.service"
    assert service.is_installed(board, "demo")
    own = Path(deployed.root) / "services/demo"
    key = (own / "key").read_text()
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert {path.stat().st_mode & 0o077 for path in (own, *own.iterdir())} == {0}
    # Once more, as each deploy does; clients keep their key.
    assert service.install(board, serving(deployed)).active == "active"
    assert (own / "key").read_text() == key
    # What neither a current nor a previous bundle needs is deleted, and the service goes on.
    deployed.gc()
    assert service.restart(board, deployed.root, "demo").ready
    service.remove(board, deployed, "demo")
    assert not service.is_installed(board, "demo")
    assert not own.exists()
    assert [one.name for one in deployed.installed()] == ["demo"]
    listed = board.run(["systemctl", "--user", "list-units", "--all", "sphere-edge-*"]).stdout
    assert "demo" not in listed
    with pytest.raises(errors.NotFoundError, match="no service for `demo`"):
        service.remove(board, deployed, "demo")


def test_a_server_that_dies_is_started_again(board: Device, deployed: Store) -> None:
    service.install(board, serving(deployed))
    shown = ["systemctl", "--user", "show", "--value", "--property=MainPID"]
    first = int(board.run([*shown, "sphere-edge-demo.service"]).stdout)
    os.kill(first, signal.SIGKILL)
    wait_until(
        lambda: int(board.run([*shown, "sphere-edge-demo.service"]).stdout) not in (0, first)
    )
    wait_until(lambda: service.status(board, deployed.root, "demo").active == "active")
    service.remove(board, deployed, "demo")


def test_a_bundle_that_does_not_load_is_a_failed_service_which_is_not_tried_again(
    board: Device, deployed: Store, make_item: Callable[..., Item]
) -> None:
    deployed.deploy("demo", [make_item("bundle/broken", b"")])
    found = service.install(board, serving(deployed))
    assert (found.active, found.result) == ("failed", "exit-code")
    # The service asks each time which bundle is in use.
    deployed.rollback("demo")
    assert service.restart(board, deployed.root, "demo").active == "active"
    service.remove(board, deployed, "demo")


def test_removing_a_bundle_removes_its_service(board: Device, deployed: Store) -> None:
    service.install(board, serving(deployed))
    service.remove_deployed(board, deployed, "demo")
    assert deployed.installed() == []
    assert not service.is_installed(board, "demo")


def test_the_real_server_answers_as_a_service_to_whoever_has_its_key(
    environment: dict[str, str], tmp_path: Path
) -> None:
    store = Store(LocalDevice(environment), str(tmp_path / "store"))
    bundle = made_bundles.made("tiny")
    server_deployment.deploy_bundles(store, [bundle])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found = installing.install(store, bundle.manifest, Address(port=port))
    assert found.status.ready, found.status.output
    for key, answers in ((Path(found.key_file).read_text(), True), ("another key", False)):
        with OpenAI(base_url=found.url, api_key=key, max_retries=0) as client:
            if answers:
                assert client.responses.create(model="tiny", input="Hello").output_text
                continue
            with pytest.raises(AuthenticationError):
                client.models.list()
    service.remove_deployed(store.device, store, "tiny")
    assert store.installed() == []


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
