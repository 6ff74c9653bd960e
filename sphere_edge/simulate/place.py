"""Where the programs of a simulated device run: on this machine, or in a root folder of its own."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sphere_edge import errors
from sphere_edge.run import run

_ENTER = Path(__file__).with_name("enter.sh")
_ELF_AARCH64 = 183
_LINKS_LIMIT = 40
# What a Linux program finds in every root; the rest a root brings itself.
_FOLDERS = ("proc", "sys", "dev", "tmp", "root", "run", "var/tmp", "data/local/tmp")
_KERNELS = (Path("/proc"), Path("/sys"), Path("/dev"))
# In a root made from this machine these are its own, read-only.
_SHARED = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "etc")
_CHECK_TIMEOUT_S = 60


class Place(Protocol):
    """Where a simulated device's programs run and its files lie."""

    def argv(self, line: str) -> list[str]:
        """The command, for this machine, that has the device's shell run `line`."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What is added to the environment of that command."""

    def path(self, remote: str, *, to_write: bool = False) -> Path:
        """Where the device's file `remote` lies on this machine.

        Raises OSError if it is `to_write` and may not be written.
        """

    def restarted(self) -> None:
        """Forgets what a device forgets when it restarts."""


@dataclass(frozen=True)
class HostPlace:
    """Programs and files are this machine's own."""

    environment: Mapping[str, str] = field(default_factory=dict)
    shell: str = "/bin/sh"

    def argv(self, line: str) -> list[str]:
        """See Place.argv."""
        return [self.shell, "-c", line]

    def path(self, remote: str, *, to_write: bool = False) -> Path:
        """See Place.path."""
        return Path(remote)

    def restarted(self) -> None:
        """Nothing: this machine does not restart."""


@dataclass(frozen=True)
class RootPlace:
    """`folder` is the device's `/`; its kernel is this machine's.

    With `emulator`, its machine code is another CPU's; `cpu` is that CPU in the emulator's words.
    Needs no privileges, only user namespaces; and, for an emulator that this machine has not
    registered itself, Linux 6.7, where each namespace may register its own.
    """

    folder: Path
    emulator: Path | None = None
    cpu: str | None = None
    # Folders of this machine that the device sees, too, read-only.
    shared: tuple[Path, ...] = ()

    @property
    def environment(self) -> Mapping[str, str]:
        """See Place.environment."""
        return {} if self.cpu is None else {"QEMU_CPU": self.cpu}

    def argv(self, line: str) -> list[str]:
        """See Place.argv."""
        shared = ":".join(map(str, self.shared))
        entering = ["unshare", "--map-root-user", "--mount", "sh", str(_ENTER), str(self.folder)]
        return [*entering, str(self.emulator or ""), shared, "/bin/sh", "-c", line]

    def path(self, remote: str, *, to_write: bool = False) -> Path:
        """See Place.path; links are followed as the device sees them."""
        waiting = [word for word in reversed(remote.split("/")) if word not in ("", ".")]
        place, links = self.folder, 0
        while waiting:
            word = waiting.pop()
            if word == "..":
                place = place.parent if place != self.folder else place
                continue
            step = place / word
            if not step.is_symlink() or links > _LINKS_LIMIT:
                place = step
                continue
            links += 1
            target = str(step.readlink())
            place = self.folder if target.startswith("/") else place
            waiting += [part for part in reversed(target.split("/")) if part not in ("", ".")]
        here = Path("/") / place.relative_to(self.folder)
        if any(here.is_relative_to(one) for one in (*self.shared, *_KERNELS)):
            if to_write:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            return here
        return place

    def restarted(self) -> None:
        """See Place.restarted: `/tmp` and `/run` are in memory."""
        for name in ("tmp", "run"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()

    def check(self) -> None:
        """Raises UnsupportedError where this machine cannot start the device's programs."""
        completed = run(
            self.argv("echo started"),
            timeout_s=_CHECK_TIMEOUT_S,
            env=self.environment,
            check=False,
            how_to_get="install util-linux",
        )
        if completed.stdout.strip() != "started":
            message = f"no program can be started in `{self.folder}`: {completed.last_lines}"
            hint = (
                "user namespaces have to be allowed (`sysctl kernel.unprivileged_userns_clone`, "
                "`kernel.apparmor_restrict_unprivileged_userns`) and, for another CPU's programs, "
                "Linux 6.7 or a registered qemu-user-static"
            )
            raise errors.UnsupportedError(message, hint=hint)


def this_machine(folder: Path) -> RootPlace:
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
    return _made(RootPlace(folder, shared=tuple(shared)))


def another_machine(folder: Path, cpu: str | None = None) -> RootPlace:
    """The root in `folder`, unpacked there by the user; emulated if its CPU is another one.

    Raises NotFoundError (there is no root, or no emulator), UnsupportedError.
    """
    shell = RootPlace(folder).path("/bin/sh")
    try:
        with shell.open("rb") as file:
            header = file.read(20)
    except OSError as error:
        message = f"`{folder}` is no root of a device: it has no /bin/sh"
        hint = "`debootstrap --arch=arm64 --variant=minbase bookworm FOLDER` makes one"
        raise errors.NotFoundError(message, hint=hint) from error
    is_arm = header[:4] == b"\x7fELF" and int.from_bytes(header[18:20], "little") == _ELF_AARCH64
    if not is_arm or platform.machine() in ("aarch64", "arm64"):
        return _made(RootPlace(folder))
    found = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if found is None:
        message = f"the programs in `{folder}` are for ARM, and there is no emulator for it here"
        raise errors.NotFoundError(message, hint="apt install qemu-user-static")
    return _made(RootPlace(folder, Path(found), cpu))


def _made(place: RootPlace) -> RootPlace:
    for name in (*_FOLDERS, *(str(here).lstrip("/") for here in place.shared)):
        (place.folder / name).mkdir(parents=True, exist_ok=True)
    place.check()
    return place


def start(
    place: Place, line: str, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """A program of the device with pipes to all three streams, in a session of its own."""
    return subprocess.Popen(
        place.argv(line),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **place.environment, **(environment or {})},
        start_new_session=True,
    )
