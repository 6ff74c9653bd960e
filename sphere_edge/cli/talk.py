"""Verbs that use a model here: run, chat, transcribe, imagine."""

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
    Seed,
    Temperature,
    TemplateVariables,
    TextModel,
    Threads,
    example,
)

app = typer.Typer()


@app.command(
    epilog=example(
        'sphere-edge run tiny "What colour is the sky?"',
        "sphere-edge run dist/tiny.host - --temperature 0 --json < question.txt",
    )
)
def run(
    bundle: TextModel,
    prompt: Annotated[str, typer.Argument(help="What to say to the model; - reads it from stdin.")],
    raw: Annotated[
        bool, typer.Option("--raw", help="Continue the text, no chat template.")
    ] = False,
    system: Annotated[str | None, typer.Option(help="System message.")] = None,
    chat_template_kwargs: TemplateVariables = None,
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
            chat_template_kwargs=chat_template_kwargs,
            max_tokens=max_tokens,
            temperature=temperature,
            seed=seed,
            context_tokens=context,
            threads=threads,
            backend=backend,
            as_json=json,
        )

    return action


@app.command(
    epilog=example(
        "sphere-edge chat dist/tiny.host",
        "sphere-edge chat dist/qwen3.host --chat-template-kwargs '{\"enable_thinking\": false}'",
    )
)
def chat(
    bundle: TextModel,
    system: Annotated[str | None, typer.Option(help="System message.")] = None,
    chat_template_kwargs: TemplateVariables = None,
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
            chat_template_kwargs=chat_template_kwargs,
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
            metavar="BUNDLE", help="Bundle, model folder or whisper .bin file; or tiny-whisper."
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


@app.command(
    epilog=example(
        'sphere-edge imagine "a red circle" tiny-image -o circle.png',
        'sphere-edge imagine "a red fox in the snow" dist/sd-turbo.host -o fox.png',
        'sphere-edge imagine "in winter" dist/sdxl.host --init house.png --strength 0.6',
    )
)
def imagine(
    prompt: Annotated[str, typer.Argument(help="What to paint.")],
    bundle: Annotated[
        Path,
        typer.Argument(metavar="BUNDLE", help="Bundle or folder of an image model; or tiny-image."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="PNG file; several get numbers.")
    ] = Path("out.png"),
    negative: Annotated[str, typer.Option(metavar="TEXT", help="What shall not be seen.")] = "",
    width: Annotated[int | None, typer.Option(min=1, help="Pixels. Default: the model's.")] = None,
    height: Annotated[int | None, typer.Option(min=1, help="Pixels. Default: the model's.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="More are better and slower. Default: the model's.")
    ] = None,
    sampler: Annotated[str | None, typer.Option(metavar="NAME", help="Such as euler_a.")] = None,
    schedule: Annotated[str | None, typer.Option(metavar="NAME", help="Such as karras.")] = None,
    cfg_scale: Annotated[
        float | None,
        typer.Option(help="How closely the prompt is followed; 1: fastest, without --negative."),
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(help="The same, for models distilled to be guided (FLUX dev).")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**31 - 1, help="Same seed, same picture. Default: random."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=64, help="How many pictures.")] = 1,
    init: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Picture to start from.")
    ] = None,
    strength: Annotated[
        float | None, typer.Option(help="How much of it is painted over, 0 to 1. Default: 0.75.")
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Paint only where it is white.")
    ] = None,
    lora: Annotated[
        list[str] | None, typer.Option(metavar="FILE[:STRENGTH]", help="May be repeated.")
    ] = None,
    vae_tiling: Annotated[
        bool, typer.Option("--vae-tiling", help="Less memory, a little slower.")
    ] = False,
    threads: Threads = 0,
    json: Json = False,
) -> Action:
    """Paint pictures from words."""

    def action() -> None:
        from sphere_edge.commands import imagine as command

        wish = command.Wish(
            negative_prompt=negative,
            width=width,
            height=height,
            steps=steps,
            sampler=sampler,
            schedule=schedule,
            cfg_scale=cfg_scale,
            guidance=guidance,
            seed=seed,
            batch=batch,
            strength=strength,
            vae_tiling=vae_tiling,
        )
        command.imagine(
            prompt,
            bundle,
            wish,
            output=output,
            init=init,
            mask=mask,
            loras=lora or [],
            threads=threads,
            as_json=json,
        )

    return action
