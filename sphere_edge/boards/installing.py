"""`deploy --service`: a deployed bundle served by a systemd service of the board."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sphere_edge.boards import server_deployment, server_file
from sphere_edge.bundle.manifest import Manifest
from sphere_edge.console import SILENT, Progress
from sphere_edge.devices import service
from sphere_edge.devices.service import Address, Service, ServiceStatus
from sphere_edge.devices.store import Store
from sphere_edge.server.on_board import OnBoard
from sphere_edge.server.settings import Settings


@dataclass(frozen=True)
class Installed:
    """A service that was installed: its state, its URL, and the file on the board with its key."""

    status: ServiceStatus
    url: str
    key_file: str


def install(
    store: Store, manifest: Manifest, address: Address, progress: Progress = SILENT
) -> Installed:
    """Installs and starts the service for the deployed bundle of `manifest`.

    Raises what server_deployment the server and `service.install` raise.
    """
    name = manifest.name
    deployed = server_deployment.deploy_server(
        store, f"{name}{service.SUFFIX}", [manifest], progress
    )
    wanted = Service(
        root=store.root,
        name=name,
        file=f"server/{server_file.NAME}",
        python=deployed.python.path,
        settings=_settings(store.root, name, address),
    )
    host = f"[{address.host}]" if ":" in address.host else address.host
    return Installed(
        service.install(store.device, wanted),
        url=f"http://{host}:{address.port}/v1",
        key_file=f"{wanted.folder}/key",
    )


def _settings(root: str, name: str, address: Address) -> str:
    """The key is asked for on the loopback, too: every user of the board reaches that."""
    folder = Path(service.own_folder(root, name))
    settings = Settings(
        host=address.host,
        port=address.port,
        # A bundle that does not open is a service that does not start.
        opens_at_start=True,
        store=folder / "responses.sqlite",
    )
    return OnBoard(settings=settings, key_file=folder / "key").model_dump_json()
