"""The GGUF that we write splits text in the real runtime as the original tokenizer does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sphere_edge.errors import UnsupportedError
from sphere_edge.formats.tokenizer import Mismatch, compare, write_vocabulary
from sphere_edge.runtime import Vocabulary
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


def test_a_very_long_word_is_one(tmp_path: Path) -> None:
    with opened(tmp_path, "[^ ]+| +") as vocabulary:
        tokens = vocabulary.tokenize("ab" * 50_000, add_special=False, parse_special=False)
        assert vocabulary.detokenize(tokens) == "ab" * 50_000


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
