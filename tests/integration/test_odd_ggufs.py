"""GGUF files as people publish them: no attention, names that are not UTF-8, advice on sampling."""

from __future__ import annotations

from pathlib import Path

import pytest

from sphere_edge import TextManager, errors
from sphere_edge.runtime.library import model_info
from tests import random_gguf, random_recurrent


@pytest.mark.parametrize("heads", [0, 1])
def test_a_model_without_attention_opens(tmp_path: Path, heads: int) -> None:
    with TextManager.open(random_recurrent.write(tmp_path / "mamba.gguf", heads=heads)) as text:
        assert text.generate("the", max_tokens=3, ignore_end_of_text=True).text()


def test_a_name_that_is_not_utf_8_is_told_as_far_as_it_can_be(tmp_path: Path) -> None:
    path = random_gguf.write(tmp_path / "model.gguf", name="name")
    content = path.read_bytes()
    assert content.count(b"\x04" + bytes(7) + b"name") == 1
    path.write_bytes(content.replace(b"\x04" + bytes(7) + b"name", b"\x04" + bytes(7) + b"na\xffe"))
    assert model_info(path)["name"] == "na\ufffde"


def test_a_bare_file_samples_as_it_advises(tmp_path: Path) -> None:
    """Greedy, whatever the seed."""
    advised = random_gguf.write(tmp_path / "advised.gguf", sampling={"temp": 0.0})
    usual = random_gguf.write(tmp_path / "usual.gguf")

    def texts(model: Path) -> set[str]:
        with TextManager.open(model) as text:
            options = {"max_tokens": 20, "ignore_end_of_text": True}
            return {text.generate("the", seed=seed, **options).text() for seed in range(5)}

    assert len(texts(advised)) == 1
    assert len(texts(usual)) == 5


@pytest.mark.parametrize(
    ("key", "value"), [("temp", -1.0), ("top_p", 1.5), ("min_p", float("nan"))]
)
def test_advice_that_cannot_be_is_refused_by_name(tmp_path: Path, key: str, value: float) -> None:
    model = random_gguf.write(tmp_path / "model.gguf", sampling={key: value})
    with pytest.raises(errors.ModelCorruptError, match=f"`general.sampling.{key}`"):
        TextManager.open(model)
