"""A simulated board with an SSH server: the real sshd, as this user, on a loopback port."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sphere_edge import errors
from sphere_edge.run import run
from sphere_edge.simulate.environment import Environment, HostEnvironment
from sphere_edge.simulate.programs import kill_tree

_START_TIMEOUT_S = 15
_HOW_TO_GET = "apt install openssh-server, brew install openssh"
# Debian's folder that sshd needs when it runs as root.
_PRIVILEGE_SEPARATION = Path("/run/sshd")


@dataclass
class Sshd:
    """Accepts one key: `folder/id`. Keys, settings and logs are in `folder`.

    `settings` are lines for sshd_config. Port 0 becomes a free one.
    """

    folder: Path
    environment: Environment = field(default_factory=HostEnvironment)
    port: int = 0
    settings: Sequence[str] = ()
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises NotFoundError (sshd is not installed), UnavailableError (it does not start)."""
        program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if program is None or shutil.which("ssh-keygen") is None:
            message = "there is no sshd on this machine"
            raise errors.NotFoundError(message, hint=_HOW_TO_GET)
        if os.geteuid() == 0:
            _PRIVILEGE_SEPARATION.mkdir(exist_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("hostkey", "id"):
            if not (self.folder / name).exists():
                words = ["-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
                run(["ssh-keygen", *words], timeout_s=30)
        self.port = self.port or _free_port()
        config = self.folder / f"sshd_config-{self.port}"
        config.write_text("\n".join(self._lines()), "utf-8")
        log = self.folder / f"log-{self.port}"
        self._process = subprocess.Popen([program, "-D", "-f", str(config), "-E", str(log)])
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not _listens(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                output = log.read_text("utf-8", errors="replace").strip() if log.exists() else ""
                self.stop()
                message = f"sshd does not start: {output or 'it printed nothing'}"
                raise errors.UnavailableError(message)
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends the server, every connection and every program. May be called twice."""
        process, self._process = self._process, None
        if process is not None:
            kill_tree(process.pid)
            process.wait()

    def restart(self) -> None:
        """Does what a board's restart does: programs and connections end, `/tmp` becomes empty."""
        self.stop()
        self.environment.on_restart()
        self.start()

    def config(self, port: int, *lines: str) -> Path:
        """An ssh_config that knows it as `board`, reached at `port`; `lines` come first."""
        path = self.folder / f"config-{port}"
        path.write_text(
            "\n".join(
                [
                    *lines,
                    "Host board",
                    "  HostName 127.0.0.1",
                    f"  Port {port}",
                    f"  User {getpass.getuser()}",
                    "Host *",
                    f"  IdentityFile {self.folder / 'id'}",
                    "  IdentityAgent none",
                    f"  UserKnownHostsFile {self.folder / f'known-{port}'}",
                    "  GlobalKnownHostsFile none",
                ]
            ),
            "utf-8",
        )
        kind, blob, *_ = (self.folder / "hostkey.pub").read_text("utf-8").split()
        known = f"[127.0.0.1]:{port} {kind} {blob}\n"
        (self.folder / f"known-{port}").write_text(known, "utf-8")
        return path

    def _lines(self) -> list[str]:
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder / 'hostkey'}",
            f"AuthorizedKeysFile {self.folder / 'id.pub'}",
            f"PidFile {self.folder / f'pid-{self.port}'}",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "MaxStartups 100",
            "Subsystem sftp internal-sftp",
            # This machine's .bashrc is not part of a simulated board; bash reads it at SHLVL 0.
            "SetEnv SHLVL=2",
            *self.settings,
        ]
        if not isinstance(self.environment, HostEnvironment):
            lines.append(f"ForceCommand {self._forced_command()}")
        return lines

    def _forced_command(self) -> Path:
        """A script that runs what the client asked for in the device's environment."""
        script = self.folder / "enter.sh"
        # The last word of a shell's argv is the command line.
        *words, _ = self.environment.argv("")
        line = '"${SSH_ORIGINAL_COMMAND:-exec /bin/sh -l}"'
        script.write_text(f"#!/bin/sh\nexec {shlex.join(words)} {line}\n", "utf-8")
        script.chmod(0o755)
        return script


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False
