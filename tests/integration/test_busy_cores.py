"""A GGUF model on cores that other programs use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sphere_edge import TextManager
from tests import random_gguf


@pytest.fixture
def one_core() -> Iterator[None]:
    """All threads of this process, those to come as well, share one core until the test ends."""
    before = os.sched_getaffinity(0)
    yield _share(before)
    _share(before)


def _share(cores: set[int]) -> None:
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def test_threads_that_share_a_core_become_fewer(
    one_core: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = random_gguf.write(tmp_path / "random.gguf")
    with TextManager.open(model) as text, caplog.at_level("INFO", "sphere_edge"):
        if text.info.threads == 1:
            pytest.skip("by design: nothing to share on one core")
        _share({min(os.sched_getaffinity(0))})
        text.generate("a b c", max_tokens=200, ignore_end_of_text=True).text()
    assert "computing with `1` of" in caplog.text


def test_a_number_of_threads_that_was_asked_for_is_kept(
    one_core: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = random_gguf.write(tmp_path / "random.gguf")
    with TextManager.open(model, threads=2) as text, caplog.at_level("INFO", "sphere_edge"):
        _share({min(os.sched_getaffinity(0))})
        text.generate("a b c", max_tokens=20, ignore_end_of_text=True).text()
    assert "computing with" not in caplog.text
