"""Builds the native core for a target, once per content of everything that goes into it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import itertools
import platform
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import console, errors, resources
from sphere_edge.toolchain import archives, cache, compilers, ggml_gpu, prebuilt, sources, wheels
from sphere_edge.toolchain.project import Project, build_folder, build_project
from sphere_edge.toolchain.targets import Target, host, host_levels

# The archives that each engine of the core links; compiled models (tvm) run in every build.
_PARTS = {
    "tvm": ("vocab",),
    "llama": ("vocab", "ggml", "llama", "chat", "vision"),
    "whisper": ("vocab", "ggml", "whisper"),
    "diffusion": ("vocab", "ggml", "diffusion"),
}
ALL_ENGINES = tuple(_PARTS)
# What is built unless something else is asked for; stable-diffusion.cpp takes as long to compile
# as all the rest.
DEFAULT_ENGINES = ("tvm", "llama", "whisper")
# The library alone, without the runner, for compiled models: what the first answer needs.
STARTER: tuple[str, ...] = ()
# The engines of each manager.
MANAGERS = {"text": ("tvm", "llama"), "audio": ("whisper",), "image": ("diffusion",)}


@dataclass(frozen=True)
class NativeBuild:
    """A finished build: `lib/` holds the library and what it needs beside it, `bin/` the runner.

    `library` is None where the runner is one static file.
    """

    folder: Path
    library: Path | None
    runner: Path

    @property
    def quantizer(self) -> Path:
        """llama.cpp's quantizer as a program; only builds for this machine have it."""
        return self.folder / "bin" / "sphere-edge-quantize"


def build(
    target: Target,
    progress: console.Progress = console.SILENT,
    engines: Collection[str] = DEFAULT_ENGINES,
    gpu: str | None = None,
) -> NativeBuild:
    """The native core for `target`: from the cache, or compiled now (a minute, or several).

    `engines` of ALL_ENGINES, `tvm` always among them, or STARTER; `gpu` is ggml's backend for GPUs
    that it has, which takes some minutes more. Raises InternalError with the compiler's words and
    the log's path when it does not compile, InvalidArgumentError, and what fetching sources,
    finding compilers and `ggml_gpu.parts` raise.
    """
    if gpu is None and (level := level_in_wheel(target)) is not None:
        target, engines = level, ALL_ENGINES
    project = core_project(target, engines, gpu)
    finished = build_folder(project, target)
    if not (finished.is_dir() or prebuilt.find(finished.name)):
        prepare(target, progress, engines, gpu)
    folder = build_project(project, target, progress)
    return NativeBuild(
        folder=folder,
        library=None
        if target.is_static
        else folder / "lib" / f"libsphere_edge{target.library_suffix}",
        runner=folder / "bin" / "sphere-edge-run",
    )


def prepare(
    target: Target,
    progress: console.Progress = console.SILENT,
    engines: Collection[str] = DEFAULT_ENGINES,
    gpu: str | None = None,
) -> None:
    """Fetches and makes everything that `core_project` of the same arguments is compiled with."""
    compilers.require()
    for name in _sources(engines, gpu, target):
        sources.fetch(name, progress)
    archives.build(parts(target, engines, gpu), target, progress)
    if not (target.is_tvm_from_source or _installed_tvm_serves(target)):
        wheels.fetch_tvm_runtime(target.architecture, progress)
    if gpu is not None:
        ggml_gpu.parts(gpu, target).prepare(progress)


def find(
    target: Target, engines: Collection[str] = DEFAULT_ENGINES, gpu: str | None = None
) -> Path | None:
    """The folder of the native core for `target` if it is built already, or came in a wheel."""
    if gpu is None and (level := level_in_wheel(target)) is not None:
        target, engines = level, ALL_ENGINES
    folder = build_folder(core_project(target, engines, gpu), target)
    if folder.is_dir():
        return folder
    return prebuilt.find(folder.name)


def level_in_wheel(target: Target) -> Target | None:
    """For the machine we run on: the highest CPU level of it whose runtime came in our wheel."""
    if target.name != "host" or not prebuilt.are_for_here():
        return None
    for level in host_levels():
        folder = build_folder(core_project(level, ALL_ENGINES), level)
        if prebuilt.is_for_here(folder.name):
            return level
    return None


def build_for(
    engine: str,
    target: Target,
    progress: console.Progress = console.SILENT,
    gpu: str | None = None,
) -> NativeBuild:
    """A native core with `engine`; see `build_with`."""
    return build_with((engine,), target, progress, gpu)


def build_with(
    wanted: Collection[str],
    target: Target,
    progress: console.Progress = console.SILENT,
    gpu: str | None = None,
) -> NativeBuild:
    """A native core with `wanted`: the fullest that is there, or else one that gains these engines.

    `gpu`: with ggml's backend of that name, or with a warning without it where that cannot be
    built. Raises what `build` raises.
    """
    if gpu is not None:
        try:
            if target.name == "host":
                ggml_gpu.require_device(gpu)
            return build(target, progress, _ordered((*DEFAULT_ENGINES, *wanted)), gpu)
        except (errors.NotFoundError, errors.UnsupportedError, errors.InternalError) as error:
            why = f"{error.message} ({error.hint})" if error.hint else error.message
            progress.warn(f"the runtime is built without `{gpu}`: {why}")
    # One by one: the fullest is nearly always the right one, and looking for one hashes its inputs.
    fitting = (engines for engines in _each_built(target) if set(wanted) <= set(engines))
    with_them = next(fitting, None)
    if with_them is None:
        with_them = _ordered((*next(_each_built(target), ("tvm",)), *wanted))
    return build(target, progress, with_them)


def _ordered(engines: Collection[str]) -> tuple[str, ...]:
    return tuple(engine for engine in ALL_ENGINES if engine in engines)


def library_for(
    engine: str, progress: console.Progress = console.SILENT, gpu: str | None = None
) -> Path:
    """The library of a native core with `engine` for this machine, built as `build_for` does.

    Where nothing is built yet and the model is a compiled one, STARTER will do.
    """
    target = host()
    starts = engine == "tvm" and gpu is None and not built(target)
    made = build(target, progress, STARTER) if starts else build_for(engine, target, progress, gpu)
    assert made.library is not None  # only targets without a loader have none
    return made.library


def built(target: Target) -> list[tuple[str, ...]]:
    """The engines of each build with a runner for `target` that is there, the fullest first."""
    return list(_each_built(target))


def _each_built(target: Target) -> Iterator[tuple[str, ...]]:
    if level_in_wheel(target) is not None:
        yield ALL_ENGINES
        return
    optional = ALL_ENGINES[1:]
    choices = (
        ("tvm", *chosen)
        for count in range(len(optional), -1, -1)
        for chosen in itertools.combinations(optional, count)
    )
    yield from (engines for engines in choices if find(target, engines) is not None)


def core_project(
    target: Target, engines: Collection[str] = DEFAULT_ENGINES, gpu: str | None = None
) -> Project:
    """`native/` with the sources (where `fetch` puts them) and libraries it is built against."""
    used_parts = parts(target, engines, gpu)
    used = {name: sources.SOURCES[name] for name in _sources(engines, gpu, target)}
    folders = {part: archives.folder(part, target) for part in used_parts}
    more = ggml_gpu.parts(gpu, target) if gpu is not None else ggml_gpu.Parts({})
    libraries = () if target.is_tvm_from_source else tvm_libraries(target)
    names = ("SE_TVM_FFI_LIBRARY", "SE_TVM_RUNTIME_LIBRARY")
    switches = {
        "SE_TVM_FROM_SOURCE": target.is_tvm_from_source,
        "SE_STATIC": target.is_static,
        "SE_STARTER": not engines,
        # A runtime in a wheel is for the machine on which it is installed, too.
        "SE_TOOLS": target.name == "host" or target.libc == "gnu",
    }
    return Project(
        name="native",
        folder=resources.folder("native"),
        definitions={
            **{name: "ON" for name, is_on in switches.items() if is_on},
            "SE_PARTS": ";".join(part for part in used_parts if part not in ("metal", "libcxx")),
            **more.definitions,
        },
        folders={
            "SE_WHISPER_CPP_DIR": sources.folder(sources.SOURCES["whisper_cpp"]),
            **{f"SE_{name.upper()}_DIR": sources.folder(source) for name, source in used.items()},
            "SE_ENGINES_DIR": ";".join(
                str(folder) for part, folder in folders.items() if part != "libcxx"
            ),
            **({"SE_LIBCXX": folders["libcxx"] / "libse_libcxx.a"} if "libcxx" in folders else {}),
            "SE_BATCHES_DIR": cache.folder() / "batches",
            "SE_TVM_DIR": _wheel_folder("tvm"),
            "SE_TVM_FFI_DIR": _wheel_folder("tvm_ffi"),
            **dict(zip(names, libraries, strict=False)),
            **more.folders,
        },
        beside=libraries,
        pins={
            **{name: source.key for name, source in used.items()},
            **{part: folder.name for part, folder in folders.items()},
            "apache-tvm": importlib.metadata.version("apache-tvm"),
            "apache-tvm-ffi": importlib.metadata.version("apache-tvm-ffi"),
            **more.pins,
        },
        leave_out=("tests", "engines"),
    )


def parts(
    target: Target, engines: Collection[str] = DEFAULT_ENGINES, gpu: str | None = None
) -> tuple[str, ...]:
    """Which archives of `archives.PARTS` such a build links. Raises InvalidArgumentError."""
    for engine in engines:
        if engine not in _PARTS:
            message = f"no such engine: `{engine}`"
            raise errors.InvalidArgumentError(message, hint=f"choose from: {', '.join(_PARTS)}")
    used = {part for engine in ("tvm", *engines) for part in _PARTS[engine]}
    if gpu == "metal":
        used.add("metal")
    if target.compiler == "zig" and target.system == "linux":
        used.add("libcxx")
    return tuple(part for part in archives.PARTS if part in used)


def sources_of(parts: Collection[str]) -> tuple[str, ...]:
    """Which of `sources.SOURCES` a core with these archives is compiled from, and they are."""
    return (*archives.sources_of(parts), "monocypher")


def _sources(engines: Collection[str], gpu: str | None, target: Target) -> tuple[str, ...]:
    """What of SOURCES the core is compiled with; engines.build fetches what the archives need."""
    used = sources_of(parts(target, engines, gpu))
    extra = ggml_gpu.parts(gpu, target).sources if gpu is not None else ()
    return tuple(dict.fromkeys((*used, *extra)))


def tvm_libraries(target: Target) -> tuple[Path, ...]:
    """TVM's runtime for `target`, in loading order. Raises UnsupportedError.

    From the installed wheels, or where fetched ones lie or will lie; each serves every CPU level of
    its system and architecture (manylinux: glibc 2.27).
    """
    if _installed_tvm_serves(target):
        suffix = target.library_suffix
        return (
            _wheel_folder("tvm_ffi") / "lib" / f"libtvm_ffi{suffix}",
            _wheel_folder("tvm") / "lib" / f"libtvm_runtime{suffix}",
        )
    if target.libc != "gnu":
        message = f"TVM has no libraries for `{target.name}`"
        raise errors.UnsupportedError(message)
    return wheels.tvm_runtime(target.architecture)


def _installed_tvm_serves(target: Target) -> bool:
    here = (host().system, platform.machine(), "gnu")
    return target.name == "host" or here == (target.system, target.architecture, target.libc)


def _wheel_folder(package: str) -> Path:
    # Found, not imported: importing tvm takes seconds and loads 260 MB.
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        message = f"the Python package `{package}` is not installed"
        raise errors.NotFoundError(message, hint="install sphere-edge again")
    return Path(spec.submodule_search_locations[0])
