"""The GGUF that we write splits text in the real runtime as the original tokenizer does."""

from __future__ import annotations

from pathlib import Path

import pytest

from sphere_edge.formats import pre_tokenizers
from sphere_edge.formats.tokenizer import Mismatch, compare, known_difference, write_vocabulary
from sphere_edge.runtime import Vocabulary
from tests import trained_tokenizers as trained

# llama.cpp's own expressions for these are not those of the tokenizers; packaging says so.
APPROXIMATE = set(pre_tokenizers.APPROXIMATE)


def mismatches(folder: Path) -> list[Mismatch]:
    write_vocabulary(folder, folder / "tokenizer.gguf")
    with Vocabulary.open(folder / "tokenizer.gguf") as vocabulary:
        return compare(
            folder, lambda text: vocabulary.tokenize(text, add_special=False, parse_special=True)
        )


@pytest.mark.parametrize("name", sorted(set(trained.BYTE_LEVEL) - APPROXIMATE))
def test_byte_level_tokenizers_split_alike(tmp_path: Path, name: str) -> None:
    assert mismatches(trained.write_byte_level(tmp_path, name)) == []


@pytest.mark.parametrize("name", sorted(APPROXIMATE))
def test_approximations_are_found(tmp_path: Path, name: str) -> None:
    found = mismatches(trained.write_byte_level(tmp_path, name))
    assert 0 < len(found) < 200
    assert known_difference(tmp_path) is not None


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
