"""What a user may ask of packaging."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sphere_edge.errors import InvalidArgumentError


@dataclass(frozen=True)
class PackageOptions:
    """What is left to the user; None: the profile or the model decides."""

    quantization: str | None = None
    # Average bits per weight: q4, and q8 for the matrices that need it most.
    bits: float | None = None
    context_tokens: int | None = None
    kv_dtype: Literal["float32", "float16"] | None = None
    chat_template: str | None = None
    allow_tokenizer_mismatch: bool = False
    # Folder of a LoRA adapter that is merged into the weights.
    adapter: Path | None = None
    # The image encoder of a model that becomes or is a GGUF.
    mmproj: Path | None = None
    # A safetensors model becomes a GGUF and runs through llama.cpp.
    as_gguf: bool = False


def refuse_text_options(options: PackageOptions, what: str) -> None:
    """InvalidArgumentError naming an option for text models where `what` ("an image model") is."""
    for flag, given in (
        ("--context", options.context_tokens),
        ("--kv", options.kv_dtype),
        ("--chat-template", options.chat_template),
        ("--bits", options.bits),
        ("--format gguf", options.as_gguf or None),
        ("--mmproj", options.mmproj),
    ):
        if given is not None:
            message = f"{flag} does not go with {what}"
            raise InvalidArgumentError(message, hint="leave it out")


def check_context(context: int | None) -> None:
    """InvalidArgumentError for a context that no model can have."""
    if context is not None and context < 1:
        message = f"invalid value `{context}` for --context"
        raise InvalidArgumentError(
            message, hint="it takes the number of tokens of prompt and answer, at least 1"
        )


def context_tokens(context: int | None, usual: int, largest: int) -> int:
    """The context of the bundle: `context` itself, or the usual as far as the model goes.

    Raises InvalidArgumentError for a context that is not positive or beyond the model's `largest`.
    """
    if context is None:
        return min(usual, largest)
    check_context(context)
    if context > largest:
        message = f"a context of `{context}` tokens is more than the model's `{largest}`"
        raise InvalidArgumentError(message, hint=f"choose between 1 and {largest}")
    return context
