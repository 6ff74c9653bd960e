"""Puts what serves on a board: the runtime with all engines that the models need, and the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import errors
from sphere_edge.boards import python_there, server_file
from sphere_edge.boards.python_there import Python
from sphere_edge.bundle.manifest import Manifest
from sphere_edge.bundle.read import Bundle
from sphere_edge.certify import deployment
from sphere_edge.console import SILENT, Progress
from sphere_edge.devices import payload, service, suitability
from sphere_edge.devices.device import Device
from sphere_edge.devices.items import Item, bundle_id
from sphere_edge.devices.open import parse_uri
from sphere_edge.devices.probe import probe
from sphere_edge.devices.store import Store
from sphere_edge.toolchain import native, targets

# What `serve --device` uses, whatever it serves.
SHARED = f"sphere-edge{service.SUFFIX}"


@dataclass(frozen=True)
class DeployedServer:
    """A server on a board: its folder there, and the Python that runs it."""

    folder: str
    python: Python

    @property
    def argv(self) -> list[str]:
        """The words that start its file, without its own arguments.

        Isolated, and without the packages of the system: nothing of theirs is used.
        """
        return [self.python.path, "-IS", f"{self.folder}/server/{server_file.NAME}"]


def require_board(uri: str) -> None:
    """Raises UnsupportedError for a phone, before anything else is tried."""
    if parse_uri(uri).kind == "adb":
        message = f"no server runs on {uri}: phones have no Python"
        hint = "apps use the SDK; `sphere-edge deploy` and `bench` run the model there"
        raise errors.UnsupportedError(message, hint=hint)


def deploy_bundles(
    store: Store,
    bundles: Sequence[Bundle],
    trusted: Path | None = None,
    progress: Progress = SILENT,
) -> list[str]:
    """The bundles' folders there; those that are not in use there yet are deployed.

    `trusted`: a file of keys, one of which must have signed each, here and there. Raises what
    checking and deploying raise.
    """
    keys = None if trusted is None else deployment.KeyFile.read(trusted)
    # All before the first is opened here or switched there.
    checked = [None if keys is None else keys.check(bundle) for bundle in bundles]
    installed = store.installed()
    current = {one.name: one.bundle for one in installed}
    folders = []
    for bundle, signed in zip(bundles, checked, strict=True):
        prepared = deployment.prepare(store.device, bundle, store.root, progress)
        if signed is not None:
            prepared = prepared.trusted(signed)
        else:
            prepared.warn_of_no_keys(installed, progress)
        name, there = bundle.manifest.name, bundle_id(prepared.items)
        if current.get(name) != there:
            prepared.run(progress=progress)
        folders.append(f"{store.root}/bundles/{there}/bundle")
    return folders


def deploy_server(
    store: Store, name: str, manifests: Sequence[Manifest], progress: Progress = SILENT
) -> DeployedServer:
    """Puts a server for the models of `manifests` into the store, as `name`.

    Raises UnsupportedError (no Python, another C library), and what building and sending raise.
    """
    python = python_there.find(store.device)
    libraries = _libraries(store.device, manifests, progress)
    file = server_file.make(python, progress)
    items = (*libraries, payload.item(f"server/{server_file.NAME}", file))
    return DeployedServer(store.deploy(name, items, progress=progress).folder, python)


def _libraries(device: Device, manifests: Sequence[Manifest], progress: Progress) -> list[Item]:
    """The runtime's libraries, below `runtime/lib/`."""
    uri = device.uri
    target = targets.host() if uri == "local" else suitability.runtime_target(probe(device), uri)
    if target.is_static or target.system == "android":
        message = f"no server runs on {uri}: the library is built for Linux with glibc"
        raise errors.UnsupportedError(message, hint="`sphere-edge deploy` runs the model there")
    gpus = [one.ggml_gpu for one in manifests if one.ggml_gpu is not None]
    engines = {one.engine for one in manifests}
    if any(one.task == "text" for one in manifests):
        # Its parsers read tool calls and reasoning, for compiled models, too.
        engines.add("llama")
    build = native.build_with(engines, target, progress, gpus[0] if gpus else None)
    return [
        payload.item(f"runtime/{path.relative_to(build.folder).as_posix()}", path, is_program=True)
        for path in sorted((build.folder / "lib").rglob("*"))
        if path.is_file()
    ]
