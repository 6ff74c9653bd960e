"""The page of a server that asks for keys; apart, because playwright runs once at a time."""

from __future__ import annotations

from pathlib import Path

from tests.integration.server import chromium
from tests.integration.server.test_access import KEY
from tests.server_process import serving


def test_the_page_asks_for_a_key_and_keeps_it_for_the_tab(
    bundles: list[str], tmp_path: Path
) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text(f"{KEY}\n")
    with (
        serving(*bundles, "--api-key-file", str(keys)) as locked,
        chromium.started() as browser,
    ):
        page = browser.new_page()
        page.set_default_timeout(chromium.PATIENCE_MS)
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
