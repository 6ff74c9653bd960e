"""The command that answers other programs: serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sphere_edge.cli.flags import Action, ContextTokens, PromptLookup, Threads, TrustedFile, example

app = typer.Typer()


@app.command(
    epilog=example(
        "sphere-edge serve tiny tiny-whisper tiny-image",
        "sphere-edge serve chat=dist/qwen.host --context 8192 --port 9000",
        "sphere-edge serve dist/qwen.host --host 0.0.0.0 --api-key-file keys.txt",
        "sphere-edge serve dist/qwen-7b.host --draft-model dist/qwen-0.5b.host",
        "sphere-edge serve dist/qwen.jetson --device ssh://me@orin",
    )
)
def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]MODEL...",
            help="Bundles, model folders, .gguf files, built-in names or hub ids; NAME is what "
            "clients ask for.",
        ),
    ],
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            "-d",
            metavar="URI",
            help="Serve bundles there, reached through a port here: ssh://user@host:port.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address of this machine to bind.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8080,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="API keys, one per line; every path except /health and the page's own files "
            "needs one.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Host name that clients may use for this machine."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Website that may call the API from a browser, such as http://my.site.",
        ),
    ] = None,
    lenient: Annotated[
        bool, typer.Option("--lenient", help="Ignore unknown fields instead of refusing them.")
    ] = False,
    allow_extensions: Annotated[
        bool,
        typer.Option(
            "--allow-extensions",
            help="Take top_k, min_p, repeat_penalty, grammar, ignore_eos, chat_template_kwargs.",
        ),
    ] = False,
    parallel: Annotated[
        int, typer.Option(min=1, max=64, help="Texts a model generates at once.")
    ] = 1,
    queue: Annotated[int, typer.Option(min=0, help="Requests that may wait for a model.")] = 64,
    timeout: Annotated[
        float,
        # The core counts milliseconds in 32 bits.
        typer.Option(min=1, max=4_294_967, metavar="SECONDS", help="Time limit for one answer."),
    ] = 600,
    keep_alive: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="SECONDS", help="Close a model unused for that long. Default: never."
        ),
    ] = None,
    memory: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="MIB",
            help="Memory for all open models. Default: from the host's profile.",
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Database of stored responses. Default: in the user data folder."
        ),
    ] = None,
    no_store: Annotated[bool, typer.Option("--no-store", help="Store no responses.")] = False,
    store_days: Annotated[float, typer.Option(min=0, help="Days a response is kept.")] = 30,
    store_size: Annotated[
        int, typer.Option(min=1, metavar="MIB", help="Size limit for all stored responses.")
    ] = 256,
    store_sequences: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="MIB",
            help="Size limit for files from which stored conversations continue after a restart "
            "without being computed again; 0: none.",
        ),
    ] = 1024,
    prompt_lookup: PromptLookup = False,
    draft_model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]MODEL",
            help="Smaller model for speculative decoding with the text model NAME.",
        ),
    ] = None,
    trusted: TrustedFile = None,
    context: ContextTokens = None,
    threads: Threads = 0,
) -> Action:
    """Serve models over HTTP, as OpenAI's API has it."""
    if device is not None and store is not None:
        message = "--store names a file of this machine; with --device responses are stored there."
        raise typer.BadParameter(message)

    def action() -> None:
        from sphere_edge import resources
        from sphere_edge.commands import serve as command
        from sphere_edge.server.settings import MIB, Settings

        settings = Settings(
            host=host,
            port=port,
            hosts=tuple(allow_host or ()),
            origins=tuple(allow_origin or ()),
            lenient=lenient,
            extensions=allow_extensions,
            parallel=parallel,
            waiting=queue,
            timeout_s=timeout,
            keep_alive_s=keep_alive,
            memory_bytes=None if memory is None else memory * MIB,
            store=None if no_store else store or resources.data_folder() / "responses.sqlite",
            store_days=store_days,
            store_bytes=store_size * MIB,
            sequence_bytes=store_sequences * MIB,
            context_tokens=context,
            trusted_keys=trusted,
            prompt_lookup=prompt_lookup,
            draft_models=tuple(draft_model or ()),
            threads=threads,
        )
        command.serve(models, settings, api_key_file=api_key_file, uri=device)

    return action
