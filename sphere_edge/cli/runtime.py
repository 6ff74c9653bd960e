"""The native runtime: build, info, targets."""

from __future__ import annotations

from typing import Annotated

import typer

from sphere_edge.cli.flags import Action, Json, example, help_unless_invoked

app = typer.Typer(invoke_without_command=True)


@app.callback()
def runtime(context: typer.Context) -> None:
    """The native runtime: build it, show what it can do."""
    help_unless_invoked(context)


@app.command(
    "build",
    epilog=example(
        "sphere-edge runtime build",
        "sphere-edge runtime build --profile raspberry-pi-5 --managers all",
        "sphere-edge runtime build --target linux-arm64-dotprod --managers text",
        "sphere-edge runtime build --ggml-gpu vulkan",
        "sphere-edge runtime build --ggml-gpu cuda --profile jetson-orin-nano",
    ),
)
def runtime_build(
    profile: Annotated[
        str, typer.Option("--profile", "-p", help="Device to build it for.")
    ] = "host",
    target: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Target instead of a profile; see `runtime targets`."),
    ] = None,
    managers: Annotated[
        str,
        typer.Option(metavar="NAME,NAME", help="Managers to include: text, audio, image, or all."),
    ] = "text,audio",
    ggml_gpu: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="GPU backend for GGUF: cuda (or cuda:sm_87), vulkan, opencl, metal.",
        ),
    ] = None,
    json: Json = False,
) -> Action:
    """Build the native runtime, or find it in the cache."""

    def action() -> None:
        from sphere_edge.commands import runtime as command
        from sphere_edge.runtime.builds import BuildRequest

        request = BuildRequest(profile, target, managers, ggml_gpu)
        command.build(request, as_json=json)

    return action


@app.command(
    "info",
    epilog=example(
        "sphere-edge runtime info --json", "sphere-edge runtime info --target musl-arm64"
    ),
)
def runtime_info(
    target: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Another target; see `runtime targets`."),
    ] = None,
    json: Json = False,
) -> Action:
    """Show the version, capabilities and size of the runtime."""

    def action() -> None:
        from sphere_edge.commands import runtime as command

        command.info(target, as_json=json)

    return action


@app.command("targets", epilog=example("sphere-edge runtime targets"))
def runtime_targets(json: Json = False) -> Action:
    """List the targets that the runtime can be built for: systems and CPU feature levels."""

    def action() -> None:
        from sphere_edge.commands import runtime as command

        command.list_targets(as_json=json)

    return action
