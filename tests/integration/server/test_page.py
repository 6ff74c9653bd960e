"""The page at / in a real browser: playwright and Debian's chromium, skipped where they are not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from sphere_edge import resources
from tests.server_process import Served

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
# A busy machine is no fault of the page.
PATIENCE_MS = 900_000
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module", params=["light", "dark"])
def page(request: pytest.FixtureRequest, server: Served) -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(color_scheme=request.param)
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(server.url)
        yield page
        browser.close()
    assert complaints == []


def test_a_chat_is_streamed_and_ends(page: Any) -> None:
    page.get_by_role("tab", name="Chat").click()
    page.locator("#chat-model").select_option("tiny")
    page.get_by_label("Message").fill("What colour is the sky?")
    page.keyboard.press("Enter")
    page.locator("#chat-status", has_text="tokens in").wait_for()
    assert page.locator(".turn").nth(1).inner_text().splitlines() == ["tiny", "The sky is blue."]


def test_arrow_keys_go_from_tab_to_tab(page: Any) -> None:
    page.get_by_role("tab", name="Chat").focus()
    for name in ("Transcribe", "Image", "Models", "Chat"):
        page.keyboard.press("ArrowRight")
        assert page.get_by_role("tab", selected=True).inner_text() == name


def test_a_file_is_transcribed(page: Any) -> None:
    folder = resources.speech_samples()
    texts = json.loads((folder / "samples.json").read_text())
    name = next(name for name, text in texts.items() if text == "close the door")
    page.get_by_role("tab", name="Transcribe").click()
    page.set_input_files("#sound", folder / name)
    page.get_by_role("button", name="Transcribe").click()
    page.locator("#speech-status", has_text="done").wait_for()
    assert page.locator("#transcript").inner_text() == "close the door"


def test_an_image_is_shown_with_its_description(page: Any) -> None:
    page.get_by_role("tab", name="Image").click()
    page.get_by_label("Prompt").fill("a red circle")
    page.get_by_label("Seed, empty: random").fill("1")
    page.get_by_role("button", name="Generate").click()
    page.locator("#image-status", has_text="seed 1").wait_for()
    shown = page.get_by_role("img", name="a red circle")
    assert shown.evaluate("image => image.naturalWidth") > 0


def test_the_models_and_their_memory_are_listed(page: Any) -> None:
    page.get_by_role("tab", name="Models").click()
    row = page.get_by_role("row", name="tiny text")
    assert "MiB" in row.inner_text()
