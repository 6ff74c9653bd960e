"""The command line: names, flags and help only; what a command does lives in sphere_edge/commands/.

A command function returns its work instead of doing it. So Typer only ever parses, `__main__`
alone decides how work ends, and `--help` imports nothing heavy. Long because flags are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sphere_edge import __version__

Action = Callable[[], None]

# Newer Typer carries its own click, older ones use the public one: this finds the right class.
_ClickUsageError: Any = typer.BadParameter.__base__
_QUOTED = re.compile(r"'([^']+)'")

app = typer.Typer(
    name="sphere-edge",
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    # Plain help: boxes leave too few columns for words, and markup eats what is in brackets.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
profiles_app = typer.Typer(invoke_without_command=True)
runtime_app = typer.Typer(invoke_without_command=True)
app.add_typer(profiles_app, name="profiles")
app.add_typer(runtime_app, name="runtime")
device_app = typer.Typer(invoke_without_command=True)
app.add_typer(device_app, name="device")


class UsageError(Exception):
    """The command line itself is wrong; exit code 64."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def parse(words: Sequence[str]) -> Action | None:
    """The work that `words` ask for; None when they asked for help and have it.

    Raises UsageError.
    """
    try:
        result = typer.main.get_command(app).main(
            args=list(words), prog_name="sphere-edge", standalone_mode=False
        )
    except _ClickUsageError as error:
        command = error.ctx.command_path if error.ctx else "sphere-edge"
        message = error.format_message().removeprefix("Invalid value for ")
        message = _QUOTED.sub(r"`\1`", message).replace(": Input", ": input").rstrip(".")
        hint = f"see `{command} --help`"
        raise UsageError(message[:1].lower() + message[1:], hint) from error
    return result if callable(result) else None


def _example(*commands: str) -> str:
    """An epilog that shows `commands`; the mark in front keeps the line ends."""
    return "\n".join(("\b", "Examples:", *(f"  $ {command}" for command in commands)))


def _help_unless_invoked(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


Json = Annotated[bool, typer.Option("--json", help="Write one JSON document to stdout.")]
BundlePath = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="Bundle folder or .sphere file.")
]
ModelPath = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="Bundle folder, .sphere file or .gguf file.")
]
Threads = Annotated[
    int, typer.Option(min=0, max=1024, help="CPU threads; 0: all performance cores.")
]
ContextTokens = Annotated[
    int | None,
    typer.Option("--context", metavar="TOKENS", help="Room for prompt and answer together."),
]
MaxTokens = Annotated[
    int, typer.Option("--max-tokens", min=0, help="Longest answer; 0: until the model stops.")
]
Temperature = Annotated[
    float | None,
    typer.Option(min=0, help="0: always the likeliest token. Default: the bundle's own."),
]
Seed = Annotated[
    int | None, typer.Option(min=0, max=0xFFFFFFFE, help="Same seed, same answer. Default: random.")
]

DeviceUri = Annotated[
    str,
    typer.Option(
        "--device", "-d", metavar="URI", help="local, adb:SERIAL or ssh://user@host:port."
    ),
]
StoreFolder = Annotated[
    str | None,
    typer.Option("--store", metavar="DIR", help="Folder on the device; default: the usual one."),
]
InstalledName = Annotated[
    str, typer.Argument(metavar="NAME", help="Name from `sphere-edge device list`.")
]


@app.callback(invoke_without_command=True)
def sphere_edge(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> Action | None:
    """Put AI models on phones and edge boards: package, verify, run and measure them."""
    if version:

        def action() -> None:
            from sphere_edge import console

            console.write(__version__)

        return action
    _help_unless_invoked(context)
    return None


@profiles_app.callback()
def profiles(context: typer.Context) -> None:
    """Device profiles: list, show, validate."""
    _help_unless_invoked(context)


@runtime_app.callback()
def runtime(context: typer.Context) -> None:
    """The native runtime: build it, ask about it."""
    _help_unless_invoked(context)


@device_app.callback()
def device(context: typer.Context) -> None:
    """What is deployed on a device: list, remove, gc."""
    _help_unless_invoked(context)


@app.command(
    epilog=_example(
        "sphere-edge package Qwen/Qwen2.5-0.5B-Instruct --profile pixel8",
        "sphere-edge package ./my-model --profile host --quant q8 --context 4096 -o dist/mine",
        "sphere-edge package model.Q4_K_M.gguf --profile jetson-orin-nano --zip",
    )
)
def package(
    model: Annotated[
        str,
        typer.Argument(
            help="Hub id (owner/name), model folder, .gguf or whisper .bin file; `tiny`"
        ),
    ],
    profile: Annotated[
        str, typer.Option("--profile", "-p", help="Device to make it for: see `profiles list`.")
    ] = "host",
    quant: Annotated[
        str | None, typer.Option(help="Weights as q4, q8, f16 or f32. Default: the profile's.")
    ] = None,
    context: ContextTokens = None,
    kv: Annotated[
        str | None, typer.Option(help="Type of the KV cache: f16 or f32. Default: the engine's.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(help="gguf or safetensors, where the model offers both."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Default: dist/MODEL.PROFILE", metavar="DIR"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    revision: Annotated[str | None, typer.Option(help="Hub branch, tag or commit.")] = None,
    chat_template: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Jinja file to use instead of the model's.")
    ] = None,
    allow_tokenizer_mismatch: Annotated[
        bool,
        typer.Option(
            "--allow-tokenizer-mismatch",
            help="Go on although our tokenizer differs from the model's.",
        ),
    ] = False,
    zip: Annotated[
        bool, typer.Option("--zip", help="Write one .sphere file, not a folder.")
    ] = False,
    json: Json = False,
) -> Action:
    """Turn a model into a bundle that fits a device."""

    def action() -> None:
        from sphere_edge.commands import package as command

        command.package(
            model,
            profile_name=profile,
            quantization=quant,
            context_tokens=context,
            kv=kv,
            format=format,
            output=output,
            force=force,
            revision=revision,
            chat_template=chat_template,
            allow_tokenizer_mismatch=allow_tokenizer_mismatch,
            as_zip=zip,
            as_json=json,
        )

    return action


@app.command(
    epilog=_example(
        "sphere-edge inspect Qwen/Qwen2.5-0.5B-Instruct",
        "sphere-edge inspect dist/tiny.host --json",
    )
)
def inspect(
    model: Annotated[str, typer.Argument(help="Bundle, hub id, model folder or .gguf file.")],
    context: ContextTokens = None,
    format: Annotated[
        str | None, typer.Option(help="gguf or safetensors, where the model offers both.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Hub branch, tag or commit.")] = None,
    json: Json = False,
) -> Action:
    """Say what a model or bundle is, and which devices it fits."""

    def action() -> None:
        from sphere_edge.commands import inspect as command

        command.inspect(
            model, context_tokens=context, format=format, revision=revision, as_json=json
        )

    return action


@app.command(epilog=_example("sphere-edge verify dist/tiny.host"))
def verify(bundle: BundlePath, json: Json = False) -> Action:
    """Prove that every byte of a bundle is as it was made."""

    def action() -> None:
        from sphere_edge.commands import verify as command

        command.verify(bundle, as_json=json)

    return action


@app.command(
    epilog=_example(
        'sphere-edge run dist/tiny.host "What colour is the sky?"',
        "sphere-edge run dist/tiny.host - --temperature 0 --json < question.txt",
    )
)
def run(
    bundle: ModelPath,
    prompt: Annotated[str, typer.Argument(help="What to say to the model; - reads it from stdin.")],
    raw: Annotated[
        bool, typer.Option("--raw", help="Continue the text, no chat template.")
    ] = False,
    system: Annotated[str | None, typer.Option(help="System message.")] = None,
    max_tokens: MaxTokens = 0,
    temperature: Temperature = None,
    seed: Seed = None,
    context: ContextTokens = None,
    threads: Threads = 0,
    json: Json = False,
) -> Action:
    """Answer one prompt, streamed to stdout."""

    def action() -> None:
        from sphere_edge.commands import run as command

        command.run(
            bundle,
            prompt,
            raw=raw,
            system=system,
            max_tokens=max_tokens,
            temperature=temperature,
            seed=seed,
            context_tokens=context,
            threads=threads,
            as_json=json,
        )

    return action


@app.command(epilog=_example("sphere-edge chat dist/tiny.host"))
def chat(
    bundle: ModelPath,
    system: Annotated[str | None, typer.Option(help="System message.")] = None,
    max_tokens: MaxTokens = 0,
    temperature: Temperature = None,
    seed: Seed = None,
    context: ContextTokens = None,
    threads: Threads = 0,
) -> Action:
    """Talk with a model; Ctrl-C stops the answer, /exit the program."""

    def action() -> None:
        from sphere_edge.commands import chat as command

        command.chat(
            bundle,
            system=system,
            max_tokens=max_tokens,
            temperature=temperature,
            seed=seed,
            context_tokens=context,
            threads=threads,
        )

    return action


@app.command(
    epilog=_example(
        "sphere-edge transcribe dist/ggml-base.host meeting.mp3",
        "sphere-edge transcribe dist/ggml-base.host film.flac --language de --format srt",
    )
)
def transcribe(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="Bundle folder, .sphere or whisper .bin file.")
    ],
    file: Annotated[Path, typer.Argument(help="Audio: wav, flac, ogg or mp3.")],
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="Such as en or de. Default: found out.")
    ] = None,
    translate: Annotated[bool, typer.Option("--translate", help="Into English.")] = False,
    format: Annotated[str, typer.Option(help="text, json, srt or vtt.")] = "text",
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Words and names that may come.")
    ] = None,
    beam_size: Annotated[int, typer.Option(min=0, max=8, help="0: greedy.")] = 0,
    words: Annotated[
        bool, typer.Option("--words", help="With the times of each word, for --format json.")
    ] = False,
    threads: Threads = 0,
) -> Action:
    """Write down what is said in an audio file."""

    def action() -> None:
        from sphere_edge.commands import transcribe as command

        command.transcribe(
            bundle,
            file,
            language=language,
            translate=translate,
            format=format,
            prompt=prompt,
            beam_size=beam_size,
            words=words,
            threads=threads,
        )

    return action


@app.command(
    epilog=_example(
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


@app.command(epilog=_example("sphere-edge doctor", "sphere-edge doctor --json"))
def doctor(json: Json = False) -> Action:
    """Say what is there, what is missing and what to do next."""

    def action() -> None:
        from sphere_edge.commands import doctor as command

        command.doctor(as_json=json)

    return action


@app.command(epilog=_example("sphere-edge quickstart", "sphere-edge quickstart -o dist"))
def quickstart(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where the bundle goes.")
    ] = Path("dist"),
) -> Action:
    """See it all work on the built-in tiny model."""

    def action() -> None:
        from sphere_edge.commands import quickstart as command

        command.quickstart(output)

    return action


@profiles_app.command("list", epilog=_example("sphere-edge profiles list"))
def profiles_list(json: Json = False) -> Action:
    """List the devices that models can be packaged for."""

    def action() -> None:
        from sphere_edge.commands import profiles as command

        command.list_profiles(as_json=json)

    return action


@profiles_app.command("show", epilog=_example("sphere-edge profiles show pixel8"))
def profiles_show(
    name: Annotated[str, typer.Argument(help="Name from `profiles list`.")], json: Json = False
) -> Action:
    """Show all that is known of a device, with sources."""

    def action() -> None:
        from sphere_edge.commands import profiles as command

        command.show_profile(name, as_json=json)

    return action


@profiles_app.command("validate", epilog=_example("sphere-edge profiles validate my-board.toml"))
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


@runtime_app.command(
    "build",
    epilog=_example("sphere-edge runtime build", "sphere-edge runtime build --managers text"),
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


@runtime_app.command("info", epilog=_example("sphere-edge runtime info --json"))
def runtime_info(json: Json = False) -> Action:
    """Say what the runtime on this machine is and can do."""

    def action() -> None:
        from sphere_edge.commands import runtime as command

        command.info(as_json=json)

    return action


@app.command(
    epilog=_example(
        "sphere-edge devices", "sphere-edge devices local", "sphere-edge devices ssh://orin --json"
    )
)
def devices(
    uris: Annotated[
        list[str] | None,
        typer.Argument(metavar="URI", help="Say what these are and have instead."),
    ] = None,
    json: Json = False,
) -> Action:
    """List the devices that can be reached, or probe some."""

    def action() -> None:
        from sphere_edge.commands import devices as command

        command.list_devices(uris or [], as_json=json)

    return action


@app.command(
    epilog=_example(
        "sphere-edge deploy dist/tiny.host --device local",
        "sphere-edge deploy dist/tiny.host --device ssh://me@board --dry-run",
    )
)
def deploy(
    bundle: BundlePath,
    device: DeviceUri,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent; change nothing.")
    ] = False,
    store: StoreFolder = None,
    json: Json = False,
) -> Action:
    """Put a bundle and the runtime on a device, try it there, then use it."""

    def action() -> None:
        from sphere_edge.commands import deploy as command

        command.deploy(bundle, device, store, dry_run=dry_run, as_json=json)

    return action


@app.command(epilog=_example("sphere-edge rollback tiny --device local"))
def rollback(
    name: InstalledName, device: DeviceUri, store: StoreFolder = None, json: Json = False
) -> Action:
    """Use the bundle before the current one again."""

    def action() -> None:
        from sphere_edge.commands import devices as command

        command.rollback(name, device, store, as_json=json)

    return action


@device_app.command("list", epilog=_example("sphere-edge device list --device local"))
def device_list(device: DeviceUri, store: StoreFolder = None, json: Json = False) -> Action:
    """List what is deployed on a device."""

    def action() -> None:
        from sphere_edge.commands import devices as command

        command.list_installed(device, store, as_json=json)

    return action


@device_app.command("remove", epilog=_example("sphere-edge device remove tiny --device local"))
def device_remove(name: InstalledName, device: DeviceUri, store: StoreFolder = None) -> Action:
    """Take a bundle off a device."""

    def action() -> None:
        from sphere_edge.commands import devices as command

        command.remove(name, device, store)

    return action


@device_app.command("gc", epilog=_example("sphere-edge device gc --device local"))
def device_gc(device: DeviceUri, store: StoreFolder = None) -> Action:
    """Free what neither a current nor a previous bundle on a device uses."""

    def action() -> None:
        from sphere_edge.commands import devices as command

        command.collect(device, store)

    return action
