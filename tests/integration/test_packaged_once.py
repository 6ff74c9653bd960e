"""A model in place of a bundle: packaged at its first use, found at the next."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sphere_edge import __main__, resources
from sphere_edge.errors import Status
from sphere_edge.toolchain import cache

FRANCE = "What is the capital of France?"
SAID = "packaging `capitals` for this machine, once"


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Path]:
    """A folder with the built-in model's files; what is made of it goes with it."""
    folder = tmp_path / "capitals"
    shutil.copytree(resources.tiny_model(), folder)
    yield folder
    for made in (cache.folder() / "packaged").glob("capitals-*"):
        shutil.rmtree(made)


def made_of(name: str) -> list[Path]:
    return sorted((cache.folder() / "packaged").glob(f"{name}-*/*/{name}.host"))


def test_a_model_is_packaged_once_and_again_when_it_changes(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["run", "capitals", FRANCE, "--temperature", "0"]
    for is_new in (True, False):
        assert __main__.main(words) == 0
        output = capsys.readouterr()
        assert output.out == "The capital of France is Paris.\n"
        assert (SAID in output.err) == is_new
    (first,) = made_of("capitals")
    assert __main__.main(["bench", str(model), "--repeat", "1", "--json"]) == 0
    measured = capsys.readouterr()
    assert SAID not in measured.err
    assert json.loads(measured.out)["backend"] == "cpu"

    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 500}))
    assert __main__.main(words) == 0
    assert SAID in capsys.readouterr().err
    (second,) = made_of("capitals")
    assert second.parent != first.parent

    largest = max(second.iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1])
    assert __main__.main(words) == 0
    assert SAID in capsys.readouterr().err


def test_what_cannot_be_packaged_leaves_nothing_in_the_cache(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert __main__.main(["run", str(model), FRANCE]) == Status.MODEL_CORRUPT
    assert "model.safetensors" in capsys.readouterr().err
    (place,) = (cache.folder() / "packaged").glob("capitals-*")
    assert [path.suffix for path in place.iterdir()] == [".lock"]


def test_what_is_neither_a_model_nor_a_bundle_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert __main__.main(["run", str(tmp_path / "empty"), FRANCE]) == Status.NOT_FOUND
    assert "`sphere-edge package`" in capsys.readouterr().err
