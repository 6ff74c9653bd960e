"""The content of a bundle's folder on a device, bundle and runtime, and how it is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphere_edge import errors
from sphere_edge.bundle.files import MANIFEST, SIGNATURES
from sphere_edge.bundle.read import Bundle
from sphere_edge.console import SILENT, Progress
from sphere_edge.devices import suitability
from sphere_edge.devices.items import Item
from sphere_edge.devices.probe import Probe
from sphere_edge.run import Completed
from sphere_edge.toolchain import native, targets

_OUTPUT_LIMIT = 1000


def bundle_items(bundle: Bundle) -> list[Item]:
    """The bundle's own files and its signatures, below `bundle/` on the device."""
    beside = [name for name in (MANIFEST, SIGNATURES) if (bundle.folder / name).is_file()]
    return [
        *(item(f"bundle/{name}", bundle.folder / name) for name in beside),
        *(
            Item(f"bundle/{file.path}", bundle.folder / file.path, file.bytes, file.sha256)
            for file in bundle.manifest.files
        ),
    ]


@dataclass(frozen=True)
class Runtime:
    """Which native runtime; `gpu`: with ggml's backend of that name, if it can be built."""

    engine: str
    gpu: str | None = None


COMPILED_MODELS = Runtime("tvm")


def runtime_items(
    probed: Probe, uri: str, runtime: Runtime = COMPILED_MODELS, progress: Progress = SILENT
) -> list[Item]:
    """The native runtime for the device, below `runtime/` there; built if need be.

    Raises UnsupportedError when there is no runtime for the device.
    """
    target = targets.host() if uri == "local" else suitability.runtime_target(probed, uri)
    build = native.build_for(runtime.engine, target, progress, runtime.gpu)
    return [
        item(f"runtime/{path.relative_to(build.folder).as_posix()}", path, is_program=True)
        for part in ("bin", "lib")
        for path in sorted((build.folder / part).rglob("*"))
        # Models are quantized before they are sent.
        if path.is_file() and path != build.quantizer
    ]


def runner(folder: str, command: str, words: Sequence[str]) -> list[str]:
    """The command line that lets the runner in `folder` do `command` with the bundle there."""
    return [*starting(folder), command, f"{folder}/bundle", *words, "--json"]


def starting(folder: str) -> list[str]:
    """The words that start the runner in `folder`."""
    libraries = f"LD_LIBRARY_PATH={folder}/runtime/lib"
    return ["env", libraries, f"{folder}/runtime/bin/sphere-edge-run"]


def runner_failure(
    completed: Completed, uri: str, *, hint: str | None = None
) -> errors.SphereEdgeError:
    """The error that a runner on the device ended with, from its JSON if it printed any."""
    if reported := _reported(completed.stdout):
        return errors.from_status(reported[0], f"on {uri}: {reported[1]}", reported[2])
    ending = (
        f"was ended by signal {-completed.exit_code}"
        if completed.exit_code < 0
        else f"failed with exit code {completed.exit_code}"
    )
    output = f":\n{completed.last_lines[-_OUTPUT_LIMIT:]}" if completed.last_lines else ""
    return errors.LoadFailedError(f"the runner {ending} on {uri}{output}", hint=hint)


def _reported(stdout: str) -> tuple[int, str, str | None] | None:
    """Code, message and hint of the error that the runner put into its JSON, if it did."""
    try:
        error: Any = json.loads(stdout)["error"]
        code, message, hint = error["code"], error["message"], error.get("hint")
        if errors.Status(code) is errors.Status.OK or not isinstance(message, str):
            return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    shown = hint[:_OUTPUT_LIMIT] if isinstance(hint, str) and hint else None
    return code, message[:_OUTPUT_LIMIT], shown


def item(path: str, source: Path, *, is_program: bool = False) -> Item:
    """The file `source` as `path` of a bundle's folder on a device."""
    with source.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return Item(path, source, source.stat().st_size, digest.hexdigest(), is_program)
