"""Device profiles: list, show, match, validate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sphere_edge.cli.flags import Action, DeviceUri, Json, example, help_unless_invoked

app = typer.Typer(invoke_without_command=True)


@app.callback()
def profiles(context: typer.Context) -> None:
    """Device profiles: list, show, match, validate."""
    help_unless_invoked(context)


@app.command("list", epilog=example("sphere-edge profiles list"))
def profiles_list(json: Json = False) -> Action:
    """List the devices that models can be packaged for."""

    def action() -> None:
        from sphere_edge.commands import profiles as command

        command.list_profiles(as_json=json)

    return action


@app.command("show", epilog=example("sphere-edge profiles show pixel8"))
def profiles_show(
    name: Annotated[str, typer.Argument(help="Name from `profiles list`.")], json: Json = False
) -> Action:
    """Show all that is known of a device, with sources."""

    def action() -> None:
        from sphere_edge.commands import profiles as command

        command.show_profile(name, as_json=json)

    return action


@app.command("match", epilog=example("sphere-edge profiles match --device ssh://orin"))
def profiles_match(device: DeviceUri, json: Json = False) -> Action:
    """Name the profile that suits a device best, and what differs from it."""

    def action() -> None:
        from sphere_edge.commands import profiles as command

        command.match_profile(device, as_json=json)

    return action


@app.command("validate", epilog=example("sphere-edge profiles validate my-board.toml"))
def profiles_validate(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Profile files of your own.")
    ],
    json: Json = False,
) -> Action:
    """Check profile files against the schema."""

    def action() -> None:
        from sphere_edge.commands import profiles as command

        command.validate_profiles(files, as_json=json)

    return action
