"""The page of a server that asks for keys; apart, because playwright runs once at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.server.test_access import KEY
from tests.integration.server.test_page import CHROMIUM, PATIENCE_MS, sync_api
from tests.server_process import serving


def test_the_page_asks_for_a_key_and_keeps_it_for_the_tab(
    bundles: list[str], tmp_path: Path
) -> None:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    keys = tmp_path / "keys.txt"
    keys.write_text(f"{KEY}\n")
    with (
        serving(*bundles, "--api-key-file", str(keys)) as locked,
        sync_api.sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(locked.url)
        page.locator("#key-status", has_text="this server asks for a key").wait_for()
        page.get_by_label("API key").fill("wrong")
        page.keyboard.press("Enter")
        page.locator("#key-status", has_text="this key is wrong").wait_for()
        page.get_by_label("API key").fill(KEY)
        page.keyboard.press("Enter")
        page.locator("#chat-model option", has_text="tiny").first.wait_for(state="attached")
        assert page.locator("#key-form").is_hidden()
        page.reload()
        page.locator("#chat-model").select_option("tiny")
        page.get_by_label("Message").fill("What colour is the sky?")
        page.keyboard.press("Enter")
        page.locator("#chat-status", has_text="tokens in").wait_for()
        assert page.evaluate("localStorage.length") == 0
        other = browser.new_page()
        other.goto(locked.url)
        other.locator("#key-status", has_text="asks for a key").wait_for()
        browser.close()
