"""Transcripts as text, SRT and WebVTT."""

from __future__ import annotations

from sphere_edge.runtime.transcript import as_srt, as_text, as_vtt
from sphere_edge.runtime.transcription import Segment

SEGMENTS = [
    Segment(0, 1500, " Hello & <you>.", "en", 0.9, 0.0),
    Segment(3_723_004, 3_724_000, " a --> b\n\nc", "en", 0.9, 0.0),
]


def test_text_is_one_line_per_segment() -> None:
    assert list(as_text([*SEGMENTS[:1], Segment(0, 1, " ", "en", 0, 1)])) == ["Hello & <you>.\n"]


def test_srt_numbers_its_cues_and_writes_times_with_a_comma() -> None:
    assert "".join(as_srt(SEGMENTS)) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello & <you>.\n\n"
        "2\n01:02:03,004 --> 01:02:04,000\na -> b c\n\n"
    )


def test_vtt_escapes_what_would_be_markup() -> None:
    assert "".join(as_vtt(SEGMENTS)) == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:01.500\nHello &amp; &lt;you>.\n\n"
        "01:02:03.004 --> 01:02:04.000\na -> b c\n\n"
    )
