"""The native runtime: build, info."""

from __future__ import annotations

from typing import Annotated

import typer

from sphere_edge.cli.flags import Action, Json, example, help_unless_invoked

app = typer.Typer(invoke_without_command=True)


@app.callback()
def runtime(context: typer.Context) -> None:
    """The native runtime: build it, ask about it."""
    help_unless_invoked(context)


@app.command(
    "build",
    epilog=example("sphere-edge runtime build", "sphere-edge runtime build --managers text"),
)
def runtime_build(
    profile: Annotated[
        str, typer.Option("--profile", "-p", help="Device to build it for.")
    ] = "host",
    managers: Annotated[
        str, typer.Option(metavar="NAME,NAME", help="What it can do: text, audio.")
    ] = "text,audio",
    json: Json = False,
) -> Action:
    """Build the native runtime, or find it in the cache."""

    def action() -> None:
        from sphere_edge.commands import runtime as command

        command.build(profile, managers, as_json=json)

    return action


@app.command("info", epilog=example("sphere-edge runtime info --json"))
def runtime_info(json: Json = False) -> Action:
    """Say what the runtime on this machine is and can do."""

    def action() -> None:
        from sphere_edge.commands import runtime as command

        command.info(as_json=json)

    return action
