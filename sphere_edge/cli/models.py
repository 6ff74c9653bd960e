"""Commands that make and check bundles: package, inspect, sign, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sphere_edge.cli.flags import Action, BundlePath, ContextTokens, Json, TrustedFile, example

app = typer.Typer()


@app.command(
    epilog=example(
        "sphere-edge package Qwen/Qwen2.5-0.5B-Instruct --profile pixel8",
        "sphere-edge package ./my-model --profile host --quant q8 --context 4096 -o dist/mine",
        "sphere-edge package model.Q4_K_M.gguf --profile jetson-orin-nano --zip",
        "sphere-edge package gemma-3-4b-it-Q4_0.gguf --mmproj mmproj-model-f16.gguf",
        "sphere-edge package ./my-model --bits 5",
        "sphere-edge package ./my-model --format gguf --quant q4_k_m",
        "sphere-edge package ./my-model --adapter ./my-lora -o dist/mine",
        "sphere-edge package ./my-model --profile auto --device ssh://me@board",
        "sphere-edge package ./my-model --sign key.pem",
    )
)
def package(
    model: Annotated[
        str,
        typer.Argument(
            help="Hub id (owner/name), model folder, .gguf or whisper .bin file, "
            "or tiny, tiny-whisper, tiny-image."
        ),
    ],
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            "-p",
            help="Name from `profiles list`, or a .toml file; auto: made from --device.",
        ),
    ] = "host",
    device: Annotated[
        str | None,
        typer.Option("--device", "-d", metavar="URI", help="Device for --profile auto."),
    ] = None,
    quant: Annotated[
        str | None,
        typer.Option(
            help="Weight format: q4, q8, f16 or f32; for GGUF q3_k_m, q4_0, q4_k_m, q5_k_m, q6_k "
            "or q8_0. Default: the profile's, with q8 for the matrices that q4 hurts too much; "
            "GGUF files stay as they are."
        ),
    ] = None,
    bits: Annotated[
        float | None,
        typer.Option(
            metavar="BITS",
            help="Average bits per weight: q4 (4.5), with q8 for the most sensitive matrices. "
            "Default: what the model needs.",
        ),
    ] = None,
    context: ContextTokens = None,
    kv: Annotated[
        str | None, typer.Option(help="KV cache type: f16 or f32. Default: the engine's.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="gguf or safetensors, where the model offers both; gguf converts safetensors."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Default: dist/MODEL.PROFILE", metavar="DIR"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    revision: Annotated[str | None, typer.Option(help="Hub branch, tag or commit.")] = None,
    adapter: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="LoRA adapter (PEFT) to merge into the weights."),
    ] = None,
    mmproj: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Image encoder of a GGUF that reads images: a file, or owner/name/FILE on the "
            "hub. Default: the one beside the GGUF in a folder.",
        ),
    ] = None,
    chat_template: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Jinja file to use instead of the model's.")
    ] = None,
    allow_tokenizer_mismatch: Annotated[
        bool,
        typer.Option(
            "--allow-tokenizer-mismatch",
            help="Continue even if our tokenizer differs from the model's.",
        ),
    ] = False,
    zip: Annotated[
        bool, typer.Option("--zip", help="Write one .sphere file instead of a folder.")
    ] = False,
    sign: Annotated[
        Path | None,
        typer.Option(metavar="KEY", help="Sign it with this Ed25519 private key, a PEM file."),
    ] = None,
    json: Json = False,
) -> Action:
    """Package a model as a bundle for a device."""

    def action() -> None:
        from sphere_edge.commands import package as command
        from sphere_edge.engines.options import PackageOptions
        from sphere_edge.packaging.request import PackageRequest

        request = PackageRequest(
            model=model,
            profile=profile,
            device=device,
            revision=revision,
            mmproj=mmproj,
            output=output,
            as_zip=zip,
            force=force,
            sign=sign,
        )
        options = PackageOptions(
            quantization=quant,
            bits=bits,
            context_tokens=context,
            allow_tokenizer_mismatch=allow_tokenizer_mismatch,
            adapter=adapter,
        )
        flags = command.Flags(kv=kv, format=format, chat_template=chat_template)
        command.package(request, options, flags, as_json=json)

    return action


@app.command(
    epilog=example(
        "sphere-edge inspect Qwen/Qwen2.5-0.5B-Instruct",
        "sphere-edge inspect Qwen/Qwen2.5-0.5B-Instruct --context 4096 --sequences 4",
        "sphere-edge inspect qwen-7b.gguf --draft-model qwen-0.5b.gguf",
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
    sequences: Annotated[
        int, typer.Option(help="Conversations at once, each with memory for the whole context.")
    ] = 1,
    draft_model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Count a second model too, which drafts for this one."),
    ] = None,
    json: Json = False,
) -> Action:
    """Show what a model or bundle is, and which devices it fits."""

    def action() -> None:
        from sphere_edge.commands import inspect as command
        from sphere_edge.inspection.inspect import InspectionRequest

        request = InspectionRequest(
            model, context, revision=revision, sequences=sequences, draft_model=draft_model
        )
        command.inspect(request, format, as_json=json)

    return action


@app.command(
    epilog=example(
        "sphere-edge sign dist/tiny.host --key key.pem",
    )
)
def sign(
    bundle: BundlePath,
    key: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Ed25519 private key (PEM), as openssl makes it; see docs/signing.md.",
        ),
    ],
    json: Json = False,
) -> Action:
    """Sign a bundle; signatures that it has are kept."""

    def action() -> None:
        from sphere_edge.commands import sign as command

        command.sign(bundle, key, as_json=json)

    return action


@app.command(
    epilog=example(
        "sphere-edge verify dist/tiny.host",
        "sphere-edge verify dist/tiny.host --trusted key.pub.pem",
    )
)
def verify(bundle: BundlePath, trusted: TrustedFile = None, json: Json = False) -> Action:
    """Verify the checksum of every file in a bundle, and who signed it."""

    def action() -> None:
        from sphere_edge.commands import verify as command

        command.verify(bundle, trusted, as_json=json)

    return action
