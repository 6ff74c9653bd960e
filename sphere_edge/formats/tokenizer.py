"""A model folder's tokenizer as a vocab-only GGUF, and the proof that it splits text alike."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphere_edge.errors import ModelCorruptError, NotFoundError, StorageError, UnsupportedError
from sphere_edge.formats import (
    added_tokens,
    json_object,
    sentencepiece,
    special_tokens,
    text_part,
    token_table,
    tokenizer_probe,
)
from sphere_edge.formats import (
    chat_template as chat_templates,
)
from sphere_edge.formats.special_tokens import SpecialTokens
from sphere_edge.formats.token_table import TokenTable

# Keys that llama.cpp requires of any model; a vocabulary alone does not have them.
_CONTEXT_TOKENS = 4096
# What special tokens are put around in a comparison.
_PLAIN = "Hello there."


@dataclass(frozen=True)
class Vocabulary:
    """What was written: `size` counts all ids up to the model's own `vocab_size`.

    `end_of_generation`: every id after which an answer is complete. `pre`: llama.cpp's name of the
    way in which text is split. `normalization`: `nfc` if characters are composed first.
    """

    size: int
    bos: int | None
    eos: int | None
    end_of_generation: tuple[int, ...]
    adds_bos: bool
    kind: str
    pre: str
    has_chat_template: bool
    normalization: str | None


@dataclass(frozen=True)
class Mismatch:
    """A text that the two tokenizers split differently: the original gives `expected`.

    `is_around`: they split it alike and put other special tokens around it.
    """

    sample: str
    expected: list[int]
    got: list[int]
    is_around: bool = False


def write_vocabulary(folder: Path, out: Path, chat_template: str | None = None) -> Vocabulary:
    """Writes the tokenizer of `folder` as a GGUF without weights to `out`.

    `chat_template` overrides the model's own. Raises NotFoundError if there is no tokenizer,
    UnsupportedError for one that llama.cpp cannot do, ModelCorruptError, StorageError.
    """
    from gguf import GGUFWriter

    part = out.with_name(out.name + ".part")
    try:
        writer: Any = GGUFWriter(part, "llama")
        writer.add_context_length(_CONTEXT_TOKENS)
        vocabulary = add_vocabulary(writer, folder, chat_template)
        try:
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
        finally:
            writer.close()
        part.replace(out)
    except OSError as error:
        message = f"`{out}` cannot be written: {error.strerror}"
        raise StorageError(message) from error
    finally:
        part.unlink(missing_ok=True)
    return vocabulary


def add_vocabulary(writer: Any, folder: Path, chat_template: str | None = None) -> Vocabulary:
    """Gives the tokenizer of `folder` to a `gguf.GGUFWriter`; raises as write_vocabulary."""
    table, special = _read(folder)
    template = chat_template if chat_template is not None else chat_templates.read(folder)
    _add(writer, table, special, template)
    return Vocabulary(
        size=len(table.tokens),
        bos=special.bos,
        eos=special.eos,
        end_of_generation=special.ends,
        adds_bos=special.adds_bos,
        kind=table.model,
        pre=table.pre,
        has_chat_template=template is not None,
        normalization=table.normalization,
    )


def compare(
    folder: Path,
    tokenize: Callable[[str], list[int]],
    tokenize_whole: Callable[[str], list[int]] | None = None,
) -> list[Mismatch]:
    """Every line of the probe that `tokenize` splits otherwise than the HF `tokenizers` library.

    `tokenize` adds no special tokens and recognises them in the text. Where the original composes
    characters first (NFC), the lines are there in decomposed form, too. `tokenize_whole` adds
    special tokens, which are compared on one line: all but the end, which ours never adds.
    """
    table, special = _read(folder)
    reference = _reference(folder)
    named = [
        token
        for token, kind in zip(table.tokens, table.kinds, strict=True)
        if kind in (sentencepiece.CONTROL, sentencepiece.USER_DEFINED)
    ]
    lines = tokenizer_probe.lines(named)
    if table.normalization == "nfc":
        apart = (unicodedata.normalize("NFD", line) for line in lines)
        lines = [*lines, *(line for line in apart if not line.isascii())]
    encoded = reference.encode_batch_fast(lines, add_special_tokens=False)
    found = []
    for line, encoding in zip(lines, encoded, strict=True):
        got = list(tokenize(line))
        if got != encoding.ids:
            found.append(Mismatch(line, list(encoding.ids), got))
    if tokenize_whole is not None and not found:
        inner = reference.encode(_PLAIN, add_special_tokens=False).ids
        expected, got = [*special.before, *inner, *special.after], list(tokenize_whole(_PLAIN))
        if got != expected:
            found.append(Mismatch(_PLAIN, expected, got, is_around=True))
    return found


def encode(folder: Path, text: str) -> list[int]:
    """`text` as the model's own tokenizer splits it; raises as compare."""
    ids: list[int] = _reference(folder).encode(text).ids
    return ids


def _read(folder: Path) -> tuple[TokenTable, SpecialTokens]:
    size = _model_vocabulary_size(folder)
    if (folder / "tokenizer.json").is_file():
        values = json_object.read(folder / "tokenizer.json")
        more = added_tokens.lacking(folder, values)
        if more:
            listed = values.get("added_tokens")
            listed = listed if isinstance(listed, list) else []
            values = {**values, "added_tokens": [*listed, *more]}
        # Some pre-tokenizers' names depend on whether there is a bos, which depends on the ids.
        table = token_table.from_tokenizer_json(values, size, has_bos=True)
        special = special_tokens.read(folder, table.ids, values.get("post_processor"))
        if special.bos is None:
            table = token_table.from_tokenizer_json(values, size, has_bos=False)
        return table, special
    if (folder / "tokenizer.model").is_file():
        model = sentencepiece.read(folder / "tokenizer.model")
        table = token_table.from_sentencepiece(model, size, added_tokens.read(folder))
        own = {
            "bos": model.bos_id,
            "eos": model.eos_id,
            "pad": model.pad_id,
            "unk": model.unknown_id,
        }
        return table, special_tokens.read(folder, table.ids, own=own)
    message = f"`{folder}` has no tokenizer (tokenizer.json or tokenizer.model)"
    hint = (
        "AutoTokenizer.from_pretrained(folder).save_pretrained(folder) of transformers writes one"
    )
    raise NotFoundError(message, hint=hint)


def _model_vocabulary_size(folder: Path) -> int:
    """Rows of the model's embedding, which is often larger than the tokenizer; 0 if unknown."""
    if not (folder / "config.json").is_file():
        return 0
    size = text_part.config(json_object.read(folder / "config.json")).get("vocab_size")
    if size is None:
        return 0
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        message = f"`vocab_size` in config.json is `{str(size)[:40]}`"
        raise ModelCorruptError(message)
    return size


def _add(writer: Any, table: TokenTable, special: SpecialTokens, template: str | None) -> None:
    if table.strips_after_special:
        # llama.cpp looks for this in the model's name; there is no other way.
        writer.add_name("phi-3")
    writer.add_tokenizer_model(table.model)
    writer.add_tokenizer_pre(table.pre)
    writer.add_token_list(table.tokens)
    writer.add_token_types(table.kinds)
    if table.scores:
        writer.add_token_scores(table.scores)
    if table.merges or table.model == "gpt2":
        writer.add_token_merges(table.merges)
    if table.model == "llama":
        writer.add_add_space_prefix(table.space_prefix == "each")
    # These llama.cpp does not know, our runtime does (native/src/text/pre_tokenizer.cpp).
    if table.normalization is not None:
        writer.add_string("sphere_edge.normalization", table.normalization)
    if table.expressions:
        split = {"expressions": table.expressions, "whole_words": int(table.whole_words)}
        writer.add_string("sphere_edge.split", json.dumps(split))
    if table.space_prefix == "first":
        # llama.cpp does not know it; our runtime does (native/src/text/tokenizer.cpp).
        writer.add_string("sphere_edge.space_prefix", "first")
    writer.add_add_bos_token(special.adds_bos)
    # Whatever its files say: an answer never follows the end of its question.
    writer.add_add_eos_token(False)
    if special.bos is not None:
        writer.add_bos_token_id(special.bos)
    if special.pad is not None:
        writer.add_pad_token_id(special.pad)
    if special.unknown is not None:
        writer.add_unk_token_id(special.unknown)
    _write_ends(writer, special)
    if template is not None:
        writer.add_chat_template(template)


# llama.cpp has no list of ends; each of these roles ends a generation, whatever the token's text.
_END_ROLES = ("eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep")


def _write_ends(writer: Any, special: SpecialTokens) -> None:
    if len(special.ends) > len(_END_ROLES):
        message = f"the model has {len(special.ends)} tokens that end a text"
        raise UnsupportedError(message, hint=f"at most {len(_END_ROLES)} can be kept")
    for role, number in zip(_END_ROLES, special.ends, strict=False):
        writer.add_uint32(f"tokenizer.ggml.{role}_token_id", number)


def _reference(folder: Path) -> Any:
    """The original in the HF library, built from a tokenizer.model where there is no other."""
    from tokenizers import Tokenizer

    if not (folder / "tokenizer.json").is_file():
        reference = _reference_of(sentencepiece.read(folder / "tokenizer.model"))
        added_tokens.add_to(reference, added_tokens.read(folder))
        return reference
    try:
        reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # The library raises plain Exception for whatever it dislikes.
        message = f"tokenizer.json is not understood by the `tokenizers` library: {error}"
        raise ModelCorruptError(message) from error
    beside = added_tokens.read(folder)
    unknown = [one for one in beside if reference.token_to_id(one["content"]) is None]
    added_tokens.add_to(reference, unknown)
    reference.no_truncation()
    reference.no_padding()
    return reference


def _reference_of(model: sentencepiece.SentencePieceModel) -> Any:
    from tokenizers import AddedToken, Tokenizer, models, normalizers

    ids = {piece.text: number for number, piece in enumerate(model.pieces)}
    merges = _merges_of(model.pieces, ids)
    unknown = model.pieces[model.unknown_id].text if model.unknown_id >= 0 else None
    reference = Tokenizer(
        models.BPE(vocab=ids, merges=merges, unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    steps = [normalizers.Prepend("\u2581")] if model.adds_space_prefix else []
    reference.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "\u2581")])
    reference.add_special_tokens(
        [
            AddedToken(piece.text, special=True, normalized=False)
            for piece in model.pieces
            if piece.kind in (sentencepiece.CONTROL, sentencepiece.UNKNOWN)
        ]
    )
    own = [piece.text for piece in model.pieces if piece.kind == sentencepiece.USER_DEFINED]
    reference.add_tokens([AddedToken(text, normalized=False) for text in own])
    return reference


def _merges_of(pieces: Sequence[sentencepiece.Piece], ids: dict[str, int]) -> list[tuple[str, str]]:
    """SentencePiece merges what gives the highest score: all ways to split a piece are merges."""
    merges = []
    for piece in pieces:
        if piece.kind != sentencepiece.NORMAL:
            continue
        for cut in range(1, len(piece.text)):
            left, right = piece.text[:cut], piece.text[cut:]
            if left in ids and right in ids:
                merges.append((-piece.score, ids[left], ids[right], left, right))
    return [(left, right) for _, _, _, left, right in sorted(merges)]
