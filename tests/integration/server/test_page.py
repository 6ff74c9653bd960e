"""The page at / in a real browser: playwright and Debian's chromium, skipped where they are not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sphere_edge import resources
from tests.integration.server import chromium
from tests.server_process import Served


# Colours and width in pixels: as on a desk, and as on a phone at night.
@pytest.fixture(scope="module", params=[("light", 1280), ("dark", 390)], ids=["light", "dark"])
def page(request: pytest.FixtureRequest, server: Served) -> Iterator[Any]:
    complaints: list[str] = []
    with chromium.started() as browser:
        colours, width = request.param
        page = browser.new_page(
            color_scheme=colours, viewport={"width": width, "height": 844}, reduced_motion="reduce"
        )
        page.set_default_timeout(chromium.PATIENCE_MS)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(server.url)
        yield page
    assert complaints == []


def recording() -> Path:
    """Of "close the door"."""
    folder = resources.speech_samples()
    texts = json.loads((folder / "samples.json").read_text())
    return folder / next(name for name, text in texts.items() if text == "close the door")


def test_a_chat_is_streamed_and_ends(page: Any) -> None:
    page.get_by_role("tab", name="Chat").click()
    page.locator("#chat-model").select_option("tiny")
    page.get_by_label("Message").fill("What colour is the sky?")
    page.keyboard.press("Enter")
    page.locator("#chat-status", has_text="tokens in").wait_for()
    assert page.locator(".turn").nth(1).inner_text().splitlines() == ["tiny", "The sky is blue."]


def test_keys_go_from_tab_to_tab_and_through_the_chat(page: Any) -> None:
    page.get_by_role("tab", name="Chat").focus()
    for name in ("Transcribe", "Image", "Models", "Chat"):
        page.keyboard.press("ArrowRight")
        assert page.get_by_role("tab", selected=True).inner_text() == name
    page.keyboard.press("End")
    assert page.get_by_role("tab", selected=True).inner_text() == "Models"
    page.keyboard.press("Home")
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert reached == ["chat-model", "chat-new", "message", "SUMMARY", "chat-send"]


@pytest.mark.parametrize("name", ["Chat", "Transcribe", "Image", "Models"])
def test_no_tab_is_wider_than_the_screen(page: Any, name: str) -> None:
    page.get_by_role("tab", name=name).click()
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= page.viewport_size["width"]


def test_a_chat_is_stopped_and_what_was_said_stays(page: Any) -> None:
    page.get_by_role("tab", name="Chat").click()
    page.get_by_role("button", name="New chat").click()
    page.locator("#chat-model").select_option("random")
    page.get_by_label("Message").fill("Hello")
    # At the first piece: the whole answer would be many times what is read at once.
    page.evaluate(
        """new MutationObserver((_, observer) => {
            if (!document.querySelector(".turn:nth-child(2) div")?.textContent) return;
            observer.disconnect();
            document.getElementById("chat-stop").click();
        }).observe(document.getElementById("conversation"), {childList: true, subtree: true})"""
    )
    page.keyboard.press("Enter")
    page.locator("#chat-status", has_text="stopped").wait_for()
    assert page.locator(".turn").nth(1).locator("div").text_content()
    assert page.locator("#chat-stop").is_disabled()
    page.get_by_role("button", name="New chat").click()


@pytest.mark.parametrize("name", ["speech", "image"])
def test_a_job_is_stopped_from_the_keyboard_and_can_be_started_again(page: Any, name: str) -> None:
    page.locator(f"[aria-controls={name}]").click()
    if name == "speech":
        page.set_input_files("#sound", recording())
    else:
        page.get_by_label("Prompt").fill("a red circle")
    page.locator(f"#{name}-send").focus()
    # In one go, so that no machine is fast enough to be done before.
    focused = page.evaluate(
        """(name) => {
            document.getElementById(`${name}-send`).click();
            const focused = document.activeElement.id;
            document.getElementById(`${name}-stop`).click();
            return focused;
        }""",
        name,
    )
    assert focused == f"{name}-stop"
    page.locator(f"#{name}-status", has_text="stopped").wait_for()
    assert page.evaluate("document.activeElement.id") == f"{name}-send"


def test_a_file_is_transcribed(page: Any) -> None:
    page.get_by_role("tab", name="Transcribe").click()
    page.set_input_files("#sound", recording())
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
