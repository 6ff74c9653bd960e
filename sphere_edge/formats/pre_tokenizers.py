"""Which of llama.cpp's pre-tokenizers does what a tokenizer.json describes, known by structure.

Names and expressions: src/llama-vocab.cpp of the llama.cpp that we build (`llm_tokenizer_bpe`).
Its own converter knows tokenizers by the hash of an encoded text and refuses all others; the
structure is the same for every model trained with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    (*_split(TEKKEN), BYTES): "tekken",
    # `gpt-4o` cuts words at combining marks (Devanagari, Thai); this one has its expression and
    # does not. Neither knows capitals beyond ASCII, which is harmless: no token crosses such a cut.
    (*_split(GPT4O), BYTES): "granite-embed-multi-97m",
    (*_split(SEED_CODER), BYTES): "seed-coder",
    (*_split(r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3), BYTES): "deepseek-v3",
    (
        *_split("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"),
        DIGIT,
        BYTES,
    ): "deepseek-coder",
    (GPT2,): "gpt-2",
    (DIGIT, GPT2): "smollm",
    (PUNCTUATION, GPT2, DIGITS, *_split("[0-9][0-9][0-9]")): "falcon",
}


# Where llama.cpp's own expressions are not quite those of the tokenizers, and what comes of it.
APPROXIMATE: Mapping[str, str] = {
    "tekken": "words with combining marks (as in Hindi and Thai) become other tokens",
    "deepseek-coder": "unusual spaces such as U+2009 become other tokens",
}


def name(pre_tokenizer: object, *, ignores_merges: bool, has_bos: bool) -> str:
    """llama.cpp's name for the byte-level `pre_tokenizer` of a tokenizer.json.

    `ignores_merges`: a word that is a token is never merged. Raises UnsupportedError naming the
    regular expression if there is none, ModelCorruptError if it is not a pre-tokenizer at all.
    """
    found = tuple(steps(pre_tokenizer))
    if found == (*_split(LLAMA3), BYTES):
        # The four differ in these two points alone.
        if has_bos:
            return "llama-bpe" if ignores_merges else "smaug-bpe"
        return "glm4" if ignores_merges else "chatglm-bpe"
    if found not in KNOWN:
        shown = ", then ".join(f"{kind} {regex}".strip() for kind, regex in found) or "none"
        message = f"the tokenizer splits text in a way we do not know: `{shown[:400]}`"
        raise UnsupportedError(message, hint="a GGUF of the model brings its own tokenizer")
    return KNOWN[found]


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
    if kind == "Split":
        pattern = values.get("pattern")
        regex = pattern.get("Regex") if isinstance(pattern, Mapping) else None
        # Keeping what matches, and cutting around it, are the same where everything matches.
        isolated = values.get("behavior") == "Isolated" and not values.get("invert")
        kept = values.get("behavior") == "Removed" and values.get("invert") is True
        if isinstance(regex, str) and (isolated or kept):
            return ("split", regex)
    return (kind, str({key: value for key, value in values.items() if key != "type"}))
