"""Commands that use a model on this machine: run, chat, transcribe, generate-image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sphere_edge.cli.flags import (
    Action,
    Backend,
    ContextTokens,
    DraftModel,
    Drafts,
    DraftTokens,
    GrammarFile,
    Json,
    MaxTokens,
    MinP,
    Mmproj,
    PromptLookup,
    RequestFile,
    SchemaFile,
    Seed,
    Stop,
    Temperature,
    TemplateVariables,
    TextModel,
    Threads,
    ToolsFile,
    TopK,
    TopP,
    example,
    request_fields,
    warn_renamed,
)

app = typer.Typer()


@app.command(
    epilog=example(
        'sphere-edge run tiny "What colour is the sky?"',
        "sphere-edge run dist/tiny.host - --temperature 0 --json < question.txt",
        'sphere-edge run dist/qwen3.host "Will it rain in Paris?" --tools tools.json --json',
        'sphere-edge run dist/qwen3.host "A city of 1900" --json-schema city.json --top-p 0.9',
        'sphere-edge run dist/qwen3.host "Tell a story" --request sampling.toml',
        "sphere-edge run dist/qwen.host - --prompt-lookup < edit-this-file.txt",
        'sphere-edge run dist/gemma-3.host "What is this?" --image photo.jpg',
    )
)
def run(
    given: typer.Context,
    bundle: TextModel,
    prompt: Annotated[str, typer.Argument(help="Prompt; - reads it from stdin.")],
    raw: Annotated[
        bool, typer.Option("--raw", help="Continue the prompt, without the chat template.")
    ] = False,
    image: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="PNG, JPEG or WebP to show the model; may be repeated."),
    ] = None,
    mmproj: Mmproj = None,
    system: Annotated[str | None, typer.Option(help="System message.")] = None,
    chat_template_kwargs: TemplateVariables = None,
    max_tokens: MaxTokens = 0,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    stop: Stop = None,
    seed: Seed = None,
    tools: ToolsFile = None,
    json_schema: SchemaFile = None,
    grammar: GrammarFile = None,
    request: RequestFile = None,
    context: ContextTokens = None,
    threads: Threads = 0,
    backend: Backend = None,
    prompt_lookup: PromptLookup = False,
    draft_model: DraftModel = None,
    draft_tokens: DraftTokens = None,
    json: Json = False,
) -> Action:
    """Answer one prompt, streamed to stdout."""
    drafts = Drafts(prompt_lookup, draft_model, draft_tokens)

    def action() -> None:
        from sphere_edge.commands import run as command
        from sphere_edge.packaging.opening import Opening
        from sphere_edge.runtime.request_file import Files, from_files

        fields = request_fields(given.params, drafts)
        command.run(
            Opening(bundle, threads, context, backend, draft_model=drafts.model, mmproj=mmproj),
            command.Prompt(prompt, system, raw, tuple(image or ())),
            from_files(Files(request, tools, json_schema, grammar), fields),
            as_json=json,
        )

    return action


@app.command(
    epilog=example(
        "sphere-edge chat dist/tiny.host",
        "sphere-edge chat dist/qwen3.host --chat-template-kwargs '{\"enable_thinking\": false}'",
        "sphere-edge chat dist/qwen3.host --temperature 0.7 --top-p 0.9 --request sampling.toml",
        "sphere-edge chat dist/qwen-7b.host --draft-model dist/qwen-0.5b.host",
    )
)
def chat(
    given: typer.Context,
    bundle: TextModel,
    system: Annotated[str | None, typer.Option(help="System message.")] = None,
    chat_template_kwargs: TemplateVariables = None,
    max_tokens: MaxTokens = 0,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    stop: Stop = None,
    seed: Seed = None,
    request: RequestFile = None,
    context: ContextTokens = None,
    threads: Threads = 0,
    backend: Backend = None,
    prompt_lookup: PromptLookup = False,
    draft_model: DraftModel = None,
    draft_tokens: DraftTokens = None,
) -> Action:
    """Chat with a model in the terminal.

    Ctrl-C stops a response, /reset starts over, /exit ends the program.
    """
    drafts = Drafts(prompt_lookup, draft_model, draft_tokens)

    def action() -> None:
        from sphere_edge.commands import chat as command
        from sphere_edge.packaging.opening import Opening
        from sphere_edge.runtime.request_file import Files, from_files

        fields = request_fields(given.params, drafts)
        command.chat(
            Opening(bundle, threads, context, backend, draft_model=drafts.model),
            from_files(Files(request), fields),
            system=system,
        )

    return action


@app.command(
    epilog=example(
        'sphere-edge embed minilm.gguf "The cat sleeps." "A dog barks."',
        "sphere-edge embed minilm.gguf - --json < lines.txt",
    )
)
def embed(
    bundle: TextModel,
    texts: Annotated[list[str], typer.Argument(help="Texts; - reads one per line from stdin.")],
    pooling: Annotated[
        str | None, typer.Option(help="mean, cls or last. Default: the model's own.")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Vectors as they are, not of length 1.")
    ] = False,
    truncate: Annotated[
        bool, typer.Option("--truncate", help="Cut off texts that are too long.")
    ] = False,
    context: ContextTokens = None,
    threads: Threads = 0,
    backend: Backend = None,
    json: Json = False,
) -> Action:
    """Print a vector for each text: an encoder's, or a language model's hidden states, pooled."""

    def action() -> None:
        from sphere_edge.commands import embed as command
        from sphere_edge.packaging.opening import Opening
        from sphere_edge.runtime.embedding import EmbedRequest

        command.embed(
            Opening(bundle, threads, context, backend),
            texts,
            # The core refuses an unknown pooling.
            EmbedRequest(pooling=pooling, normalize=not raw, truncate=truncate),  # type: ignore[arg-type]
            as_json=json,
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
            metavar="MODEL",
            help="Bundle, whisper.cpp .bin file or model folder; or tiny-whisper.",
        ),
    ],
    file: Annotated[Path, typer.Argument(help="Audio: wav, flac, ogg, mp3, or m4a (an extra).")],
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="Such as en or de. Default: auto-detected.")
    ] = None,
    translate: Annotated[bool, typer.Option("--translate", help="Translate into English.")] = False,
    format: Annotated[str, typer.Option(help="text, json, verbose-json, srt or vtt.")] = "text",
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Words and names that may occur.")
    ] = None,
    beam_size: Annotated[int, typer.Option(min=0, max=8, help="Beam search width; 0: greedy.")] = 0,
    words: Annotated[bool, typer.Option("--words", help="Word timestamps, for JSON.")] = False,
    max_length: Annotated[
        int, typer.Option(min=0, metavar="CHARACTERS", help="Longest segment; 0: no limit.")
    ] = 0,
    vad: Annotated[
        bool, typer.Option("--vad", help="Transcribe only speech (voice activity detection).")
    ] = False,
    no_previous_text: Annotated[
        bool,
        typer.Option(
            "--no-previous-text",
            help="Transcribe each 30 s without the text before it, which avoids loops.",
        ),
    ] = False,
    threads: Threads = 0,
) -> Action:
    """Transcribe an audio file."""

    def action() -> None:
        from sphere_edge.commands import transcribe as command
        from sphere_edge.packaging.opening import Opening
        from sphere_edge.runtime.transcription_request import TranscriptionRequest

        request = TranscriptionRequest(
            language=language,
            translate=translate,
            prompt=prompt,
            beam_size=beam_size,
            word_timestamps=words,
            max_segment_characters=max_length,
            vad=vad,
            condition_on_previous_text=not no_previous_text,
        )
        command.transcribe(Opening(bundle, threads), file, request, format=format)

    return action


@app.command(
    "generate-image",
    epilog=example(
        'sphere-edge generate-image "a red circle" tiny-image -o circle.png',
        'sphere-edge generate-image "a red fox in the snow" dist/sd-turbo.host -o fox.png',
        'sphere-edge generate-image "in winter" dist/sdxl.host --init garden.png --strength 0.6',
    ),
)
# The former name, for one release.
@app.command("imagine", hidden=True)
def generate_image(
    context: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What the image shows.")],
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="Bundle or model folder; or tiny-image.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="PNG file; a batch is numbered.")
    ] = Path("out.png"),
    negative_prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What the image must not show.")
    ] = None,
    # The former name, for one release.
    negative: Annotated[str | None, typer.Option(hidden=True)] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Pixels. Default: the model's.")] = None,
    height: Annotated[int | None, typer.Option(min=1, help="Pixels. Default: the model's.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Sampling steps; more are slower. Default: the model's.")
    ] = None,
    sampler: Annotated[str | None, typer.Option(metavar="NAME", help="Such as euler_a.")] = None,
    schedule: Annotated[str | None, typer.Option(metavar="NAME", help="Such as karras.")] = None,
    cfg_scale: Annotated[
        float | None,
        typer.Option(help="Classifier-free guidance; 1: fastest, without --negative-prompt."),
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(help="Guidance of guidance-distilled models (FLUX dev).")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**31 - 1, help="Same seed, same image. Default: random."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=64, help="Number of images.")] = 1,
    init: Annotated[Path | None, typer.Option(metavar="FILE", help="Image to start from.")] = None,
    strength: Annotated[
        float | None, typer.Option(help="How much of it is changed, 0 to 1. Default: 0.75.")
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Change only where this image is white.")
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
    """Generate images from a prompt."""

    def action() -> None:
        from sphere_edge.commands import generate_image as command
        from sphere_edge.packaging.opening import Opening
        from sphere_edge.runtime.image_request import ImageRequest

        if context.info_name != "generate-image":
            warn_renamed(str(context.info_name), "generate-image")
        if negative is not None:
            warn_renamed("--negative", "--negative-prompt")
        request = ImageRequest(
            negative_prompt=negative_prompt or negative or "",
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
        files = command.Files(output, init, mask, tuple(lora or ()))
        images = command.generate_image(Opening(bundle, threads), prompt, request, files)
        command.show(*images, as_json=json)

    return action
