"""Debian's Chromium, driven by playwright; what needs it is skipped where either cannot be had."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
# A busy machine is no fault of the page.
PATIENCE_MS = 900_000
# It runs as root in CI, and containers have a small /dev/shm.
_WORDS = ("--no-sandbox", "--disable-dev-shm-usage")


@contextmanager
def started(*words: str) -> Iterator[Any]:
    """A browser with these arguments. One at a time in a process: playwright's loop is its own."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=[*_WORDS, *words])
        except sync_api.Error as error:
            pytest.skip(f"chromium does not start here: {error.message.splitlines()[0]}")
        yield browser
        browser.close()
