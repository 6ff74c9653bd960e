"""Commands that check results: certify and eval."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sphere_edge.cli.flags import (
    Action,
    BundlePath,
    Json,
    ModelPath,
    StoreFolder,
    Threads,
    example,
)

app = typer.Typer()


@app.command(
    epilog=example(
        "sphere-edge certify dist/tiny.host",
        "sphere-edge certify dist/qwen.orin --device ssh://orin --repeat 60",
        "sphere-edge certify dist/qwen.pixel8 --device adb --backend opencl",
    )
)
def certify(
    bundle: BundlePath,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            "-d",
            metavar="URI",
            help="Device that it was deployed to. Default: this machine.",
        ),
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, max=10000, help="Number of runs.")] = 5,
    short: Annotated[bool, typer.Option("--short", help="Fewer steps, as in deploy.")] = False,
    threads: Threads = 0,
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Only this backend. Default: every backend of the bundle."
        ),
    ] = None,
    store: StoreFolder = None,
    json: Json = False,
) -> Action:
    """Check a bundle's results against its reference."""

    def action() -> None:
        from sphere_edge.certify.certifying import Where
        from sphere_edge.certify.on_device import Settings
        from sphere_edge.commands import certify as command

        command.certify(
            bundle,
            Where(device, store),
            Settings(repeat, short, threads, backend),
            as_json=json,
        )

    return action


@app.command(
    name="eval",
    epilog=example(
        "sphere-edge eval dist/tiny.host",
        "sphere-edge eval dist/tiny.host --record --plot kl.svg",
        "sphere-edge eval dist/qwen.host --against ./Qwen2.5-0.5B --text notes.txt --plot kl.svg",
    ),
)
def evaluate(
    bundle: ModelPath,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Source folder, hub id, .gguf or other bundle. Default: its source model.",
        ),
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Text, or chats as .jsonl. Default: a built-in text."),
    ] = None,
    window: Annotated[
        int | None, typer.Option(metavar="TOKENS", help="Context window. Default: 512.")
    ] = None,
    threads: Threads = 0,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also plot the divergence: .svg or .png.")
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Store the results in the bundle.")
    ] = False,
    json: Json = False,
) -> Action:
    """Measure what quantization costs.

    Perplexity, KL divergence and agreement with the source model.
    """

    def action() -> None:
        from sphere_edge.commands import evaluate as command
        from sphere_edge.evaluation.evaluate import EvaluationRequest

        request = EvaluationRequest(bundle, against, text, window, threads)
        command.evaluate(request, plot=plot, record=record, as_json=json)

    return action
