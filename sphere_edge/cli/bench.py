"""The group bench: run (`bench BUNDLE` for short), compare and matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from sphere_edge.cli.flags import (
    Action,
    Backend,
    DeviceUri,
    Json,
    StoreFolder,
    TextModel,
    Threads,
    example,
    help_unless_invoked,
)

if TYPE_CHECKING:
    # At run time only where it is made: commands start quickly.
    from sphere_edge.bench.plan import Options

_DEFAULT = "run"


class _Bench(TyperGroup):
    """`bench BUNDLE` is `bench run BUNDLE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_Bench, invoke_without_command=True)

PromptTokens = Annotated[str, typer.Option(metavar="N,N", help="Prompt lengths to measure.")]
NewTokens = Annotated[int, typer.Option(min=1, help="Tokens to generate.")]
Repeat = Annotated[int, typer.Option(min=1, max=1000, help="Samples per measurement.")]
Sustain = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Then generate continuously for this long: 90s, 10m, 1h."),
]
CoolBelow = Annotated[
    float | None,
    typer.Option(
        min=0, max=120, metavar="°C", help="First wait until the CPU is below this temperature."
    ),
]


def _shared(given: Mapping[str, Any]) -> Options:
    """What the flags say that `run` and `matrix` have in common."""
    from sphere_edge.bench.plan import Options

    return Options(
        prompt_tokens=given["prompt_tokens"],
        new_tokens=given["new_tokens"],
        repeat=given["repeat"],
        threads=given["threads"],
        sustain=given["sustain"],
        cool_below_c=given["cool_below"],
    )


@app.callback()
def bench(context: typer.Context) -> None:
    """Measure speed, memory, heat and power.

    `bench BUNDLE` is short for `bench run BUNDLE`.
    """
    help_unless_invoked(context)


@app.command(
    _DEFAULT,
    epilog=example(
        "sphere-edge bench dist/tiny.host",
        "sphere-edge bench dist/tiny-whisper.host --audio talk.mp3",
        "sphere-edge bench run dist/tiny.host --prompt-tokens 128,512 --repeat 9",
        "sphere-edge bench dist/tiny.host --sequences 4",
        "sphere-edge bench dist/tiny.host --device ssh://me@board --sustain 10m --cool-below 40"
        " --report bench.html --report bench.json",
        "sphere-edge bench dist/qwen.pixel8 --device adb --backend opencl --kernels",
        "sphere-edge bench dist/sd15.host --image-size 512x512 --steps 20 --report bench.html",
    ),
)
def bench_run(
    given: typer.Context,
    bundle: TextModel,
    device: DeviceUri = "local",
    prompt_tokens: PromptTokens = "128",
    new_tokens: NewTokens = 64,
    repeat: Repeat = 5,
    threads: Threads = 0,
    sustain: Sustain = None,
    cool_below: CoolBelow = None,
    backend: Backend = None,
    kernels: Annotated[
        bool, typer.Option("--kernels", help="Also time each GPU kernel; this slows it down.")
    ] = False,
    sequences: Annotated[
        int, typer.Option(min=1, max=64, metavar="N", help="Also decode N conversations at once.")
    ] = 1,
    audio: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Audio for speech models. Default: 30 s of noise."),
    ] = None,
    image_size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Such as 512x512. Default: the model's.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Sampling steps of image models. Default: the model's."),
    ] = None,
    store: StoreFolder = None,
    report: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Also write a .html, .md, .csv or .json report."),
    ] = None,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Write every sample to stdout.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Write Markdown tables to stdout.")
    ] = False,
) -> Action:
    """Measure a bundle on a device; it is copied there for the run if needed."""

    def action() -> None:
        from sphere_edge.commands import bench as command
        from sphere_edge.devices.open import StoreAddress

        options = replace(
            _shared(given.params),
            backend=backend,
            kernels=kernels,
            sequences=sequences,
            recording=audio,
            image_size=image_size,
            steps=steps,
        )
        form = "json" if json else "csv" if csv else "markdown" if markdown else None
        output = command.Output(tuple(report or ()), form)
        command.bench(bundle, StoreAddress(device, store), options, output)

    return action


@app.command(
    "compare",
    epilog=example(
        "sphere-edge bench compare before.json after.json",
        "sphere-edge bench compare main.json mine.json --fail-below 0.95 --report compared.html",
    ),
)
def bench_compare(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="JSON reports; the first is the baseline."),
    ],
    fail_below: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="RATIO",
            help="Exit with code 65 if a speed is significantly below RATIO times the baseline.",
        ),
    ] = None,
    report: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Also write a .html, .md or .json report."),
    ] = None,
    json: Json = False,
) -> Action:
    """Compare runs with a baseline, with the uncertainty of each ratio."""
    if len(files) < 2:
        message = "at least two reports are needed"
        raise typer.BadParameter(message)

    def action() -> None:
        from sphere_edge.commands import bench_compare as command

        command.compare_reports(files, fail_below=fail_below, to=report or [], as_json=json)

    return action


@app.command(
    "matrix",
    epilog=example(
        "sphere-edge bench matrix dist/tiny.host --device local --device ssh://me@board",
        "sphere-edge bench matrix dist/a dist/b -d adb:39A1 -d ssh://orin --reports results",
    ),
)
def bench_matrix(
    given: typer.Context,
    bundles: Annotated[
        list[Path], typer.Argument(metavar="BUNDLE…", help="Bundle folders or .sphere files.")
    ],
    device: Annotated[
        list[str] | None,
        typer.Option("--device", "-d", metavar="URI", help="May be repeated. Default: local."),
    ] = None,
    prompt_tokens: PromptTokens = "128",
    new_tokens: NewTokens = 64,
    repeat: Repeat = 5,
    threads: Threads = 0,
    sustain: Sustain = None,
    cool_below: CoolBelow = None,
    store: StoreFolder = None,
    reports: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for a .json and a .html report per run."),
    ] = None,
    json: Json = False,
) -> Action:
    """Measure bundles on several devices in parallel, in one table."""

    def action() -> None:
        from sphere_edge.commands import bench_matrix as command

        devices = command.Devices(device or ["local"], store)
        cells = command.bench_matrix(bundles, devices, _shared(given.params).text_plan(), reports)
        command.show(cells, as_json=json)

    return action
