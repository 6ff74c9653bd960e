"""A call whose n-th allocation fails ends in OOM_RAM, and the next call is right: tokenization."""

from __future__ import annotations

import platform
from pathlib import Path

import memory_faults
import pytest


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc is replaced as glibc allows")
def test_tokenization_survives_the_failure_of_any_allocation(tmp_path: Path) -> None:
    program = memory_faults.build(tmp_path)
    for model in memory_faults.models(tmp_path).values():
        for mode in memory_faults.MODES:
            counts = memory_faults.outcomes(program, model, "tokenize", mode, 1999)
            assert set(counts) <= {"OOM_RAM", "right"}, (model, mode, counts)
            assert 20 < counts["OOM_RAM"] < 1999
