"""The page's microphone, for which a file stands; apart: playwright runs once at a time."""

from __future__ import annotations

import time
from pathlib import Path

import soundfile
import soxr

from tests.integration.server import chromium
from tests.integration.server.test_page import recording
from tests.server_process import Served

# Chromium reads nothing else.
RATE = 48_000
# Two seconds; in one of the blocks somebody speaks.
ENOUGH = """recording.blocks.length > 20
    && recording.blocks.some((block) => Math.max(...block) > 0.02)"""


def test_what_the_microphone_hears_is_transcribed(server: Served, tmp_path: Path) -> None:
    samples, rate = soundfile.read(recording())
    soundfile.write(tmp_path / "said.wav", soxr.resample(samples, rate, RATE), RATE)
    words = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    words.append(f"--use-file-for-fake-audio-capture={tmp_path / 'said.wav'}")
    failures: list[str] = []
    with chromium.started(*words) as browser:
        page = browser.new_page()
        page.set_default_timeout(chromium.PATIENCE_MS)
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.goto(server.url)
        page.get_by_role("tab", name="Transcribe").click()
        page.get_by_role("button", name="Record").click()
        page.locator("#speech-status", has_text="recording").wait_for()
        deadline = time.monotonic() + chromium.PATIENCE_MS / 1000
        while not page.evaluate(ENOUGH):
            assert time.monotonic() < deadline, "nothing was heard"
            page.wait_for_timeout(100)
        page.get_by_role("button", name="Stop and transcribe").click()
        # With which words is not looked at: busy machines lose pieces of what they record.
        page.locator("#speech-status", has_text="done").wait_for()
    assert failures == []
