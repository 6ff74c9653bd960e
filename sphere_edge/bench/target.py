"""A model and its runner on a device while they are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import profiles
from sphere_edge.bundle.manifest import Manifest
from sphere_edge.bundle.read import Bundle, is_gguf, read_manifest, runnable
from sphere_edge.console import Progress
from sphere_edge.devices import payload, suitability
from sphere_edge.devices.device import Device
from sphere_edge.devices.probe import Probe
from sphere_edge.devices.store import Store
from sphere_edge.errors import UnsupportedError
from sphere_edge.toolchain import ggml_gpu, native, targets


@dataclass(frozen=True)
class ModelOnDevice:
    """What is to be measured: the model at `path`, on `device` with its store in folder `store`."""

    device: Device
    path: Path
    store: str | None = None


@dataclass(frozen=True)
class BenchTarget:
    """A model that can be run now; `command` makes the runner's argv. A .gguf has no manifest."""

    device: Device
    name: str
    manifest: Manifest | None
    command: Callable[[str, Sequence[str]], list[str]]


@contextmanager
def bench_target(
    model: ModelOnDevice, probed: Probe, progress: Progress, backend: str | None = None
) -> Iterator[BenchTarget]:
    """The model, ready to run on its device until the block ends.

    On this machine it runs where it is. Elsewhere it is taken from the store if it was deployed,
    and otherwise sent there for the time being. `backend`: the one that it will run on.
    Raises what opening, fitting and sending raise.
    """
    device, path = model.device, model.path
    if device.uri == "local":
        yield _here(model, progress, backend)
        return
    if is_gguf(path):
        message = f"`{path}` is not a bundle, and {device.uri} runs only bundles"
        raise UnsupportedError(message, hint="`sphere-edge package` makes one of a .gguf file")
    bundle = Bundle.open(path, progress)
    suitability.check(bundle.manifest, probed, device.uri)
    manifest = bundle.manifest
    gpu = ggml_gpu.wanted(path, manifest, backend)
    wanted = payload.Runtime(manifest.engine, gpu)
    runtime = payload.runtime_items(probed, device.uri, wanted, progress)
    items = [*payload.bundle_items(bundle), *runtime]
    with Store(device, model.store).staged(items, progress) as folder:
        yield BenchTarget(
            device,
            bundle.manifest.name,
            bundle.manifest,
            lambda command, words: payload.runner(folder, command, words),
        )


def _here(model: ModelOnDevice, progress: Progress, backend: str | None) -> BenchTarget:
    opened = runnable(model.path, profiles.host(), progress)
    manifest = read_manifest(opened) if opened.is_dir() else None
    engine = manifest.engine if manifest else "llama"
    gpu = ggml_gpu.wanted(opened, manifest, backend)
    runner = native.build_for(engine, targets.host(), progress, gpu).runner
    return BenchTarget(
        model.device,
        manifest.name if manifest else model.path.stem,
        manifest,
        lambda command, words: [str(runner), command, str(opened), *words, "--json"],
    )
