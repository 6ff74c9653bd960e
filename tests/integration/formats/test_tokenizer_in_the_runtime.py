"""The GGUF that we write splits text in the real runtime as the original tokenizer does."""

from __future__ import annotations

import json
import random
import unicodedata
from functools import partial
from pathlib import Path

import pytest

from sphere_edge.errors import UnsupportedError
from sphere_edge.formats.tokenizer import Mismatch, compare, write_vocabulary
from sphere_edge.runtime.vocabulary import Vocabulary
from tests import trained_tokenizers as trained


def mismatches(folder: Path) -> list[Mismatch]:
    write_vocabulary(folder, folder / "tokenizer.gguf")
    with Vocabulary.open(folder / "tokenizer.gguf") as vocabulary:
        return compare(
            folder, lambda text: vocabulary.tokenize(text, add_special=False, parse_special=True)
        )


@pytest.mark.parametrize("name", trained.BYTE_LEVEL)
def test_byte_level_tokenizers_split_alike(tmp_path: Path, name: str) -> None:
    assert mismatches(trained.write_byte_level(tmp_path, name)) == []


@pytest.mark.parametrize("with_decoder", [False, True])
def test_tokens_beside_a_sentencepiece_model_are_tokens(tmp_path: Path, with_decoder: bool) -> None:
    pieces = trained.sentencepiece_vocabulary()
    size = len(pieces)
    (tmp_path / "tokenizer.model").write_bytes(trained.sentencepiece_model(pieces, prefix=False))
    added = {"<|user|>": size, "<|end|>": size + 1}
    (tmp_path / "added_tokens.json").write_text(json.dumps(added))
    if with_decoder:
        decoder = {
            str(number): {"content": text, "special": True, "normalized": False}
            for text, number in added.items()
        }
        config = {"added_tokens_decoder": decoder}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert mismatches(tmp_path) == []
    with Vocabulary.open(tmp_path / "tokenizer.gguf") as ours:
        ids = ours.tokenize("<|user|>hi<|end|>", add_special=False, parse_special=True)
    assert (ids[0], ids[-1]) == (size, size + 1)


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("(a+)+?", "as little as it can"),
        (r"\p{Han}+", "the property Han"),
        ("(?<=a)b", "a kind of group"),
        (r"\bword", "an escape"),
        ("[a-z&&[^b]]", "within another"),
        ("(" * 40 + ")" * 40, "nested too deeply"),
        ("a{1000}", "too many repeats"),
        ("((((a{60}){60}){60}){60})", "more than can be matched"),
    ],
)
def test_an_expression_that_is_not_known_is_refused(
    tmp_path: Path, expression: str, what: str
) -> None:
    with pytest.raises(UnsupportedError, match=what):
        opened(tmp_path, expression)


def test_an_expression_without_end_is_stopped(tmp_path: Path) -> None:
    with opened(tmp_path, "(a|a)*b") as vocabulary, pytest.raises(UnsupportedError, match="long"):
        vocabulary.tokenize("a" * 4000, add_special=False, parse_special=False)


def test_an_expression_that_would_take_all_memory_is_stopped(tmp_path: Path) -> None:
    with opened(tmp_path, "(a?)*b") as vocabulary:
        for _ in range(2):
            with pytest.raises(UnsupportedError, match="memory"):
                vocabulary.tokenize("c" * 4000, add_special=False, parse_special=False)


def test_a_very_long_word_is_one(tmp_path: Path) -> None:
    with opened(tmp_path, "[^ ]+| +") as vocabulary:
        tokens = vocabulary.tokenize("ab" * 50_000, add_special=False, parse_special=False)
        assert vocabulary.detokenize(tokens) == "ab" * 50_000


def composes_alike(folder: Path, texts: list[str]) -> None:
    """That `texts` and their composed forms are the same tokens where the tokenizer composes."""
    trained.write_byte_level(folder, "qwen2")
    write_vocabulary(folder, folder / "tokenizer.gguf")
    with Vocabulary.open(folder / "tokenizer.gguf") as vocabulary:
        for text in texts:
            found = vocabulary.tokenize(text, add_special=False, parse_special=True)
            composed = unicodedata.normalize("NFC", text).encode()
            assert vocabulary.detokenize(found).encode() == composed, ascii(text)


def test_every_character_that_can_be_taken_apart_is_composed_as_the_standard_says(
    tmp_path: Path,
) -> None:
    every = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    apart = [text for text in map(partial(unicodedata.normalize, "NFD"), every) if len(text) > 1]
    syllables = [text for text in apart if "\u1100" <= text[0] <= "\u1112"]
    rest = [text for text in apart if text not in set(syllables)]
    assert len(rest) > 900
    composes_alike(tmp_path, [*rest, *syllables[::37]])


def test_stacked_marks_are_ordered_and_composed_as_the_standard_says(tmp_path: Path) -> None:
    chance = random.Random(20260101)
    marks = [chr(code) for code in range(0x300, 0x370)]
    texts = [
        "".join(
            letter + "".join(chance.choices(marks, k=chance.randint(0, 4)))
            for letter in chance.choices("aeoAÅcsz\u1100\uac00<", k=5)
        )
        for _ in range(1000)
    ]
    composes_alike(tmp_path, ["\u0301" + texts[0], *texts])


def test_a_mark_behind_a_special_token_is_not_composed_with_it(tmp_path: Path) -> None:
    trained.write_byte_level(tmp_path, "qwen2")
    write_vocabulary(tmp_path, tmp_path / "tokenizer.gguf")
    with Vocabulary.open(tmp_path / "tokenizer.gguf") as vocabulary:
        alone = vocabulary.tokenize("<|im_end|>", add_special=False, parse_special=True)
        both = vocabulary.tokenize("<|im_end|>\u0338", add_special=False, parse_special=True)
    assert len(alone) == 1
    assert both[:1] == alone


def opened(folder: Path, expression: str) -> Vocabulary:
    """A vocabulary whose text is split by `expression`."""
    trained.write_byte_level(folder, "tekken")
    values = json.loads((folder / "tokenizer.json").read_text())
    values["pre_tokenizer"]["pretokenizers"][0] |= {"pattern": {"Regex": expression}}
    (folder / "tokenizer.json").write_text(json.dumps(values))
    write_vocabulary(folder, folder / "tokenizer.gguf")
    return Vocabulary.open(folder / "tokenizer.gguf")


@pytest.mark.parametrize(
    ("prefix", "metaspace"), [(True, None), (False, None), (False, "never"), (True, "first")]
)
def test_sentencepiece_tokenizers_split_alike(
    tmp_path: Path, prefix: bool, metaspace: str | None
) -> None:
    trained.write_sentencepiece(tmp_path, prefix=prefix, metaspace=metaspace)
    assert mismatches(tmp_path) == []


def test_whitespace_after_special_tokens_is_swallowed_as_in_phi3(tmp_path: Path) -> None:
    trained.write_sentencepiece(tmp_path, prefix=True, like_phi3=True)
    assert mismatches(tmp_path) == []


@pytest.mark.parametrize("prefix", [True, False])
def test_a_sentencepiece_model_alone_splits_alike(tmp_path: Path, prefix: bool) -> None:
    pieces = trained.sentencepiece_vocabulary()
    (tmp_path / "tokenizer.model").write_bytes(trained.sentencepiece_model(pieces, prefix=prefix))
    assert mismatches(tmp_path) == []
