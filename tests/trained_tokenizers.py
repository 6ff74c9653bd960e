"""Model folders with tokenizers of every kind we convert, trained by code in a second."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, trainers
from tokenizers import pre_tokenizers as pre

from sphere_edge.formats import pre_tokenizers, tokenizer_probe

SPACE = "\u2581"
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def _splits(*expressions: str) -> list[Any]:
    return [pre.Split(Regex(expression), behavior="isolated") for expression in expressions]


def _bytes() -> Any:
    return pre.ByteLevel(add_prefix_space=False, use_regex=False)


def _gpt2() -> Any:
    return pre.ByteLevel(add_prefix_space=False, use_regex=True)


# llama.cpp's name → (pre-tokenizer steps, normalizer, ignore_merges, has a bos).
BYTE_LEVEL: dict[str, tuple[list[Any], Any, bool, bool]] = {
    "llama-bpe": ([*_splits(pre_tokenizers.LLAMA3), _bytes()], None, True, True),
    "smaug-bpe": ([*_splits(pre_tokenizers.LLAMA3), _bytes()], None, False, True),
    "glm4": ([*_splits(pre_tokenizers.LLAMA3), _bytes()], None, True, False),
    "chatglm-bpe": ([*_splits(pre_tokenizers.LLAMA3), _bytes()], None, False, False),
    "qwen2": ([*_splits(pre_tokenizers.QWEN2), _bytes()], normalizers.NFC(), False, False),
    "qwen35": ([*_splits(pre_tokenizers.QWEN35), _bytes()], normalizers.NFC(), False, False),
    "tekken": ([*_splits(pre_tokenizers.TEKKEN), _bytes()], None, True, True),
    "gpt-4o": ([*_splits(pre_tokenizers.GPT4O), _bytes()], None, False, True),
    "seed-coder": ([*_splits(pre_tokenizers.SEED_CODER), _bytes()], None, False, True),
    "gpt-2": ([_gpt2()], None, False, True),
    "smollm": ([pre.Digits(individual_digits=True), _gpt2()], None, False, True),
    "deepseek-v3": (
        [
            *_splits(r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", pre_tokenizers.DEEPSEEK3),
            _bytes(),
        ],
        None,
        False,
        True,
    ),
    "deepseek-coder": (
        [
            *_splits("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"),
            pre.Digits(individual_digits=True),
            _bytes(),
        ],
        None,
        False,
        True,
    ),
    # Nothing in llama.cpp cuts like these two, as Exaone 4 and cl100k do.
    "exaone4": (
        [
            *_splits(
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?"
                r"(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}"
                r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
            ),
            _bytes(),
        ],
        normalizers.NFC(),
        False,
        True,
    ),
    "cl100k": (
        [
            *_splits(
                r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}"
                r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
            ),
            _bytes(),
        ],
        None,
        True,
        True,
    ),
    "digits-then-gpt2": (
        [pre.Punctuation(behavior="isolated"), pre.Digits(individual_digits=False), _gpt2()],
        None,
        False,
        True,
    ),
    "falcon": (
        [
            pre.Punctuation(behavior="contiguous"),
            _gpt2(),
            pre.Digits(individual_digits=False),
            *_splits("[0-9][0-9][0-9]"),
        ],
        None,
        False,
        True,
    ),
}


@cache
def byte_level_json(name: str) -> str:
    """A tokenizer.json of the kind that llama.cpp calls `name`."""
    steps, normalizer, ignores_merges, has_bos = BYTE_LEVEL[name]
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignores_merges))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = steps[0] if len(steps) == 1 else pre.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1500, initial_alphabet=pre.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(tokenizer_probe.lines(), trainer)
    special = (*SPECIAL, "<|begin|>") if has_bos else SPECIAL
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False)])
    return tokenizer.to_str()


@cache
def sentencepiece_vocabulary() -> tuple[tuple[str, float, int], ...]:
    """Pieces (text, score, kind) of a BPE model with byte fallback, as in a tokenizer.model."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", SPACE)
    trainer = trainers.BpeTrainer(vocab_size=1300, limit_alphabet=300, show_progress=False)
    texts = [SPACE + line.replace("\n", " ") for line in tokenizer_probe.lines()]
    tokenizer.train_from_iterator(
        (text[i : i + 24] for text in texts for i in range(0, len(text), 24)), trainer
    )
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    pieces = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
    pieces += [(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)]
    merged = list(dict.fromkeys("".join(pair) for pair in merges))
    letters = [token for token in tokenizer.get_vocab() if len(token) == 1]
    pieces += [(token, -float(rank), 1) for rank, token in enumerate(merged)]
    pieces += [(token, -float(len(merged)), 1) for token in sorted(letters)]
    return tuple(pieces)


def sentencepiece_json(*, prefix: bool, metaspace: str | None = None) -> str:
    """The tokenizer.json that transformers would make of it, with all ways to split a piece."""
    pieces = sentencepiece_vocabulary()
    ids = {text: number for number, (text, _, _) in enumerate(pieces)}
    merges = []
    for text, score, kind in pieces:
        if kind == 1:
            for cut in range(1, len(text)):
                left, right = text[:cut], text[cut:]
                if left in ids and right in ids:
                    merges.append((-score, ids[left], ids[right], (left, right)))
    model = models.BPE(
        vocab=ids,
        merges=[merge[3] for merge in sorted(merges)],
        unk_token="<unk>",
        fuse_unk=True,
        byte_fallback=True,
    )
    tokenizer = Tokenizer(model)
    if metaspace is not None:
        tokenizer.pre_tokenizer = pre.Metaspace(SPACE, prepend_scheme=metaspace, split=False)
    else:
        first = [normalizers.Prepend(SPACE)] if prefix else []
        tokenizer.normalizer = normalizers.Sequence([*first, normalizers.Replace(" ", SPACE)])
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in ("<unk>", "<s>", "</s>")]
    )
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in SPECIAL]
    )
    return tokenizer.to_str()


def write_byte_level(folder: Path, name: str, **config: Any) -> Path:
    """A folder with a byte-level tokenizer and the files that say what its tokens are for."""
    (folder / "tokenizer.json").write_text(byte_level_json(name), encoding="utf-8")
    has_bos = BYTE_LEVEL[name][3]
    values = {
        "bos_token": "<|begin|>" if has_bos else None,
        "eos_token": {"content": "<|im_end|>", "special": True},
        "pad_token": "<|endoftext|>",
        "chat_template": CHAT_TEMPLATE,
        **config,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(values), encoding="utf-8")
    return folder


def write_sentencepiece(folder: Path, *, like_phi3: bool = False, **kind: Any) -> Path:
    """A folder with a Llama-2-style tokenizer.json (`prefix`, or not as Gemma)."""
    values = json.loads(sentencepiece_json(**kind))
    if like_phi3:
        for item in values["added_tokens"]:
            item["rstrip"] = item["content"] not in ("<unk>", "<s>", "<|endoftext|>")
    (folder / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")
    values = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(values), encoding="utf-8")
    return folder


def _varint(value: int) -> bytes:
    encoded = b""
    while value > 0x7F:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def _field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return _varint(number << 3) + _varint(content % 2**64)
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def sentencepiece_model(
    pieces: Sequence[tuple[str, float, int]], *, kind: int = 2, prefix: bool = True, extra: int = 0
) -> bytes:
    """The protobuf of a tokenizer.model; `extra`: remove_extra_whitespaces."""
    data = b""
    for text, score, piece_kind in pieces:
        number = _varint(2 << 3 | 5) + struct.pack("<f", score)
        data += _field(1, _field(1, text.encode()) + number + _field(3, piece_kind))
    trainer = _field(3, kind) + _field(40, 0) + _field(41, 1) + _field(42, 2) + _field(43, -1)
    normalizer = _field(1, b"identity") + _field(3, int(prefix)) + _field(4, extra)
    return data + _field(2, trainer) + _field(3, normalizer)
