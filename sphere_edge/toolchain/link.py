"""Links object files that TVM made into a shared library with zig, also for other machines."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sphere_edge import errors
from sphere_edge.run import ProgramFailedError, run
from sphere_edge.toolchain import compilers

_TIMEOUT_S = 300.0
_MADE = "module"


def link_shared(objects: Sequence[Path], triple: str, out: Path) -> None:
    """Writes the shared library `out` made of `objects`, whose LLVM triple is `triple`.

    What the objects call but do not define (TVM's runtime) is found when the library is loaded. The
    same objects give the same bytes, wherever they lie. Raises UnsupportedError for a triple that
    cannot be linked here (iOS: apps link the objects themselves) and InternalError with the
    linker's words.
    """
    architecture, system = _parts(triple)
    with tempfile.TemporaryDirectory(prefix=".link-", dir=out.parent) as folder:
        work = Path(folder)
        # Linkers put names of files into what they make; inside `work` these are always the same.
        for number, path in enumerate(objects):
            shutil.copyfile(path, work / f"{number}.o")
        try:
            _link([f"{number}.o" for number in range(len(objects))], architecture, system, work)
        except ProgramFailedError as error:
            message = f"the module cannot be linked for `{triple}`:\n{error.completed.last_lines}"
            raise errors.InternalError(message) from error
        (work / _MADE).replace(out)


def _parts(triple: str) -> tuple[str, str]:
    """The architecture as zig names it, and one of `gnu`, `musl`, `android`, `macos`."""
    architecture = triple.split("-")[0].replace("arm64", "aarch64")
    for system in ("gnu", "musl", "android", "macos"):
        if system in triple and architecture in ("x86_64", "aarch64"):
            return architecture, system
    message = f"no shared library can be linked for `{triple}` here"
    raise errors.UnsupportedError(message)


def _link(objects: list[str], architecture: str, system: str, work: Path) -> None:
    match system:
        case "macos":
            target, flags = "macos.13.0", ["-Wl,-undefined,dynamic_lookup"]
            flags += [f"-Wl,-install_name,@rpath/{_MADE}"]
        case "android":
            # zig has no Android headers or libraries, and TVM's objects need neither: it is enough
            # to name the two libraries in which Android's loader finds their symbols.
            target = "linux-musl"
            flags = ["-nostdlib", "-Wl,-z,max-page-size=16384", "-Wl,--no-as-needed"]
            flags += [_empty_library(name, architecture, work) for name in ("libc.so", "libm.so")]
        case "musl":
            target, flags = "linux-musl", []
        case _:
            target, flags = "linux-gnu.2.28", ["-lm"]
    _zig(architecture, target, work, "-s", "-o", _MADE, *objects, *flags)


def _empty_library(name: str, architecture: str, work: Path) -> str:
    (work / "empty.c").touch()
    soname = f"-Wl,-soname,{name}"
    _zig(architecture, "linux-musl", work, "-nostdlib", soname, "-o", name, "empty.c")
    return name


def _zig(architecture: str, target: str, work: Path, *arguments: str) -> None:
    run(
        [compilers.zig(), "cc", "-target", f"{architecture}-{target}", "-shared", *arguments],
        timeout_s=_TIMEOUT_S,
        cwd=work,
        env=compilers.environment(),
    )
