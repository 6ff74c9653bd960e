"""Verbs that use a model here: run, chat, transcribe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sphere_edge.cli.flags import (
    Action,
    Backend,
    ContextTokens,
    Json,
    MaxTokens,
    ModelPath,
    Seed,
    Temperature,
    Threads,
    example,
)

app = typer.Typer()


@app.command(
    epilog=example(
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
    backend: Backend = None,
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
            backend=backend,
            as_json=json,
        )

    return action


@app.command(epilog=example("sphere-edge chat dist/tiny.host"))
def chat(
    bundle: ModelPath,
    system: Annotated[str | None, typer.Option(help="System message.")] = None,
    max_tokens: MaxTokens = 0,
    temperature: Temperature = None,
    seed: Seed = None,
    context: ContextTokens = None,
    threads: Threads = 0,
    backend: Backend = None,
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
            backend=backend,
        )

    return action


@app.command(
    epilog=example(
        "sphere-edge transcribe tiny-whisper digits.wav",
        "sphere-edge transcribe dist/ggml-base.host meeting.mp3",
        "sphere-edge transcribe dist/ggml-base.host film.flac --language de --format srt",
    )
)
def transcribe(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE", help="Bundle folder, .sphere or whisper .bin file; or tiny-whisper."
        ),
    ],
    file: Annotated[Path, typer.Argument(help="Audio: wav, flac, ogg, mp3, or m4a (an extra).")],
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="Such as en or de. Default: found out.")
    ] = None,
    translate: Annotated[bool, typer.Option("--translate", help="Into English.")] = False,
    format: Annotated[str, typer.Option(help="text, json, verbose-json, srt or vtt.")] = "text",
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Words and names that may come.")
    ] = None,
    beam_size: Annotated[int, typer.Option(min=0, max=8, help="0: greedy.")] = 0,
    words: Annotated[
        bool, typer.Option("--words", help="With the times of each word, for JSON.")
    ] = False,
    max_length: Annotated[
        int, typer.Option(min=0, metavar="CHARACTERS", help="Of a segment; 0: as they come.")
    ] = 0,
    vad: Annotated[
        bool, typer.Option("--vad", help="Hear only where somebody speaks (voice detection).")
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
            max_length=max_length,
            vad=vad,
            threads=threads,
        )

    return action
