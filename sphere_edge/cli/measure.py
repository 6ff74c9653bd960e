"""The verb that measures: bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sphere_edge.cli.flags import Action, Json, ModelPath, Threads, example

app = typer.Typer()


@app.command(
    epilog=example(
        "sphere-edge bench dist/tiny.host",
        "sphere-edge bench dist/tiny.host --prompt-tokens 128,512 --repeat 9 --report bench.html",
    )
)
def bench(
    bundle: ModelPath,
    prompt_tokens: Annotated[
        str, typer.Option(metavar="N,N", help="Prompt lengths to measure.")
    ] = "128",
    new_tokens: Annotated[int, typer.Option(min=1, help="Tokens to generate.")] = 64,
    repeat: Annotated[int, typer.Option(min=1, max=1000, help="Samples of each.")] = 5,
    threads: Threads = 0,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a .html, .md or .json report."),
    ] = None,
    json: Json = False,
) -> Action:
    """Measure speed, start-up and memory on this machine."""

    def action() -> None:
        from sphere_edge.commands import bench as command

        command.bench(
            bundle,
            prompt_tokens=prompt_tokens,
            new_tokens=new_tokens,
            repeat=repeat,
            threads=threads,
            report=report,
            as_json=json,
        )

    return action
