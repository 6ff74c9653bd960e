"""How a tokenizer.json cuts text into words: by one of llama.cpp's ways, or by our runtime's own.

Names and expressions: src/llama-vocab.cpp of the llama.cpp that we build (`llm_tokenizer_bpe`).
Its own converter knows tokenizers by the hash of an encoded text and refuses all others; the
structure is the same for every model trained with it. Some of its expressions are not quite those
of the tokenizers (case and combining marks in tekken and o200k, unusual spaces in deepseek-coder):
these, and all that it does not know, native/src/text/pattern.cpp matches exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sphere_edge.errors import ModelCorruptError, UnsupportedError

# One step: its kind and, for `split`, the regular expression.
Step = tuple[str, str]

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
)
_CASED_REST = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"

LLAMA3 = rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}{{1,3}}|{_REST}"
QWEN2 = rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}|{_REST}"
QWEN35 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = rf"{_CASED[0]}|{_CASED[1]}|\p{{N}}|{_CASED_REST}"
GPT4O = rf"{_CASED[0]}{_CONTRACTIONS}?|{_CASED[1]}{_CONTRACTIONS}?|\p{{N}}{{1,3}}|{_CASED_REST}"
DEEPSEEK3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
    "|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*"
    "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
)
SEED_CODER = (
    f"{_CONTRACTIONS}|[^\r\n\\p{{L}}\\p{{N}}]?\\p{{L}}+|\\p{{N}}{{1}}"
    "| ?[^\\s\\p{L}\\p{N}\r\n]+|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
)

BYTES: Step = ("bytes", "")
GPT2: Step = ("gpt2", "")
DIGIT: Step = ("digit", "")
DIGITS: Step = ("digits", "")
PUNCTUATION: Step = ("punctuation", "")


def _split(*expressions: str) -> tuple[Step, ...]:
    return tuple(("split", expression) for expression in expressions)


KNOWN: dict[tuple[Step, ...], str] = {
    (*_split(QWEN2), BYTES): "qwen2",
    (*_split(QWEN35), BYTES): "qwen35",
    (*_split(SEED_CODER), BYTES): "seed-coder",
    (*_split(r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3), BYTES): "deepseek-v3",
    (GPT2,): "gpt-2",
    (DIGIT, GPT2): "smollm",
    (PUNCTUATION, GPT2, DIGITS, *_split("[0-9][0-9][0-9]")): "falcon",
}


# A name with which llama.cpp leaves words whole that hold no space, as ours do (tokenizer.cpp).
_LEFT_WHOLE = "whitespace"
# What the other steps of byte-level tokenizers cut out, as an expression.
_EXPRESSIONS: Mapping[Step, str] = {
    GPT2: r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    DIGIT: r"\p{N}",
    DIGITS: r"\p{N}+",
    PUNCTUATION: r"[\p{P}!-/:-@\[-`{-~]+",
}


@dataclass(frozen=True)
class Splitting:
    """`name`: llama.cpp's own. `expressions`: what our runtime cuts by instead, one after another.

    `whole_words`: where it does, a word that is a token is never merged.
    """

    name: str
    expressions: tuple[str, ...] = ()
    whole_words: bool = False


def splitting(pre_tokenizer: object, *, ignores_merges: bool, has_bos: bool) -> Splitting:
    """How the byte-level `pre_tokenizer` of a tokenizer.json cuts text.

    `ignores_merges`: a word that is a token is never merged. Raises UnsupportedError naming the
    step that is not known, ModelCorruptError if it is not a pre-tokenizer at all.
    """
    found = tuple(steps(pre_tokenizer))
    if found == (*_split(LLAMA3), BYTES):
        # The four differ in these two points alone.
        if has_bos:
            return Splitting("llama-bpe" if ignores_merges else "smaug-bpe")
        return Splitting("glm4" if ignores_merges else "chatglm-bpe")
    if found in KNOWN:
        return Splitting(KNOWN[found])
    # What comes after the step to bytes would see these.
    cuts = found if found[-1:] == (GPT2,) else found[:-1]
    unknown = any(kind != "split" and (kind, rest) not in _EXPRESSIONS for kind, rest in cuts)
    if unknown or found[-1:] not in ((GPT2,), (BYTES,)) or GPT2 in cuts[:-1]:
        shown = ", then ".join(f"{kind} {regex}".strip() for kind, regex in found) or "none"
        message = f"the tokenizer splits text in a way we do not know: `{shown[:400]}`"
        raise UnsupportedError(message, hint="a GGUF of the model brings its own tokenizer")
    expressions = tuple(_EXPRESSIONS.get((kind, rest), rest) for kind, rest in cuts)
    return Splitting(_LEFT_WHOLE, expressions, ignores_merges)


def steps(pre_tokenizer: object) -> Iterator[Step]:
    """The steps of a tokenizer.json's pre-tokenizer, sequences flattened."""
    if pre_tokenizer is None:
        return
    if not isinstance(pre_tokenizer, Mapping):
        message = "the pre-tokenizer in tokenizer.json is not an object"
        raise ModelCorruptError(message)
    kind = pre_tokenizer.get("type")
    if kind == "Sequence":
        inner = pre_tokenizer.get("pretokenizers")
        if not isinstance(inner, list):
            message = "the pre-tokenizer sequence in tokenizer.json has no list"
            raise ModelCorruptError(message)
        for item in inner:
            if isinstance(item, Mapping) and item.get("type") == "Sequence":
                message = "tokenizer.json nests pre-tokenizer sequences"
                raise UnsupportedError(message)
            yield from steps(item)
    else:
        yield _step(str(kind), pre_tokenizer)


def _step(kind: str, values: Mapping[str, Any]) -> Step:
    if kind == "ByteLevel" and not values.get("add_prefix_space"):
        return GPT2 if values.get("use_regex", True) else BYTES
    if kind == "Digits":
        return DIGIT if values.get("individual_digits") else DIGITS
    if kind == "Punctuation" and values.get("behavior") == "Contiguous":
        return PUNCTUATION
    if kind == "Punctuation" and values.get("behavior") == "Isolated":
        return ("split", r"[\p{P}!-/:-@\[-`{-~]")
    if kind == "Split":
        pattern = values.get("pattern")
        regex = pattern.get("Regex") if isinstance(pattern, Mapping) else None
        plain = pattern.get("String") if isinstance(pattern, Mapping) else None
        if isinstance(plain, str) and plain:
            regex = re.escape(plain)
        # Keeping what matches, and cutting around it, are the same where everything matches.
        isolated = values.get("behavior") == "Isolated" and not values.get("invert")
        kept = values.get("behavior") == "Removed" and values.get("invert") is True
        if isinstance(regex, str) and (isolated or kept):
            return ("split", regex)
    return (kind, str({key: value for key, value in values.items() if key != "type"}))
