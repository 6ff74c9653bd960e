"""App projects: sdk android, sdk ios."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sphere_edge.cli.flags import Action, Json, example, help_unless_invoked

app = typer.Typer(invoke_without_command=True)

Bundles = Annotated[
    list[Path], typer.Argument(metavar="BUNDLE…", help="Bundle folders or .sphere files.")
]
Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="DIR", help="Project folder; an existing project is updated."
    ),
]
Name = Annotated[
    str | None, typer.Option(metavar="NAME", help="Name of the app. Default: that of the folder.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Also replace files that you changed; asks first.")
]
Yes = Annotated[bool, typer.Option("--yes", help="With --force: do not ask.")]


@app.callback()
def sdk(context: typer.Context) -> None:
    """Make app projects for Android Studio and Xcode."""
    help_unless_invoked(context)


@app.command(
    "android",
    epilog=example(
        "sphere-edge sdk android dist/tiny.pixel8 -o MyApp --package com.example.chat",
        "sphere-edge sdk android dist/tiny.pixel8 dist/whisper.pixel8 -o MyApp --weights pack",
    ),
)
def sdk_android(
    bundles: Bundles,
    output: Output,
    package: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Application id. Default: com.example.NAME."),
    ] = None,
    name: Name = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="app: in the app; pack: in an AI pack of Play. Default: pack above 150 MB.",
        ),
    ] = None,
    force: Force = False,
    yes: Yes = False,
    json: Json = False,
) -> Action:
    """Make or update an Android app that runs bundles.

    Files that you changed are never touched. With ANDROID_NDK_HOME set the native core is compiled
    now; otherwise Android Studio compiles it.
    """

    def action() -> None:
        from sphere_edge.commands import sdk as command

        request = command.Request(bundles, output, name, package, force, yes)
        command.android(request, weights, as_json=json)

    return action


@app.command(
    "ios",
    epilog=example(
        "sphere-edge sdk ios dist/tiny.iphone15-pro dist/whisper.iphone15-pro -o MyApp",
        "sphere-edge sdk ios dist/tiny.iphone15-pro -o MyApp --bundle-id com.example.Chat",
    ),
)
def sdk_ios(
    bundles: Bundles,
    output: Output,
    bundle_id: Annotated[
        str | None,
        typer.Option("--bundle-id", metavar="ID", help="Default: com.example.NAME."),
    ] = None,
    name: Name = None,
    force: Force = False,
    yes: Yes = False,
    json: Json = False,
) -> Action:
    """Make or update an Xcode project for an iOS app that runs bundles.

    Files that you changed are never touched. The native core is compiled on a Mac, by a script of
    the project.
    """

    def action() -> None:
        from sphere_edge.commands import sdk as command

        request = command.Request(bundles, output, name, bundle_id, force, yes)
        command.ios(request, as_json=json)

    return action
