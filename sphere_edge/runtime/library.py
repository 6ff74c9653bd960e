"""Loads the native core into this process, built first if it is not in the cache yet."""

from __future__ import annotations

import ctypes
import json
import sys
import threading
from pathlib import Path
from typing import Any

from sphere_edge import console, errors
from sphere_edge.bundle.manifest import RUNTIME_ABI
from sphere_edge.runtime import arguments, log
from sphere_edge.runtime.binding import C, Library
from sphere_edge.toolchain import native, targets

_lock = threading.Lock()
# By engines and backends for GGUF files: one for each time that an engine, or a GPU for a GGUF,
# was asked for that those before do not have.
_loaded: dict[tuple[tuple[str, ...], tuple[str, ...]], Library] = {}
# Handles of preloaded libraries; they stay for the life of the process.
_preloaded: list[ctypes.CDLL] = []
# The library that `use` named.
_given: Path | None = None


def use(path: Path) -> None:
    """From now on `load` takes the library at `path`, with TVM's beside it, and builds nothing.

    For a board, where nothing can be built; to be called before the first `load`.
    """
    global _given
    _given = path


def load(
    progress: console.Progress | None = None, *, engine: str = "tvm", gpu: str | None = None
) -> Library:
    """A native core with `engine`, loaded once for this process; any thread may call this.

    `engine`: tvm, llama, whisper or diffusion, as in a bundle's manifest. Building takes a minute
    or several, the first time only. `progress` None: a bar if there is a terminal, silence
    otherwise. `gpu`: with ggml's backend of that name, if it can be built. Raises LoadFailedError,
    and what building raises.
    """
    with _lock:
        # The first one that can: it is the one that registered its OpenCL device with TVM.
        for (engines, backends), library in _loaded.items():
            has_gpu = gpu is None or gpu.partition(":")[0] in backends
            if engine in engines and (has_gpu or _given is not None):
                return library
        library = _load(_given or native.library_for(engine, progress or _default_progress(), gpu))
        able = system_info(library)
        if engine not in able["engines"]:
            message = f"the runtime here was made without the engine `{engine}`"
            raise errors.UnsupportedError(message, hint="serve or deploy the model again")
        _loaded[tuple(able["engines"]), tuple(able["gguf_backends"])] = library
        return library


def system_info(library: Library) -> dict[str, Any]:
    """What the native core reports about itself and this machine (see `se_system_info`)."""
    info: dict[str, Any] = json.loads(library.string(C.se_system_info))
    return info


def model_info(path: Path, library: Library | None = None) -> dict[str, Any]:
    """What a bundle folder or .gguf file holds, without loading it (see `se_model_info`)."""
    info: dict[str, Any] = json.loads(
        (library or load()).string(C.se_model_info, arguments.model_path(path))
    )
    return info


def _default_progress() -> console.Progress:
    return console.progress() if sys.stderr.isatty() else console.SILENT


def _load(path: Path) -> Library:
    try:
        # The wheels' own files, not the copies beside our library: `import tvm` loads the same
        # ones, and two TVM runtimes in one process would not know each other's types.
        beside = [path.with_name(f"lib{name}.so") for name in ("tvm_ffi", "tvm_runtime")]
        for runtime in beside if _given else native.tvm_libraries(targets.host()):
            _preloaded.append(ctypes.CDLL(str(runtime), mode=ctypes.RTLD_GLOBAL))
        library = Library(path)
    except (OSError, AttributeError) as error:
        message = f"the native runtime does not load: {error}"
        hint = "remove the folder that `sphere-edge runtime info` names, and try again"
        raise errors.LoadFailedError(message, hint=hint) from error
    abi = system_info(library)["runtime_abi"]
    if abi != RUNTIME_ABI:
        message = f"the native runtime has ABI {abi}, this package needs {RUNTIME_ABI}"
        raise errors.FormatMismatchError(message, hint="install sphere-edge again")
    log.adopt(library)
    return library
