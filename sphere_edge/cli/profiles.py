"""Device profiles: list, show, compare, match, new, validate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sphere_edge.cli.flags import Action, DeviceUri, Json, example, help_unless_invoked

app = typer.Typer(invoke_without_command=True)


@app.callback()
def profiles(context: typer.Context) -> None:
    """List, show, compare, match and make profiles."""
    help_unless_invoked(context)


@app.command(
    "list",
    epilog=example(
        "sphere-edge profiles list",
        "sphere-edge profiles list --os android --gpu opencl --memory 8",
    ),
)
def profiles_list(
    os: Annotated[str | None, typer.Option(help="Only linux, android, ios or macos.")] = None,
    gpu: Annotated[
        str | None, typer.Option(help="Only with this GPU API: opencl, metal, cuda, vulkan, none.")
    ] = None,
    soc: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only if the chip's name contains this.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="GIB", help="Only with at least this much RAM.")
    ] = None,
    json: Json = False,
) -> Action:
    """List the devices that models can be packaged for."""

    def action() -> None:
        from sphere_edge.commands import profiles as command
        from sphere_edge.profiles.selection import Filter

        command.list_profiles(Filter(os=os, gpu=gpu, soc=soc, memory=memory), as_json=json)

    return action


@app.command("compare", epilog=example("sphere-edge profiles compare pixel8 iphone15-pro"))
def profiles_compare(
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="From `profiles list`.")],
    json: Json = False,
) -> Action:
    """Show devices side by side."""

    def action() -> None:
        from sphere_edge.commands import profiles as command

        command.compare_profiles(names, as_json=json)

    return action


@app.command(
    "new",
    epilog=example(
        "sphere-edge profiles new --from-device ssh://me@board -o board.toml",
        "sphere-edge profiles new --from galaxy-s24 -o my-s24.toml",
    ),
)
def profiles_new(
    device: Annotated[
        str | None,
        typer.Option(
            "--from-device", metavar="URI", help="local, adb:SERIAL or ssh://user@host:port."
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option("--from", metavar="PROFILE", help="Or a profile to copy."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Default: derived from the device's name.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: NAME.toml")
    ] = None,
) -> Action:
    """Write a profile from what a device reports, or a copy of another profile."""

    def action() -> None:
        from sphere_edge.commands import profiles as command

        command.new_profile(device, profile, name, output)

    return action


@app.command("show", epilog=example("sphere-edge profiles show pixel8"))
def profiles_show(
    name: Annotated[str, typer.Argument(help="Name from `profiles list`.")], json: Json = False
) -> Action:
    """Show everything known about a device, with sources."""

    def action() -> None:
        from sphere_edge.commands import profiles as command

        command.show_profile(name, as_json=json)

    return action


@app.command("match", epilog=example("sphere-edge profiles match --device ssh://orin"))
def profiles_match(device: DeviceUri, json: Json = False) -> Action:
    """Find the profile that matches a device best, and the differences."""

    def action() -> None:
        from sphere_edge.commands import profiles as command

        command.match_profile(device, as_json=json)

    return action


@app.command("validate", epilog=example("sphere-edge profiles validate my-board.toml"))
def profiles_validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Profile files.")],
    json: Json = False,
) -> Action:
    """Check profile files against the schema."""

    def action() -> None:
        from sphere_edge.commands import profiles as command

        command.validate_profiles(files, as_json=json)

    return action
