"""A pytest plugin: llama.cpp's tests start every model of theirs once to download it; not here."""

from __future__ import annotations

import sys

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Their folder is on the path by now."""
    sys.modules["utils"].ServerPreset.load_all = staticmethod(lambda: None)  # type: ignore[attr-defined]
