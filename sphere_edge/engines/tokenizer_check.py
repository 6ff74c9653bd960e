"""Whether the vocabulary in a bundle splits texts as the model's own tokenizer does."""

from __future__ import annotations

from pathlib import Path

from sphere_edge.bundle.reference_plan import REFERENCE_TEXT
from sphere_edge.engines.engine import BuildRequest
from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats import tokenizer


def compare(request: BuildRequest, vocabulary: Path) -> None:
    """ModelCorruptError where the GGUF `vocabulary` differs from it, with the first sample.

    Unless the options allow that.
    """
    from sphere_edge.runtime.vocabulary import Vocabulary

    with (
        request.progress.step("comparing tokenizers"),
        Vocabulary.open(vocabulary) as ours,
    ):
        mismatches = tokenizer.compare(
            request.source.path,
            lambda line: ours.tokenize(line, add_special=False, parse_special=True),
            ours.tokenize,
        )
    if not mismatches or request.options.allow_tokenizer_mismatch:
        return
    first = mismatches[0]
    if first.is_around:
        message = (
            f"the model's tokenizer puts other special tokens around a text than ours can: "
            f"{first.expected} instead of {first.got} for {first.sample!r}"
        )
        hint = (
            "--allow-tokenizer-mismatch packages it all the same, "
            "which is right for chats whose template has these tokens"
        )
        raise ModelCorruptError(message, hint=hint)
    message = (
        f"our tokenizer differs from the model's on {len(mismatches)} lines of the probe text, "
        f"first on {first.sample!r}: {first.got} instead of {first.expected}"
    )
    hint = "--allow-tokenizer-mismatch packages it anyway"
    raise ModelCorruptError(message, hint=hint)


def reference_tokens(vocabulary: Path) -> list[int]:
    """The reference text in tokens of the GGUF `vocabulary`."""
    from sphere_edge.runtime.vocabulary import Vocabulary

    with Vocabulary.open(vocabulary) as ours:
        return ours.tokenize(REFERENCE_TEXT)
