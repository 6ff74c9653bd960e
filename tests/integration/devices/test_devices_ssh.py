"""SSH as its users have it: config files, jumps, proxies, agents, host keys; with a real sshd."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import paramiko
import psutil
import pytest
from transports import SSH_CARRIERS, start_sshd

from sphere_edge import errors
from sphere_edge.devices import ssh_config
from sphere_edge.devices.device import Device
from sphere_edge.devices.items import Item
from sphere_edge.devices.open import open_device
from sphere_edge.devices.ssh import SshDevice
from sphere_edge.devices.store import Store
from sphere_edge.simulate.sshd import Sshd
from tests.waiting import wait_until

Open = Callable[..., Device]


@pytest.fixture(params=list(SSH_CARRIERS))
def reach(request: pytest.FixtureRequest) -> Open:
    """Opens a device by the installed `ssh`, or by paramiko as where there is none."""
    if request.param == "ssh" and not ssh_config.has_client():
        pytest.skip("OpenSSH's client is not installed (apt install openssh-client)")
    carrier = SSH_CARRIERS[request.param]
    return lambda uri, ask=None: carrier(uri, ask)


@pytest.fixture
def connect(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch, reach: Open
) -> Iterator[Callable[..., Device]]:
    """Connects to `host` with the usual config and `lines` before it, and proves that it works."""
    opened: list[Device] = []

    def make(host: str = "board", *lines: str) -> Device:
        monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(sshd.config(sshd.port, *lines)))
        device = reach(f"ssh://{host}")
        opened.append(device)
        assert device.run(["echo", "hello"]).stdout == "hello\n"
        return device

    yield make
    for device in opened:
        device.close()


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def known_hosts(sshd: Sshd) -> Path:
    return sshd.folder / f"known-{sshd.port}"


only_paramiko = pytest.mark.parametrize("reach", ["paramiko"], indirect=True)
only_openssh = pytest.mark.parametrize("reach", ["ssh"], indirect=True)


@only_paramiko
def test_the_fast_cipher_is_used(connect: Callable[..., Device]) -> None:
    connection = connect()._connection  # type: ignore[attr-defined]
    assert connection.transport.local_cipher == "aes128-gcm@openssh.com"


@only_paramiko
def test_the_link_is_kept_alive_as_often_as_the_config_says(connect: Callable[..., Device]) -> None:
    connection = connect("board", "Host board\n  ServerAliveInterval 7")._connection  # type: ignore[attr-defined]
    assert connection.transport.packetizer._Packetizer__keepalive_interval == 7
    usual = connect()._connection  # type: ignore[attr-defined]
    assert usual.transport.packetizer._Packetizer__keepalive_interval == 15


def test_included_files_and_matches_count(
    connect: Callable[..., Device], sshd: Sshd, tmp_path: Path
) -> None:
    (tmp_path / "more").write_text("Host orin\n  HostName 127.0.0.1\n")
    port = f"Match originalhost orin exec true\n  Port {sshd.port}\n  User {getpass.getuser()}"
    connect("orin", f"Include {tmp_path / 'more'}", port)


def test_a_jump_host_is_gone_through(connect: Callable[..., Device], sshd: Sshd) -> None:
    log = sshd.folder / f"log-{sshd.port}"
    before = log.read_text().count("Accepted publickey")
    device = connect(
        "inner", f"Host inner\n HostName 127.0.0.1\n Port {sshd.port}\n ProxyJump %r@board"
    )
    seen = device.run(["sh", "-c", "echo $SSH_CONNECTION"]).stdout.split()
    assert seen[3] == str(sshd.port)
    assert log.read_text().count("Accepted publickey") == before + 2


def test_jump_hosts_that_lead_back_are_refused(connect: Callable[..., Device]) -> None:
    loop = "Host a\n ProxyJump b\nHost b\n ProxyJump c\nHost c\n ProxyJump a"
    with pytest.raises(errors.InvalidArgumentError, match="comes back to `a`"):
        connect("a", loop)


def test_a_proxy_command_is_gone_through(connect: Callable[..., Device], tmp_path: Path) -> None:
    relay = tmp_path / "relay.py"
    relay.write_text(
        "import socket, sys, threading, os\n"
        "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def up():\n"
        "    while data := os.read(0, 65536): s.sendall(data)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while data := s.recv(65536): os.write(1, data)\n"
    )
    connect("board", f"Host board\n  ProxyCommand python3 {relay} %h %p")


def test_a_proxy_command_that_ends_at_once_is_unavailable(connect: Callable[..., Device]) -> None:
    with pytest.raises(errors.UnavailableError):
        connect("board", "Host board\n  ProxyCommand false")


def test_an_agent_is_asked(connect: Callable[..., Device], sshd: Sshd, tmp_path: Path) -> None:
    socket = tmp_path / "agent"
    started = subprocess.run(
        ["ssh-agent", "-s", "-a", str(socket)], capture_output=True, text=True, check=True
    )
    found = re.search(r"SSH_AGENT_PID=(\d+)", started.stdout)
    assert found is not None
    try:
        environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
        key = str(sshd.folder / "id")
        subprocess.run(["ssh-add", "-q", key], env=environment, check=True, capture_output=True)
        connect("board", f"Host board\n  IdentityAgent {socket}\n  IdentityFile /nonexistent")
    finally:
        os.kill(int(found[1]), signal.SIGTERM)


@pytest.fixture
def locked_config(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The usual config with a key whose passphrase is `secret`: tmp_path / "locked"."""
    locked = tmp_path / "locked"
    locked.write_bytes((sshd.folder / "id").read_bytes())
    locked.chmod(0o600)
    change = ["ssh-keygen", "-q", "-p", "-N", "secret", "-P", "", "-f", str(locked)]
    subprocess.run(change, check=True, capture_output=True)
    config = sshd.config(sshd.port)
    config.write_text(config.read_text().replace(str(sshd.folder / "id"), str(locked)))
    monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(config))
    return config


def test_a_key_with_a_passphrase_is_asked_for_only_where_a_person_is(
    locked_config: Path, tmp_path: Path, reach: Open
) -> None:
    with pytest.raises(errors.UnavailableError, match="refused to let") as caught:
        reach("ssh://board")
    assert re.search("has a passphrase.*ssh-add|ssh-copy-id.*\n.*ssh-add", caught.value.hint or "")
    asked: list[str] = []

    def ask(what: str) -> str:
        asked.append(what)
        return "secret"

    reach("ssh://board", ask=ask).close()
    assert len(asked) == 1
    assert re.search(f"passphrase (of|for key) '?{tmp_path / 'locked'}", asked[0])


class PasswordOnly(paramiko.ServerInterface):
    """A server that lets in whoever knows the word."""

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL if password == "secret" else paramiko.AUTH_FAILED


@pytest.mark.parametrize(
    ("typed", "is_let_in"), [("secret", True), ("wrong", False), (None, False)]
)
def test_a_password_is_asked_for_only_where_a_person_is(
    typed: str | None, is_let_in: bool, sshd: Sshd, monkeypatch: pytest.MonkeyPatch, reach: Open
) -> None:
    asked: list[str] = []

    def ask(what: str) -> str:
        asked.append(what)
        return typed or ""

    with socket.create_server(("127.0.0.1", 0)) as listener:
        transports: list[paramiko.Transport] = []

        def serve() -> None:
            near, _ = listener.accept()
            transports.append(paramiko.Transport(near))
            transports[0].add_server_key(paramiko.Ed25519Key(filename=str(sshd.folder / "hostkey")))
            transports[0].start_server(server=PasswordOnly())

        thread = threading.Thread(target=serve)
        thread.start()
        config = sshd.config(listener.getsockname()[1])
        monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(config))
        try:
            if is_let_in:
                reach("ssh://board", ask=ask).close()
            else:
                with pytest.raises(errors.UnavailableError, match="refused to let"):
                    reach("ssh://board", ask=None if typed is None else ask)
        finally:
            thread.join()
            transports[0].close()
    # OpenSSH asks again for a wrong one.
    assert len(asked) >= 1 if typed == "wrong" else len(asked) == (typed is not None)
    user = getpass.getuser()
    expected = f"password of {user} on ssh://board|{user}@127.0.0.1's password"
    assert all(re.search(expected, what) for what in asked)


def test_a_refused_key_is_named(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reach: Open
) -> None:
    stranger = tmp_path / "stranger"
    make = ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(stranger)]
    subprocess.run(make, check=True)
    config = sshd.config(sshd.port)
    config.write_text(config.read_text().replace(str(sshd.folder / "id"), str(stranger)))
    monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(config))
    with pytest.raises(errors.UnavailableError, match="refused to let") as caught:
        reach("ssh://board")
    hint = caught.value.hint or ""
    assert f"`{stranger}`: refused" in hint or "Permission denied (publickey)" in hint


def test_an_unknown_host_key_is_refused_until_the_hints_command_was_run(
    connect: Callable[..., Device], sshd: Sshd, monkeypatch: pytest.MonkeyPatch, reach: Open
) -> None:
    config = sshd.config(sshd.port)
    monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(config))
    known_hosts(sshd).unlink()
    with pytest.raises(errors.UnavailableError, match="not known yet") as caught:
        reach("ssh://board")
    printed = subprocess.run(
        ["ssh-keygen", "-lf", str(sshd.folder / "hostkey.pub")], capture_output=True, text=True
    )
    assert printed.stdout.split()[1] in caught.value.message
    command = (caught.value.hint or "").splitlines()[-1].strip()
    subprocess.run(["sh", "-c", command], check=True)
    reach("ssh://board").close()


def test_a_changed_host_key_is_refused(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch, reach: Open
) -> None:
    config = sshd.config(sshd.port)
    monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(config))
    kind, blob, *_ = (sshd.folder / "id.pub").read_text().split()
    known_hosts(sshd).write_text(f"[127.0.0.1]:{sshd.port} {kind} {blob}\n")
    with pytest.raises(errors.UnavailableError, match="CHANGED"):
        reach("ssh://board")


def test_authority_lines_neither_break_nor_vouch(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch, reach: Open
) -> None:
    config = sshd.config(sshd.port)
    monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(config))
    plain = known_hosts(sshd).read_text()
    authority = "@cert-authority * " + " ".join(plain.split()[1:]) + "\n"
    known_hosts(sshd).write_text(authority + plain)
    reach("ssh://board").close()
    assert known_hosts(sshd).read_text() == authority + plain
    known_hosts(sshd).write_text(authority)
    with pytest.raises(errors.UnavailableError, match="not known yet"):
        reach("ssh://board")


@only_openssh
@pytest.mark.parametrize("name", ["a b", "50%h", "ä" * 20])
def test_any_folder_for_temporary_files_serves_and_a_remote_command_hides_no_key(
    name: str, sshd: Sshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reach: Open
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
    config = sshd.config(sshd.port, "RemoteCommand uname")
    monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(config))
    reach("ssh://board").close()
    known_hosts(sshd).unlink()
    with pytest.raises(errors.UnavailableError, match="not known yet"):
        reach("ssh://board")


def keygen(*words: str | Path) -> None:
    subprocess.run(["ssh-keygen", "-q", *map(str, words)], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("kind", "names", "validity", "refusal"),
    [
        ("ed25519", "board,127.0.0.1", "+1d", None),
        ("ecdsa", "127.0.0.1", "always:forever", None),
        ("ecdsa", "127.0.*", "+1d", r"it is for 127.0.\*|name is not a listed principal"),
        ("rsa", "127.0.0.1", "+1d", None),
        (
            *("ed25519", "elsewhere", "+1d"),
            "it is for elsewhere, not for `127.0.0.1`|name is not a listed principal",
        ),
        (
            *("ed25519", "127.0.0.1", "20200101:20200102"),
            "it is valid from 2020-01-01|Certificate invalid: expired",
        ),
    ],
)
def test_a_host_certificate_vouches_for_its_names_and_its_time(
    kind: str,
    names: str,
    validity: str,
    refusal: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reach: Open,
) -> None:
    keygen("-t", kind, "-N", "", "-f", tmp_path / "authority")
    keygen("-t", kind, "-N", "", "-f", tmp_path / "host")
    words = ("-s", tmp_path / "authority", "-I", "test", "-h", "-n", names, "-V", validity)
    keygen(*words, tmp_path / "host.pub")
    server = start_sshd(
        tmp_path, f"HostKey {tmp_path}/host", f"HostCertificate {tmp_path}/host-cert.pub"
    )
    try:
        monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(server.config(server.port)))
        authority = (tmp_path / "authority.pub").read_text()
        known = tmp_path / f"known-{server.port}"
        known.write_text(f"@cert-authority [127.0.0.1]:* {authority}")
        if refusal is None:
            reach("ssh://board").close()
        else:
            with pytest.raises(errors.UnavailableError, match="certificate") as caught:
                reach("ssh://board")
            assert re.search(refusal, f"{caught.value.message} {caught.value.hint}")
        known.write_text(f"@revoked * {authority}@cert-authority * {authority}")
        with pytest.raises(errors.UnavailableError, match="not known yet"):
            reach("ssh://board")
    finally:
        server.stop()


def test_an_authority_that_did_not_sign_vouches_for_nothing_and_a_forged_name_is_seen(
    tmp_path: Path,
) -> None:
    import base64

    from sphere_edge.devices import host_certificate
    from sphere_edge.devices.known_hosts import HostKey

    for name in ("authority", "other", "host"):
        keygen("-t", "ed25519", "-N", "", "-f", tmp_path / name)
    words = ("-s", tmp_path / "authority", "-I", "test", "-h", "-n", "good.example")
    keygen(*words, tmp_path / "host.pub")
    blob = base64.b64decode((tmp_path / "host-cert.pub").read_text().split()[1])
    authority, other = (
        HostKey(*(tmp_path / f"{name}.pub").read_text().split()[:2])
        for name in ("authority", "other")
    )
    assert host_certificate.read(blob, {other}) is None
    genuine = host_certificate.read(blob, {authority})
    assert genuine is not None
    genuine.check("good.example", "ssh://x")
    with pytest.raises(errors.UnavailableError, match="forged"):
        host_certificate.read(blob.replace(b"good.example", b"evil.example"), {authority})
    for length in range(0, len(blob), 7):
        with suppress(errors.UnavailableError):
            assert host_certificate.read(blob[:length], {authority}) is None


def test_a_closed_port_says_what_could_not_be_reached(connect: Callable[..., Device]) -> None:
    with pytest.raises(errors.UnavailableError, match="port 1\\)"):
        connect("board", "Host board\n  Port 1")


def test_a_name_that_does_not_resolve_says_so(connect: Callable[..., Device]) -> None:
    with pytest.raises(errors.UnavailableError, match="no host named"):
        connect("no-such-host.invalid")


def test_a_server_that_is_no_ssh_server_says_so(connect: Callable[..., Device]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            near, _ = server.accept()
            with near:
                near.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(errors.UnavailableError, match="does not speak SSH"):
            connect("board", f"Host board\n  Port {server.getsockname()[1]}")
        thread.join()


def test_a_banner_of_the_login_shell_does_not_disturb_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sshd: Sshd, reach: Open
) -> None:
    from sphere_edge.devices.probe import probe

    wrapper = tmp_path / "banner.sh"
    wrapper.write_text(
        '#!/bin/sh\necho "Welcome to the board!"\nexec sh -c "$SSH_ORIGINAL_COMMAND"\n'
    )
    wrapper.chmod(0o755)
    server = start_sshd(sshd.folder, f"ForceCommand {wrapper}")
    monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(server.config(server.port)))
    device = reach("ssh://board")
    try:
        assert probe(device).cores
        store = Store(device, str(tmp_path / "store"))
        assert store.gc() == 0
        assert Store(device, "~/nowhere").root == f"{Path.home()}/nowhere"
    finally:
        device.close()
        server.stop()


@pytest.mark.parametrize("shell", ["/bin/tcsh", "/bin/bash"])
@pytest.mark.parametrize("rc", ["", "echo Welcome to the lab board\n", "printf 'lab board> '\n"])
def test_any_login_shell_and_what_its_start_up_files_print_do_not_disturb(
    shell: str, rc: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sshd: Sshd, reach: Open
) -> None:
    if not Path(shell).exists():
        pytest.skip(f"{shell} is not installed (apt install tcsh)")
    for name in (".bashrc", ".tcshrc"):
        (tmp_path / name).write_text(rc)
    land = tmp_path / "land"
    line = f'export HOME={tmp_path} SHLVL=0\nexec {shell} -c "$SSH_ORIGINAL_COMMAND"'
    land.write_text(f"#!/bin/sh\n{line}\n")
    land.chmod(0o755)
    server = start_sshd(sshd.folder, f"ForceCommand {land}")
    monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(server.config(server.port)))
    device = reach("ssh://board")
    hostile = ["a b", "c'd", 'e"f', "$HOME", "`id`", "*", "\\", "!!", "!x", "ä\n;", "--", "%s"]
    try:
        completed = device.run(["printf", "<%s>", *hostile])
        assert completed.stdout == "".join(f"<{word}>" for word in hostile)
        assert completed.stderr == ""
        assert device.run(["sh", "-c", "echo a >&2\nexit 255"]).exit_code == 255
        process = device.start(["sh", "-c", "echo one\nread -r x\necho $x"])
        assert process.read_line(60) == "one"
        process.write_line("two")
        assert process.read_line(60) == "two"
        process.close()
        (tmp_path / "source").write_bytes(os.urandom(300_000))
        device.push(tmp_path / "source", f"{tmp_path}/it's here!")
        sent = (tmp_path / "source").read_bytes()
        assert (tmp_path / "it's here!").read_bytes() == sent
        store = Store(device, None)
        assert store.root == f"{tmp_path}/.sphere-edge"
        content = os.urandom(100_000)
        (tmp_path / "item").write_bytes(content)
        item = Item("a", tmp_path / "item", len(content), hashlib.sha256(content).hexdigest())
        store.deploy("demo", [item])
        assert [one.name for one in store.installed()] == ["demo"]
    finally:
        device.close()
        server.stop()


def test_a_home_that_nobody_knows_is_no_place_for_a_store(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reach: Open
) -> None:
    land = tmp_path / "land"
    land.write_text('#!/bin/sh\nexec env HOME= sh -c "$SSH_ORIGINAL_COMMAND"\n')
    land.chmod(0o755)
    server = start_sshd(sshd.folder, f"ForceCommand {land}")
    monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(server.config(server.port)))
    device = reach("ssh://board")
    try:
        with pytest.raises(errors.StorageError, match="no home") as caught:
            Store(device, None)
        assert "--store" in (caught.value.hint or "")
    finally:
        device.close()
        server.stop()


def test_an_account_that_may_run_nothing_says_so(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reach: Open
) -> None:
    land = tmp_path / "land"
    land.write_text("#!/bin/sh\necho This account is currently not available.\nexit 1\n")
    land.chmod(0o755)
    server = start_sshd(sshd.folder, f"ForceCommand {land}")
    monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(server.config(server.port)))
    device = reach("ssh://board")
    try:
        with pytest.raises(errors.UnavailableError, match="does not start `sh`") as caught:
            device.run(["true"])
        assert "currently not available" in (caught.value.hint or "")
    finally:
        device.close()
        server.stop()


@only_openssh
def test_a_connection_that_the_users_own_ssh_holds_open_is_used(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reach: Open
) -> None:
    path = tmp_path / "cm"
    lines = f"Host board\n  ControlPath {path}"
    config = sshd.config(sshd.port, lines)
    monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(config))
    theirs = subprocess.Popen(["ssh", "-F", str(config), "-M", "-N", "board"])
    try:
        wait_until(path.exists)
        # No key is needed any more, as after a password or a one-time code.
        config.write_text(config.read_text().replace(str(sshd.folder / "id"), "/nonexistent"))
        device = reach("ssh://board")
        assert device.run(["echo", "in"]).stdout == "in\n"
        device.close()
        assert theirs.poll() is None
        assert path.exists()
    finally:
        theirs.terminate()
        theirs.wait()
    with pytest.raises(errors.UnavailableError, match="refused to let"):
        reach("ssh://board")


@only_openssh
def test_the_login_ends_with_the_program_that_made_it(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reach: Open
) -> None:
    monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(sshd.config(sshd.port)))
    script = (
        "import sys, time; from sphere_edge.devices.open import open_device\n"
        "device = open_device('ssh://board')\n"
        "process = device.start(['sh', '-c', 'echo $$; read -r _; echo gone >$0', sys.argv[1]])\n"
        "print(process.read_line(60), device._master.folder, flush=True); time.sleep(1000)"
    )
    gone = tmp_path / "gone"
    program = subprocess.Popen(
        [sys.executable, "-c", script, str(gone)], stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    folder = Path(program.stdout.readline().split()[1])
    started = psutil.Process(program.pid).children(recursive=True)
    assert "ssh" in {one.name() for one in started}
    program.kill()
    program.wait()
    program.stdout.close()
    wait_until(gone.exists)
    wait_until(lambda: not any(lives(one) for one in started))
    assert not folder.exists()


@only_openssh
def test_nothing_is_left_of_a_login_that_is_interrupted_at_a_prompt(
    locked_config: Path, reach: Open
) -> None:
    before = psutil.Process().children(recursive=True)
    started: list[psutil.Process] = []

    def ask(what: str) -> str:
        def waits_for_the_answer() -> bool:
            now = psutil.Process().children(recursive=True)
            started[:] = [one for one in now if one not in before]
            return {"ssh", "askpass", "cat"} <= {one.name() for one in started}

        wait_until(waits_for_the_answer)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reach("ssh://board", ask=ask)
    wait_until(lambda: not any(lives(one) for one in started))


@only_openssh
@pytest.mark.parametrize("jump", ["", "ProxyJump"])
def test_the_users_own_program_for_prompts_is_not_started(
    jump: str,
    sshd: Sshd,
    locked_config: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    reach: Open,
) -> None:
    program = tmp_path / "window"
    program.write_text(f"#!/bin/sh\n: >{tmp_path}/asked\necho secret\n")
    program.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(program))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    monkeypatch.setenv("DISPLAY", ":0")
    inner = f"Host inner\n HostName 127.0.0.1\n Port {sshd.port}\n ProxyJump board\n"
    locked_config.write_text(inner + locked_config.read_text())
    with pytest.raises(errors.UnavailableError):
        reach("ssh://inner" if jump else "ssh://board")
    assert not (tmp_path / "asked").exists()


@only_openssh
def test_a_new_host_is_taken_where_the_person_says_yes_or_the_config_does(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch, reach: Open
) -> None:
    config = sshd.config(sshd.port)
    monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(config))
    known = known_hosts(sshd)
    line = known.read_text()
    known.write_text("")
    asked: list[str] = []

    def ask(what: str) -> str:
        asked.append(what)
        return "yes"

    reach("ssh://board", ask=ask).close()
    assert "authenticity of host" in asked[0]
    assert known.read_text() == line
    known.write_text("")
    sshd.config(sshd.port, "StrictHostKeyChecking accept-new")
    known.write_text("")
    reach("ssh://board").close()
    assert known.read_text() == line


def test_hosts_named_in_the_config_are_listed(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    config = sshd.config(sshd.port, "Host a b *.c !d", "Host=e")
    monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(config))
    assert ssh_config.named_hosts() == ["a", "b", "e", "board"]


def test_a_broken_config_is_said(connect: Callable[..., Device]) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="SSH configuration"):
        connect("board", "NoSuchKeyword yes")


def test_without_openssh_the_config_is_read_all_the_same(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = sshd.config(sshd.port)
    monkeypatch.setenv(ssh_config.CONFIG_VARIABLE, str(config))
    monkeypatch.setenv("PATH", str(tmp_path))
    device = open_device("ssh://board")
    assert isinstance(device, SshDevice)
    assert device.run(["echo", shlex.quote("x")]).exit_code == 0
    device.close()
    config.write_text("Include other\n" + config.read_text())
    with pytest.raises(errors.InvalidArgumentError, match="Include"):
        ssh_config.resolve("board")
