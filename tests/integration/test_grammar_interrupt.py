"""Choosing a token by a grammar of thousands of alternatives takes long, and is interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest

from sphere_edge import TextManager, errors
from tests import random_gguf

_SCHEMA = {"enum": [f"the same beginning {number}" for number in range(3000)]}
_FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": _SCHEMA}}


def test_a_choice_among_thousands_is_interrupted(tmp_path: Path) -> None:
    with TextManager.open(random_gguf.write(tmp_path / "random.gguf")) as text:
        # The prompt is computed already when the time begins.
        message = [{"role": "user", "content": "the"}]
        assert text.chat(message, max_tokens=1).text() is not None
        answer = text.chat(message, response_format=_FORMAT, max_tokens=1, temperature=0)
        assert answer.text() == '"'
        with pytest.raises(errors.TimeoutError):
            text.chat(message, response_format=_FORMAT, max_tokens=30, timeout_s=0.001).text()
