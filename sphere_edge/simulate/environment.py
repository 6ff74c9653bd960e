"""The environment that a simulated device's programs run in: this machine, or a root folder."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sphere_edge import console, errors
from sphere_edge.run import run
from sphere_edge.simulate import arm_root

_ENTER = Path(__file__).with_name("enter.sh")
_VARIABLES = (
    "HOME=/root",
    "USER=root",
    "TMPDIR=/tmp",
    "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/system/bin",
)
_LINKS_LIMIT = 40
# What a Linux program finds in every root; the rest a root brings itself.
_FOLDERS = ("proc", "sys", "dev", "tmp", "root", "run", "var/tmp", "data/local/tmp")
_KERNELS = (Path("/proc"), Path("/sys"), Path("/dev"))
# In a root made from this machine these are its own, read-only.
_SHARED = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "etc")
_CHECK_TIMEOUT_S = 60


class Environment(Protocol):
    """What a simulated device's programs run in, and where its files are."""

    def argv(self, line: str) -> list[str]:
        """The command on this machine that runs `line` in the device's shell."""

    def path(self, remote: str, *, to_write: bool = False) -> Path:
        """Where the device's file `remote` is on this machine.

        Raises OSError if it is `to_write` and may not be written.
        """

    def on_restart(self) -> None:
        """Deletes what a device loses when it restarts."""


@dataclass(frozen=True)
class HostEnvironment:
    """Programs and files are this machine's own; `programs` replaces the PATH."""

    programs: str | None = None
    shell: str = "/bin/sh"

    def argv(self, line: str) -> list[str]:
        """See Environment.argv."""
        path = [] if self.programs is None else ["env", f"PATH={self.programs}"]
        return [*path, self.shell, "-c", line]

    def path(self, remote: str, *, to_write: bool = False) -> Path:
        """See Environment.path."""
        return Path(remote)

    def on_restart(self) -> None:
        """Does nothing: this machine does not restart."""


@dataclass(frozen=True)
class RootEnvironment:
    """`folder` is the device's `/`; its kernel is this machine's.

    `entering`: the words before a program that make it run inside the root.
    Needs no privileges, only user namespaces.
    """

    folder: Path
    entering: tuple[str, ...] = ()
    # The emulated CPU, as the emulator names it.
    cpu: str | None = None
    # Folders of this machine that the device sees, too, read-only.
    shared: tuple[Path, ...] = ()

    def argv(self, line: str) -> list[str]:
        """See Environment.argv; this machine's environment variables are not passed on."""
        cpu = [] if self.cpu is None else [f"QEMU_CPU={self.cpu}"]
        return [*self.entering, "/usr/bin/env", "-i", *_VARIABLES, *cpu, "/bin/sh", "-c", line]

    def path(self, remote: str, *, to_write: bool = False) -> Path:
        """See Environment.path; links are followed as the device sees them."""
        waiting = [word for word in reversed(remote.split("/")) if word not in ("", ".")]
        path, links = self.folder, 0
        while waiting:
            word = waiting.pop()
            if word == "..":
                path = path.parent if path != self.folder else path
                continue
            step = path / word
            if not step.is_symlink() or links > _LINKS_LIMIT:
                path = step
                continue
            links += 1
            target = str(step.readlink())
            path = self.folder if target.startswith("/") else path
            waiting += [part for part in reversed(target.split("/")) if part not in ("", ".")]
        here = Path("/") / path.relative_to(self.folder)
        if any(here.is_relative_to(one) for one in (*self.shared, *_KERNELS)):
            if to_write:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            return here
        return path

    def on_restart(self) -> None:
        """See Environment.on_restart: `/tmp` and `/run` are in memory."""
        for name in ("tmp", "run"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()


def this_machine(folder: Path) -> RootEnvironment:
    """A root in `folder` with this machine's programs and nothing else of its files."""
    shared = []
    for name in _SHARED:
        here = Path("/") / name
        if here.is_symlink():
            (folder / name).unlink(missing_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(here.readlink())
        elif here.is_dir():
            shared.append(here)
    argv = ("unshare", "--map-root-user", "--mount", "sh", str(_ENTER), str(folder))
    entering = (*argv, ":".join(map(str, shared)))
    return _made(RootEnvironment(folder, entering, shared=tuple(shared)))


def arm(folder: Path, cpu: str | None, progress: console.Progress) -> RootEnvironment:
    """The small ARM system in `folder`, made there if it is missing; raises as arm_root.make."""
    if not folder.exists():
        arm_root.copy(folder, progress)
    return another_machine(folder, cpu)


def another_machine(folder: Path, cpu: str | None = None) -> RootEnvironment:
    """The root that the user unpacked in `folder`; ARM code is emulated where it has to be.

    Raises NotFoundError (no root there, or no emulator), UnsupportedError.
    """
    shell = RootEnvironment(folder).path("/bin/sh")
    if not shell.is_file():
        message = f"`{folder}` is not a device's root folder: it has no /bin/sh"
        hint = "`debootstrap --arch=arm64 --variant=minbase bookworm FOLDER` makes one"
        raise errors.NotFoundError(message, hint=hint)
    return _made(RootEnvironment(folder, tuple(arm_root.enter(folder, cpu)), cpu))


def _made(environment: RootEnvironment) -> RootEnvironment:
    for name in (*_FOLDERS, *(str(here).lstrip("/") for here in environment.shared)):
        (environment.folder / name).mkdir(parents=True, exist_ok=True)
    completed = run(environment.argv("echo started"), timeout_s=_CHECK_TIMEOUT_S, check=False)
    if completed.stdout.strip() != "started":
        message = f"no program can be started in `{environment.folder}`: {completed.last_lines}"
        hint = (
            "user namespaces have to be allowed (`sysctl kernel.unprivileged_userns_clone`, "
            "`kernel.apparmor_restrict_unprivileged_userns`), and Linux 6.7 for ARM programs"
        )
        raise errors.UnsupportedError(message, hint=hint)
    return environment


def start(environment: Environment, line: str) -> subprocess.Popen[bytes]:
    """A program of the device with pipes to all three streams, in a session of its own."""
    return subprocess.Popen(
        environment.argv(line),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
