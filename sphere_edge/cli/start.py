"""Commands for the first minutes: doctor, quickstart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sphere_edge.cli.flags import Action, Json, example
from sphere_edge.errors import Status

app = typer.Typer()


@app.command(epilog=example("sphere-edge doctor", "sphere-edge doctor --json"))
def doctor(json: Json = False) -> Action:
    """Check the installation; say what to do next.

    Exits with code 11 (NOT_FOUND) if something required is missing.
    """

    def action() -> Status | None:
        from sphere_edge.commands import doctor as command
        from sphere_edge.doctor import is_healthy

        healthy = is_healthy(command.doctor(as_json=json))
        return None if healthy else Status.NOT_FOUND

    return action


@app.command(epilog=example("sphere-edge quickstart", "sphere-edge quickstart --no-images"))
def quickstart(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the bundles.")
    ] = Path("dist"),
    images: Annotated[
        bool,
        typer.Option(help="Also generate images; compiling their engine takes some minutes, once."),
    ] = True,
) -> Action:
    """Try everything on the built-in tiny models."""

    def action() -> None:
        from sphere_edge.commands import quickstart as command

        command.quickstart(output, images=images)

    return action
