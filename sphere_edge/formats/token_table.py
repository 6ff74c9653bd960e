"""A tokenizer as llama.cpp reads it: tokens, types, scores or merges, from either kind of file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.formats import pre_tokenizers
from sphere_edge.formats.sentencepiece import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    SentencePieceModel,
)

# The largest vocabularies have 262,144 tokens.
TOKENS_LIMIT = 1_000_000
# Below any merge: such a token is never made by merging.
_NO_MERGE = -1e6
_SPACE = "\u2581"
SpacePrefix = Literal["never", "each", "first"]
_OWN_TOKENIZER = "a GGUF of the model brings its own tokenizer"


@dataclass(frozen=True)
class TokenTable:
    """`model` is llama.cpp's kind: `gpt2` (byte-level BPE, with merges) or `llama` (with scores).

    `kinds` are GGUF's token types. `space_prefix`: where a space is added: `never`; before `each`
    piece of text between special tokens; or only before the `first` piece, unless it begins with
    a space. `normalization`: what the tokenizer does to a text before all else, `nfc`
    or nothing. `strips_after_special`: special tokens swallow the whitespace after them, as in
    Phi-3. `expressions`, `whole_words`: as in pre_tokenizers.Splitting.
    """

    model: str
    pre: str
    tokens: tuple[str, ...]
    kinds: tuple[int, ...]
    scores: tuple[float, ...] = ()
    merges: tuple[str, ...] = ()
    space_prefix: SpacePrefix = "never"
    normalization: str | None = None
    strips_after_special: bool = False
    expressions: tuple[str, ...] = ()
    whole_words: bool = False

    @property
    def ids(self) -> dict[str, int]:
        """Token → id."""
        return {token: number for number, token in enumerate(self.tokens)}


def from_tokenizer_json(values: Mapping[str, Any], size: int, has_bos: bool) -> TokenTable:
    """The table of a tokenizer.json, at least `size` tokens long.

    Raises UnsupportedError for another model than BPE and for steps that llama.cpp does not do,
    ModelCorruptError for a file that contradicts itself.
    """
    model = values.get("model")
    if not isinstance(model, Mapping) or model.get("type", "BPE") != "BPE":
        kind = str(model.get("type") if isinstance(model, Mapping) else model)[:40]
        message = f"the tokenizer is of the kind `{kind}`, and only BPE can be converted"
        raise UnsupportedError(message, hint=_OWN_TOKENIZER)
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(key):
            message = f"the tokenizer uses `{key}`, which llama.cpp does not know"
            raise UnsupportedError(message, hint=_OWN_TOKENIZER)
    vocabulary = _vocabulary(model.get("vocab"))
    merges = _merges(model.get("merges"), vocabulary)
    tokens, kinds = _tokens(vocabulary, values.get("added_tokens"), size, model.get("unk_token"))
    if _is_byte_level(values.get("pre_tokenizer")):
        splitting = pre_tokenizers.splitting(
            values.get("pre_tokenizer"),
            ignores_merges=model.get("ignore_merges") is True,
            has_bos=has_bos,
        )
        return TokenTable(
            model="gpt2",
            pre=splitting.name,
            expressions=splitting.expressions,
            whole_words=splitting.whole_words,
            tokens=tokens,
            kinds=kinds,
            merges=tuple(f"{left} {right}" for left, right in merges),
            normalization=_byte_level_normalization(values.get("normalizer")),
        )
    if model.get("byte_fallback") is not True:
        message = "the tokenizer is neither byte-level nor does it fall back to bytes"
        raise UnsupportedError(message, hint=_OWN_TOKENIZER)
    return _sentencepiece_style(values, merges, tokens, kinds)


def from_sentencepiece(
    model: SentencePieceModel, size: int, added: Sequence[Mapping[str, Any]] = ()
) -> TokenTable:
    """The table of a tokenizer.model, at least `size` tokens long.

    `added`: tokens beside it, as tokenizer.json has them. Raises ModelCorruptError where one takes
    the id of another text.
    """
    tokens = {number: piece.text for number, piece in enumerate(model.pieces)}
    kinds = {number: piece.kind for number, piece in enumerate(model.pieces)}
    for item in added:
        text, number = item["content"], item["id"]
        if kinds.get(number) in (NORMAL, BYTE) and tokens[number] != text:
            message = f"the added token `{text[:80]}` has the id `{number}` of `{tokens[number]}`"
            raise ModelCorruptError(message)
        if kinds.get(number) not in (UNKNOWN, BYTE):
            tokens[number] = text
            kinds[number] = CONTROL if item["special"] else USER_DEFINED
    texts, types = _filled(tokens, kinds, size)
    scores = [piece.score for piece in model.pieces]
    return TokenTable(
        model="llama",
        pre="default",
        tokens=texts,
        kinds=types,
        scores=(*scores, *[0.0] * (len(texts) - len(scores))),
        space_prefix="each" if model.adds_space_prefix else "never",
        strips_after_special=_strips_after_special([*added]),
    )


def _vocabulary(value: object) -> dict[str, int]:
    if not isinstance(value, dict) or not value:
        message = "tokenizer.json has no vocabulary"
        raise ModelCorruptError(message)
    for token, number in value.items():
        _checked_id(token, number)
    if len(set(value.values())) != len(value):
        message = "two tokens of tokenizer.json share an id"
        raise ModelCorruptError(message)
    return value


def _checked_id(token: object, number: object) -> int:
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < TOKENS_LIMIT:
        return number
    message = f"token `{str(token)[:40]}` in tokenizer.json has the id `{str(number)[:40]}`"
    raise ModelCorruptError(message)


def _merges(value: object, vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs in order of rank, written as `a b` or ["a", "b"]."""
    merges = []
    for item in value if isinstance(value, list) else []:
        pair = item.split(" ") if isinstance(item, str) else item
        sound = isinstance(pair, list) and len(pair) == 2
        if not sound or not all(isinstance(part, str) and part in vocabulary for part in pair):
            message = f"merge `{str(item)[:80]}` of tokenizer.json is not of two tokens"
            raise ModelCorruptError(message)
        if " " in pair[0] or " " in pair[1]:
            message = f"merge `{str(item)[:80]}` of tokenizer.json holds a space"
            raise UnsupportedError(message, hint=_OWN_TOKENIZER)
        merges.append((pair[0], pair[1]))
    return merges


def _tokens(
    vocabulary: Mapping[str, int], added: object, size: int, unknown: object
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    tokens = {number: token for token, number in vocabulary.items()}
    kinds = dict.fromkeys(tokens, NORMAL)
    for number, token in tokens.items():
        if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            kinds[number] = BYTE
    for item in added if isinstance(added, list) else []:
        text = item.get("content") if isinstance(item, dict) else None
        if not isinstance(item, dict) or not isinstance(text, str) or not text:
            message = f"added token `{str(item)[:80]}` of tokenizer.json has no content"
            raise ModelCorruptError(message)
        number = _checked_id(text, item.get("id"))
        if vocabulary.get(text, number) != number:
            message = f"token `{text[:80]}` of tokenizer.json has two ids"
            raise ModelCorruptError(message)
        tokens[number] = text
        kinds[number] = CONTROL if item.get("special") is True else USER_DEFINED
    if isinstance(unknown, str) and unknown in vocabulary:
        kinds[vocabulary[unknown]] = UNKNOWN
    return _filled(tokens, kinds, size)


def _filled(
    tokens: Mapping[int, str], kinds: Mapping[int, int], size: int
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """All ids from 0 on; those that no token has (the embedding is often larger) are unused.

    llama.cpp aborts on two tokens of one text, so no filler may look like a token.
    """
    length = max(size, max(tokens) + 1)
    taken = set(tokens.values())
    if length > TOKENS_LIMIT or len(taken) != len(tokens):
        message = "the vocabulary has two ids for one token, or too many tokens"
        raise ModelCorruptError(message)
    texts = []
    for number in range(length):
        text = tokens.get(number, f"[PAD{number}]")
        while number not in tokens and text in taken:
            text += "_"
        texts.append(text)
    return tuple(texts), tuple(kinds.get(number, UNUSED) for number in range(length))


def _is_byte_level(pre_tokenizer: object) -> bool:
    found = set(pre_tokenizers.steps(pre_tokenizer))
    return bool(found & {pre_tokenizers.BYTES, pre_tokenizers.GPT2}) or any(
        kind in ("split", "ByteLevel", "digit", "digits") for kind, _ in found
    )


def _flat(part: object, key: str) -> list[Mapping[str, Any]]:
    """The members of a (sequence of) normalizers."""
    if part is None:
        return []
    if not isinstance(part, Mapping):
        message = "a part of tokenizer.json is not an object"
        raise ModelCorruptError(message)
    inner = part.get(key)
    if part.get("type") == "Sequence" and isinstance(inner, list):
        return [item for item in inner if isinstance(item, Mapping)]
    return [part]


def _byte_level_normalization(normalizer: object) -> str | None:
    found = [str(item.get("type")) for item in _flat(normalizer, "normalizers")]
    if not found:
        return None
    if found == ["NFC"]:
        return "nfc"
    message = f"the tokenizer normalizes text in a way we do not know: `{', '.join(found)[:200]}`"
    raise UnsupportedError(message, hint=_OWN_TOKENIZER)


def _sentencepiece_style(
    values: Mapping[str, Any],
    merges: list[tuple[str, str]],
    tokens: tuple[str, ...],
    kinds: tuple[int, ...],
) -> TokenTable:
    """A Llama or Gemma tokenizer: spaces become U+2581, unknown characters bytes.

    llama.cpp merges the neighbours whose union has the highest score; minus the rank of the first
    merge that makes a token gives the order of tokenizer.json.
    """
    rank: dict[str, float] = {}
    for number, (left, right) in enumerate(merges):
        rank.setdefault(left + right, -float(number))
    scores = [
        rank.get(token, _NO_MERGE) if kind == NORMAL else 0.0
        for token, kind in zip(tokens, kinds, strict=True)
    ]
    return TokenTable(
        model="llama",
        pre="default",
        tokens=tokens,
        kinds=kinds,
        scores=tuple(scores),
        space_prefix=_space_prefix(values.get("normalizer"), values.get("pre_tokenizer")),
        strips_after_special=_strips_after_special(values.get("added_tokens")),
    )


# In llama.cpp all special tokens of a model named phi-3 swallow whitespace, except these.
_STRIP_NOTHING = {"<unk>", "<s>", "<|endoftext|>"}


def _strips_after_special(added: object) -> bool:
    items = [item for item in added if isinstance(item, dict)] if isinstance(added, list) else []
    stripping = {item.get("content") for item in items if item.get("rstrip") is True}
    others = {item.get("content") for item in items} - stripping
    return others == _STRIP_NOTHING and "</s>" in stripping


def _space_prefix(normalizer: object, pre_tokenizer: object) -> SpacePrefix:
    """Where a space is put in front of a text; raises UnsupportedError for other changes to it."""
    prefix: SpacePrefix = "never"
    escaped = False
    for item in _flat(normalizer, "normalizers"):
        kind = item.get("type")
        pattern = item.get("pattern")
        if kind == "Prepend" and item.get("prepend") == _SPACE and not escaped:
            prefix = "each"
        elif kind == "Replace" and pattern == {"String": " "} and item.get("content") == _SPACE:
            escaped = True
        else:
            message = (
                f"the tokenizer normalizes text in a way we do not know: `{str(dict(item))[:200]}`"
            )
            raise UnsupportedError(message, hint=_OWN_TOKENIZER)
    for item in _flat(pre_tokenizer, "pretokenizers"):
        kind, pattern = item.get("type"), item.get("pattern")
        if kind == "Metaspace" and item.get("replacement") == _SPACE and item.get("split") is False:
            scheme = item.get("prepend_scheme", "always")
            # `always` leaves out the space where there is one; packaging's comparison will show it.
            prefix = "first" if scheme == "first" else "never" if scheme == "never" else "each"
        elif not (kind == "Split" and pattern == {"String": " "} and escaped):
            message = (
                f"the tokenizer splits text in a way we do not know: `{str(dict(item))[:200]}`"
            )
            raise UnsupportedError(message, hint=_OWN_TOKENIZER)
    return prefix
