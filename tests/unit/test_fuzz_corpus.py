"""What fuzzing begins with, and what it has found: each input is read, or refused with a code."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from fuzz import outcome, running

INPUTS = [
    (name, file)
    for name in running.python_names()
    for file in sorted(running.corpus(name).iterdir())
]


@pytest.mark.parametrize(
    ("name", "file"), INPUTS, ids=[f"{name}-{file.name}" for name, file in INPUTS]
)
@pytest.mark.filterwarnings("ignore")
def test_an_input_of_the_corpus_is_read_or_refused(name: str, file: Path) -> None:
    outcome.check(importlib.import_module(f"fuzz.readers.{name}").read, file.read_bytes())


def test_every_target_has_a_small_corpus() -> None:
    for name in running.names():
        sizes = [file.stat().st_size for file in running.corpus(name).iterdir()]
        assert sizes, name
        assert sum(sizes) <= 32_768, name
    assert {running.corpus(name).name for name in running.names()} == {
        folder.name for folder in running.CORPUS.iterdir()
    }
