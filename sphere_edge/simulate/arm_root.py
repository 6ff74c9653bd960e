"""A small Linux system for 64-bit ARM in a folder, whose programs run here through qemu.

It holds Debian's C and C++ libraries and busybox, downloaded by the machine's apt with a separate
state, so the machine itself is not changed. Programs run in an unprivileged namespace in which the
kernel passes ARM programs to qemu. glibc programs run as they would on a board, but very slowly.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from sphere_edge import console, errors
from sphere_edge.run import Completed, ProgramFailedError, run
from sphere_edge.toolchain import cache

# Raised when what is put into the folder changes.
_RECIPE = 1
_PACKAGES = ("libc6", "libgcc-s1", "libstdc++6", "busybox-static")
# Tables for rare character sets and documentation: 8 MB that nothing here opens.
_LEFT_OUT = ("usr/share", "usr/lib/aarch64-linux-gnu/gconv", "lib/aarch64-linux-gnu/gconv")
_FOLDERS = ("dev", "etc", "home", "mnt", "proc", "root", "run", "sys", "tmp", "usr/bin", "var/tmp")
_DEVICE_FILES = ("null", "zero", "full", "random", "urandom", "tty")
# These would stop the simulating machine: the user in the namespace may be its real root.
_TOO_STRONG = ("halt", "init", "linuxrc", "poweroff", "reboot")
_APT_TIMEOUT_S = 600.0
_STEP_TIMEOUT_S = 60.0
_QEMU_HINT = "install it (Debian, Ubuntu: `apt install qemu-user-static`)"

# An ELF file for 64-bit ARM, executable or shared, as linux/Documentation/admin-guide/binfmt-misc
# requires it: type M(agic), offset 0, the header's first 20 bytes and which of their bits count.
_MAGIC = r"\x7f\x45\x4c\x46\x02\x01\x01" + r"\x00" * 9 + r"\x02\x00\xb7\x00"
_MASK = r"\xff" * 7 + r"\x00" + r"\xff" * 8 + r"\xfe\xff\xff\xff"
# $1: the root, $2: qemu, or nothing where programs for ARM run without it; then the program.
# The kernel opens qemu when it is registered (F), so it need not exist inside the root; programs
# keep the name they were called by (P), from which busybox knows what it is.
_ENTER = rf"""
root=$1 qemu=$2; shift 2
if [ -n "$qemu" ] && mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc 2>/dev/null; then
  printf '%s' ':sphere-edge-arm64:M::{_MAGIC}:{_MASK}:'"$qemu"':OCPF' \
    >/proc/sys/fs/binfmt_misc/register || exit 125
fi
mount --bind "$root" "$root" &&
  mount --rbind /proc "$root/proc" && mount --rbind /sys "$root/sys" &&
  mount -t tmpfs -o mode=755 tmpfs "$root/dev" && mkdir -m 1777 "$root/dev/shm" || exit 125
for file in {" ".join(_DEVICE_FILES)}; do
  : >"$root/dev/$file" && mount --bind "/dev/$file" "$root/dev/$file"
done
exec "$@"
"""


def make(progress: console.Progress = console.SILENT, more: Sequence[str] = ()) -> Path:
    """The root's folder, from the cache or made now (seconds), checked to run programs.

    `more`: packages of Debian that it has, too, with what they depend on. All users of the cache
    share it: write to a `copy` only. Raises NotFoundError (no qemu), UnavailableError (no apt, or
    no packages for ARM), UnsupportedError (this kernel or its settings do not allow it),
    StorageError.
    """
    qemu = _qemu()
    name = "-".join(("debian-arm64", str(_RECIPE), *more))
    target = cache.folder() / "roots" / name
    title = "waiting for another process that makes the ARM system"
    with (
        ExitStack() as waiting,
        cache.made_once(
            target, on_wait=lambda: waiting.enter_context(progress.step(title))
        ) as made,
    ):
        waiting.close()
        if made is not None:
            _fill(made, qemu, progress, more)
    _check(target)
    return target


def copy(into: Path, progress: console.Progress = console.SILENT, more: Sequence[str] = ()) -> Path:
    """A root of its own in the new folder `into`; see `make`, and raises what that raises."""
    shutil.copytree(make(progress, more), into, symlinks=True)
    return into


def namespace(root: Path, cpu: str | None = None) -> list[str]:
    """The words before a program of this machine after which it can `chroot` into `root`.

    For long-running programs, such as a server. `cpu`: one of qemu's models, such as `cortex-a76`;
    None: all features that qemu has. The mounts end with the program's last process.
    """
    model = [] if cpu is None else ["env", f"QEMU_CPU={cpu}"]
    script = ["sh", "-c", _ENTER, "sh", str(root), _qemu()]
    return [*model, "unshare", "--user", "--map-root-user", "--mount", "--", *script]


def inside(root: Path) -> list[str]:
    """The words before a program of `root`, for one that runs in its `namespace` already."""
    return [_system_program("chroot"), str(root)]


def enter(root: Path, cpu: str | None = None) -> list[str]:
    """The words before a program of `root` that make it run there; see `namespace` for `cpu`."""
    return [*namespace(root, cpu), *inside(root)]


def _qemu() -> str:
    """The emulator, as a program without libraries; nothing on a machine that is ARM itself."""
    if platform.machine() == "aarch64":
        return ""
    found = shutil.which("qemu-aarch64-static")
    if found is None:
        message = "running programs for ARM needs the program `qemu-aarch64-static`"
        raise errors.NotFoundError(message, hint=_QEMU_HINT)
    return found


def _system_program(name: str) -> str:
    # Ordinary users often do not have it in their PATH.
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        message = f"the program `{name}` is not installed"
        raise errors.NotFoundError(message)
    return found


def _fill(root: Path, qemu: str, progress: console.Progress, more: Sequence[str]) -> None:
    work = root / ".apt"
    with progress.step("fetching a small ARM system"):
        packages = _download(work, more)
    for name in ("lib", "bin", "sbin"):
        # Newer packages bring /usr/lib only, older ones also /lib: to both it is one folder.
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in packages:
        unpacked = work / "unpacked"
        _apt(["dpkg-deb", "--extract", package, unpacked])
        for name in ("", "usr"):
            for part in ("lib", "bin", "sbin"):
                if (unpacked / name / part).is_dir():
                    shutil.copytree(
                        unpacked / name / part,
                        root / "usr" / part,
                        symlinks=True,
                        dirs_exist_ok=True,
                    )
        shutil.rmtree(unpacked)
    shutil.rmtree(work)
    for name in _LEFT_OUT:
        shutil.rmtree(root / name, ignore_errors=True)
    for name in _FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n", encoding="utf-8")
    (root / "etc/group").write_text("root:x:0:\n", encoding="utf-8")
    busybox = root / "bin/busybox"
    listed = run([*filter(None, [qemu]), busybox, "--list"], timeout_s=_STEP_TIMEOUT_S).stdout
    for name in listed.split():
        if name not in _TOO_STRONG and not (root / "bin" / name).exists():
            (root / "bin" / name).symlink_to("busybox")


def _download(work: Path, more: Sequence[str]) -> list[Path]:
    """Debian's packages for ARM, by apt with a state of its own in `work`."""
    for name in ("lists/partial", "cache/archives/partial", "packages"):
        (work / name).mkdir(parents=True)
    (work / "status").touch()
    options = (
        *(f"Dir::State={work}", f"Dir::State::status={work}/status", f"Dir::Cache={work}/cache"),
        f"Dir::State::lists={work}/lists",
        *("APT::Architecture=arm64", "APT::Architectures=arm64", "Acquire::Languages=none"),
        *("APT::Sandbox::User=root", "Acquire::Retries=2"),
    )
    words = ["apt-get", "--quiet", *(word for option in options for word in ("-o", option))]
    _apt([*words, "update"])
    _apt([*words, "download", *_PACKAGES], work / "packages")
    if more:
        # Nothing is installed, so apt fetches all that they depend on.
        fetching = ("--yes", "--no-install-recommends", "--download-only")
        _apt([*words, *fetching, "install", *more])
    folders = (work / "packages", work / "cache" / "archives")
    found = {path.name: path for folder in folders for path in folder.glob("*.deb")}
    return [found[name] for name in sorted(found)]


def _apt(argv: Sequence[str | Path], folder: Path | None = None) -> Completed:
    try:
        return run(
            argv, timeout_s=_APT_TIMEOUT_S, cwd=folder, env={"LC_ALL": "C"}, how_to_get=_QEMU_HINT
        )
    except (ProgramFailedError, errors.NotFoundError) as error:
        message = f"the ARM system cannot be fetched from this machine's package index:\n{error}"
        hint = "it is made on Debian, whose index also holds packages for ARM"
        raise errors.UnavailableError(message, hint=hint) from error


def _check(root: Path) -> None:
    try:
        output = run([*enter(root), "/bin/uname", "-m"], timeout_s=_STEP_TIMEOUT_S).stdout.strip()
    except ProgramFailedError as error:
        output = error.completed.last_lines
    if output != "aarch64":
        message = f"programs for ARM cannot be run in a namespace here:\n{output}"
        hint = "Linux 6.7 or newer with unprivileged user namespaces is needed"
        raise errors.UnsupportedError(message, hint=hint)
