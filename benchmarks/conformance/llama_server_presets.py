"""A pytest plugin for llama.cpp's tests: what of them belongs to models that are not here.

They start every model of theirs once to download it; not here. And they look for words that
stories260K or Phi-3.5 say: another model says others, so for these any text will do. What else they
match, such as JSON that a schema asks for, they still do. On a busy machine servers may start late.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

_STARTED_WITHIN_S = 900
_WORDS_OF_THEIR_MODELS = (
    "(Suddenly)+",
    "(going|bed)+",
    "Sure, here's one for[\\s\\S]*|Sure! Here's one for you[\\s\\S]*",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Their folder is on the path by now."""
    utils = sys.modules["utils"]
    utils.ServerPreset.load_all = staticmethod(lambda: None)  # type: ignore[attr-defined]
    # Its default would be a minute.
    utils.ServerProcess.start.__defaults__ = (_STARTED_WITHIN_S,)  # type: ignore[attr-defined]
    matches = _matching(utils.match_regex)  # type: ignore[attr-defined]
    for test in session.items:
        # Each module has a name of its own for it.
        test.module.match_regex = matches  # type: ignore[attr-defined]


def _matching(theirs: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    def matches(pattern: str, text: str) -> bool:
        if pattern in _WORDS_OF_THEIR_MODELS:
            return isinstance(text, str) and text != ""
        return theirs(pattern, text)

    return matches
