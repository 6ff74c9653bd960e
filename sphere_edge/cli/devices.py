"""Commands that reach devices: devices, deploy, rollback, and the group device."""

from __future__ import annotations

from typing import Annotated

import typer

from sphere_edge.cli.flags import (
    Action,
    BundlePath,
    DeviceUri,
    InstalledName,
    Json,
    StoreFolder,
    TrustedFile,
    example,
    help_unless_invoked,
)

app = typer.Typer()
device_app = typer.Typer(invoke_without_command=True)
app.add_typer(device_app, name="device")
service_app = typer.Typer(invoke_without_command=True)
device_app.add_typer(service_app, name="service")


@app.command(
    epilog=example(
        "sphere-edge devices",
        "sphere-edge devices local --gpu",
        "sphere-edge devices ssh://orin --json",
    )
)
def devices(
    uris: Annotated[
        list[str] | None,
        typer.Argument(metavar="URI", help="Probe these devices instead."),
    ] = None,
    gpu: Annotated[
        bool,
        typer.Option("--gpu", help="Also query the GPU drivers, with the runner on the device."),
    ] = False,
    json: Json = False,
) -> Action:
    """List the devices that can be reached, or probe some."""

    def action() -> None:
        from sphere_edge.commands import devices as command

        command.list_devices(uris or [], gpu=gpu, as_json=json)

    return action


@app.command(
    epilog=example(
        "sphere-edge deploy dist/tiny.host --device local",
        "sphere-edge deploy dist/tiny.host --device ssh://me@board --dry-run",
        "sphere-edge deploy dist/qwen.jetson --device ssh://me@orin --service",
        "sphere-edge deploy dist/qwen.jetson --device ssh://me@orin --trusted key.pub.pem",
    )
)
def deploy(
    bundle: BundlePath,
    device: DeviceUri,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent; change nothing.")
    ] = False,
    allow_uncertified: Annotated[
        bool,
        typer.Option("--allow-uncertified", help="Use it even if it is not certified there."),
    ] = False,
    service: Annotated[
        bool,
        typer.Option(
            "--service", help="Serve it there, from each boot on, as a systemd unit (Linux, SSH)."
        ),
    ] = False,
    host: Annotated[
        str | None,
        typer.Option(help="Address there that --service binds. Default: 127.0.0.1."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port there of --service. Default: 8080."),
    ] = None,
    trusted: TrustedFile = None,
    store: StoreFolder = None,
    json: Json = False,
) -> Action:
    """Put a bundle on a device, test it, activate it.

    The runtime is sent along. A bundle that fails its test is not activated.
    """
    if not service and (host is not None or port is not None):
        message = "--host and --port are for --service."
        raise typer.BadParameter(message)

    def action() -> None:
        from sphere_edge.commands import deploy as command
        from sphere_edge.devices.open import StoreAddress
        from sphere_edge.devices.service import Address

        service_at = Address(host or "127.0.0.1", port or 8080) if service else None
        options = command.Options(dry_run, allow_uncertified, service_at, trusted)
        command.deploy(bundle, StoreAddress(device, store), options, as_json=json)

    return action


@app.command(epilog=example("sphere-edge rollback tiny --device local"))
def rollback(
    name: InstalledName, device: DeviceUri, store: StoreFolder = None, json: Json = False
) -> Action:
    """Activate the previous bundle again."""

    def action() -> None:
        from sphere_edge.commands import devices as command

        command.rollback(name, device, store, as_json=json)

    return action


@device_app.callback()
def device(context: typer.Context) -> None:
    """Manage deployed bundles; pair with a phone."""
    help_unless_invoked(context)


@device_app.command("pair", epilog=example("sphere-edge device pair 192.168.1.7:37099"))
def device_pair(
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="As the phone shows it.")],
    code: Annotated[
        str | None, typer.Option(metavar="DIGITS", help="Pairing code; asked for if not given.")
    ] = None,
) -> Action:
    """Pair with a phone over Wi-Fi (wireless debugging, Android 11 or newer)."""

    def action() -> None:
        from sphere_edge.commands import devices as command

        command.pair(address, code)

    return action


@device_app.command("list", epilog=example("sphere-edge device list --device local"))
def device_list(device: DeviceUri, store: StoreFolder = None, json: Json = False) -> Action:
    """List what is deployed on a device."""

    def action() -> None:
        from sphere_edge.commands import devices as command

        command.list_installed(device, store, as_json=json)

    return action


@device_app.command("remove", epilog=example("sphere-edge device remove tiny --device local"))
def device_remove(name: InstalledName, device: DeviceUri, store: StoreFolder = None) -> Action:
    """Remove a bundle from a device."""

    def action() -> None:
        from sphere_edge.commands import devices as command

        command.remove(name, device, store)

    return action


@device_app.command("gc", epilog=example("sphere-edge device gc --device local"))
def device_gc(device: DeviceUri, store: StoreFolder = None) -> Action:
    """Delete files that no current or previous bundle on a device uses."""

    def action() -> None:
        from sphere_edge.commands import devices as command

        command.collect(device, store)

    return action


@service_app.callback()
def service(context: typer.Context) -> None:
    """Manage the service that `deploy --service` installed."""
    help_unless_invoked(context)


@service_app.command(
    "status", epilog=example("sphere-edge device service status tiny --device ssh://me@board")
)
def service_status(
    name: InstalledName, device: DeviceUri, store: StoreFolder = None, json: Json = False
) -> Action:
    """Show the state and the log of a deployed bundle's service."""

    def action() -> None:
        from sphere_edge.commands import devices as command

        command.show_service(name, device, store, as_json=json)

    return action


@service_app.command(
    "remove", epilog=example("sphere-edge device service remove tiny --device ssh://me@board")
)
def service_remove(name: InstalledName, device: DeviceUri, store: StoreFolder = None) -> Action:
    """Stop and remove the service of a deployed bundle; the bundle stays."""

    def action() -> None:
        from sphere_edge.commands import devices as command

        command.remove_service(name, device, store)

    return action
