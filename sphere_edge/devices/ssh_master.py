"""The installed `ssh`, logged in to a device once, over whose control socket all else goes.

So whatever `ssh HOST` gets into, we get into: by the user's own config, keys, agent, certificates,
jumps, prompts, and by a connection that the user's own `ssh` holds open.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import errors
from sphere_edge.devices import ssh_failures, ssh_folder
from sphere_edge.devices.device import Ask
from sphere_edge.devices.ssh_config import SshHost
from sphere_edge.devices.ssh_mux import Control

# Beside the time that the config gives to connecting; not while a person is asked.
_LOG_IN_S = 120.0
_END_S = 5.0
_POLL_S = 0.02
_PRINTED_BYTES = 16 << 10
# `ssh` ends with us, however we end: then nobody holds the other end of its stdin any more. With it
# end the programs that it started (a prompt's, a ProxyCommand), and the folder, $0, goes.
_TIED = """exec 3<&0 </dev/null
trap : TERM
{ trap : TERM; "$@"; : >"$0/ended"; } 3<&- &
read -r _ <&3
kill 0
wait
rm -rf "$0"
kill -KILL 0
"""
# ssh's way to ask without a terminal: the question comes as $1, the answer goes to stdout.
_ASKPASS = """#!/bin/sh
[ "${SSH_ASKPASS_PROMPT-}" != none ] || exit 0
printf '%s\\0' "$1" >"${0%/*}/question" && cat "${0%/*}/answer"
"""


@dataclass
class Master:
    """A logged-in `ssh`: the path of its control socket. `close` ends it if it is ours."""

    path: str
    folder: Path | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def printed(self) -> str:
        """The end of what it printed on stderr; empty if it is the user's own."""
        if self.folder is None:
            return ""
        with (self.folder / "stderr").open("rb") as printed:
            printed.seek(max(0, printed.seek(0, os.SEEK_END) - _PRINTED_BYTES))
            return printed.read().decode(errors="replace")

    @property
    def has_ended(self) -> bool:
        """Whether ours has; what it printed is all there then."""
        if self.folder is None or self.process is None:
            return False
        return (self.folder / "ended").exists() or self.process.poll() is not None

    def close(self) -> None:
        """May be called twice."""
        process, self.process = self.process, None
        if process is not None:
            _end(process)
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def log_in(host: SshHost, uri: str, ask: Ask | None) -> Master:
    """The user's own running `ssh` to the host if the config names one, or a new one.

    Raises UnavailableError: no such host, no answer, host key unknown or changed, login refused.
    """
    if host.control_path is not None and _is_alive(host.control_path):
        return Master(host.control_path)
    folder = Path(tempfile.mkdtemp(prefix="se-", dir=ssh_folder.parent()))
    master = Master(str(folder / "ssh"), folder)
    prompts = _Prompts(folder, ask)
    try:
        master.process = _start(host, master.path, folder, asks=ask is not None)
        _wait(master, host, uri, prompts)
    except BaseException:
        master.close()
        raise
    finally:
        prompts.close()
    return master


def _is_alive(path: str) -> bool:
    try:
        control = Control(path)
    except (OSError, EOFError):
        return False
    try:
        control.require_alive()
    except (OSError, EOFError):
        return False
    finally:
        control.close()
    return True


def _start(host: SshHost, path: str, folder: Path, *, asks: bool) -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    # A window of the user's own SSH_ASKPASS may never be seen; and `ssh` tells no jump host's `ssh`
    # of its BatchMode.
    environment["SSH_ASKPASS_REQUIRE"] = "never"
    if asks:
        environment |= {"SSH_ASKPASS": str(folder / "askpass"), "SSH_ASKPASS_REQUIRE": "force"}
        # OpenSSH before 8.4 asks it only where there is a display.
        environment.setdefault("DISPLAY", ":0")
    settings = (
        *("ControlPersist=no", "ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes"),
        *("RemoteCommand=none", "LogLevel=INFO", f"ServerAliveInterval={host.keepalive_s}"),
        *(f"ConnectTimeout={host.connect_timeout_s}", f"BatchMode={'no' if asks else 'yes'}"),
        *(("ForkAfterAuthentication=no",) if host.may_fork else ()),
    )
    words = ["ssh", "-M", "-N", "-T", "-S", path, *host.client_words]
    for setting in settings:
        words += ["-o", setting]
    with (folder / "stderr").open("wb") as stderr:
        return subprocess.Popen(
            ["sh", "-c", _TIED, str(folder), *words, "--", host.alias],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=environment,
            # Ctrl-C is ours to handle: what we tidy up on the device still needs the connection.
            start_new_session=True,
        )


def _wait(master: Master, host: SshHost, uri: str, prompts: _Prompts) -> None:
    """Until the control socket answers, which `ssh` makes once it is logged in."""
    deadline = time.monotonic() + host.connect_timeout_s + _LOG_IN_S
    while not (Path(master.path).exists() and _is_alive(master.path)):
        if master.has_ended:
            raise ssh_failures.failed_login(host, uri, master.printed)
        if time.monotonic() > deadline:
            message = f"{uri} does not finish the login in time"
            raise errors.UnavailableError(message, hint=master.printed.strip() or None)
        deadline += prompts.answer_for(_POLL_S)


class _Prompts:
    """Leads what `ssh` asks to `ask`, through two pipes that _ASKPASS uses."""

    def __init__(self, folder: Path, ask: Ask | None) -> None:
        self._answer = folder / "answer"
        self._ask = ask
        self._question: int | None = None
        if ask is not None:
            for path in (folder / "question", self._answer):
                os.mkfifo(path, 0o600)
            (folder / "askpass").write_text(_ASKPASS, "utf-8")
            (folder / "askpass").chmod(0o700)
            # Open for writing as well, so that it never is at its end.
            self._question = os.open(folder / "question", os.O_RDWR | os.O_NONBLOCK)

    def answer_for(self, seconds: float) -> float:
        """Waits for a question and answers it; how many seconds that took a person."""
        if self._question is None or self._ask is None:
            time.sleep(seconds)
            return 0.0
        if not select.select([self._question], [], [], seconds)[0]:
            return 0.0
        began = time.monotonic()
        text = b""
        while not text.endswith(b"\0") and select.select([self._question], [], [], 1.0)[0]:
            text += os.read(self._question, 1 << 16)
        answer = self._ask(text.rstrip(b"\0").decode(errors="replace").strip().rstrip(":"))
        self._write(answer, time.monotonic() + _END_S)
        return time.monotonic() - began

    def _write(self, answer: str, deadline: float) -> None:
        while time.monotonic() < deadline:
            try:
                handle = os.open(self._answer, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                # Not read yet; or never, where the server hung up meanwhile.
                time.sleep(_POLL_S)
                continue
            with os.fdopen(handle, "wb") as pipe, suppress(BrokenPipeError):
                pipe.write(f"{answer}\n".encode())
            return

    def close(self) -> None:
        """Ends both."""
        if self._question is not None:
            os.close(self._question)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
