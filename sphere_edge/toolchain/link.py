"""Links object files that TVM made into a shared library, also for other machines."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from sphere_edge import errors
from sphere_edge.console import SILENT, Progress
from sphere_edge.run import ProgramFailedError, run
from sphere_edge.toolchain import compilers
from sphere_edge.toolchain.elf import library
from sphere_edge.toolchain.elf.objects import LinkError

_TIMEOUT_S = 300.0
_MADE = "module"
# Android has devices with such pages of memory.
_ANDROID_PAGE_BYTES = 1 << 14
# glibc 2.27 has faster ones than those that programs got before; of memcpy, 2.14.
_NEWER = ("expf", "exp2f", "logf", "log2f", "powf")
_GLIBC: Mapping[str, tuple[str, str]] = {name: ("libm.so.6", "GLIBC_2.27") for name in _NEWER}
_GLIBC_X86 = {**_GLIBC, "memcpy": ("libc.so.6", "GLIBC_2.14")}


def link_shared(
    objects: Sequence[Path], triple: str, out: Path, progress: Progress = SILENT
) -> None:
    """Writes the shared library `out` made of `objects`, whose LLVM triple is `triple`.

    What the objects call but do not define (TVM's runtime) is found when the library is loaded. The
    same objects give the same bytes, wherever they lie. For Linux and Android no program is needed,
    for macOS zig. Raises UnsupportedError for a triple that cannot be linked here (iOS: apps link
    the objects themselves) and InternalError with the linker's words.
    """
    architecture, system = _parts(triple)
    try:
        if system == "macos":
            _link_for_macos(objects, architecture, out, progress)
            return
        page_bytes = _ANDROID_PAGE_BYTES if system == "android" else None
        made = library.link(objects, _imports(architecture, system), page_bytes)
    except ProgramFailedError as error:
        raise _failure(triple, error.completed.last_lines) from error
    except LinkError as error:
        raise _failure(triple, str(error)) from error
    beside = out.with_name(f".{out.name}.making")
    beside.write_bytes(made)
    beside.chmod(0o755)
    beside.replace(out)


def _failure(triple: str, why: str) -> errors.InternalError:
    return errors.InternalError(f"the module cannot be linked for `{triple}`:\n{why}")


def _parts(triple: str) -> tuple[str, str]:
    """The architecture as zig names it, and one of `gnu`, `musl`, `android`, `macos`."""
    architecture = triple.split("-")[0].replace("arm64", "aarch64")
    for system in ("gnu", "musl", "android", "macos"):
        if system in triple and architecture in ("x86_64", "aarch64"):
            return architecture, system
    message = f"no shared library can be linked for `{triple}` here"
    raise errors.UnsupportedError(message)


def _imports(architecture: str, system: str) -> library.Imports:
    match system:
        case "android":
            return library.Imports(("libc.so", "libm.so"))
        case "musl":
            return library.Imports(("libc.so",))
    versions = _GLIBC_X86 if architecture == "x86_64" else _GLIBC
    return library.Imports(("libm.so.6", "libc.so.6"), versions)


def _link_for_macos(
    objects: Sequence[Path], architecture: str, out: Path, progress: Progress
) -> None:
    with tempfile.TemporaryDirectory(prefix=".link-", dir=out.parent) as folder:
        work = Path(folder)
        # Linkers put names of files into what they make; inside `work` these are always the same.
        names = [f"{number}.o" for number in range(len(objects))]
        for name, path in zip(names, objects, strict=True):
            shutil.copyfile(path, work / name)
        flags = ["-Wl,-undefined,dynamic_lookup", f"-Wl,-install_name,@rpath/{_MADE}"]
        run(
            [
                *(compilers.zig(), "cc", "-target", f"{architecture}-macos.13.0", "-shared", "-s"),
                *("-o", _MADE, *names, *flags),
            ],
            timeout_s=_TIMEOUT_S,
            cwd=work,
            env=compilers.environment(),
        )
        (work / _MADE).replace(out)
