"""Object files become a shared library, with the linker that the `ziglang` wheel carries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sphere_edge.compiler.target import CpuTarget
from sphere_edge.run import run
from sphere_edge.toolchain import compilers

_TIMEOUT_S = 120
# The oldest glibc that a device may have, as for the native core.
_GLIBC = "2.28"


def link_shared(objects: Sequence[Path], target: CpuTarget, out: Path) -> None:
    """Links `objects` into the shared library `out`; the same objects give the same bytes.

    The system's libraries are not needed: zig brings stubs for glibc and musl, and for Android and
    iOS what is undefined is found in the process that loads the library. Raises InternalError.
    """
    architecture, *_, system = target.triple.replace("arm64", "aarch64").split("-")
    arguments = ["-shared", "-o", str(out), *map(str, objects)]
    if system.startswith("gnu") or system.startswith("musl"):
        abi = f"gnu.{_GLIBC}" if system.startswith("gnu") else system
        arguments += ["-target", f"{architecture}-linux-{abi}", "-lm", *_REPRODUCIBLE]
    elif system.startswith("android"):
        # Google Play wants 16 KiB pages.
        pages = "-Wl,-z,max-page-size=16384"
        arguments += [
            "-target",
            f"{architecture}-linux-android",
            "-nostdlib",
            pages,
            *_REPRODUCIBLE,
        ]
    else:
        name = "ios" if "ios" in target.triple else "macos"
        arguments += ["-target", f"{architecture}-{name}", "-nostdlib"]
        arguments += ["-Wl,-undefined,dynamic_lookup"]
    run([compilers.zig(), "cc", *arguments], timeout_s=_TIMEOUT_S, env=compilers.environment())


_REPRODUCIBLE = ("-s", "-Wl,--build-id=none", "-Wl,-soname,model.so")
