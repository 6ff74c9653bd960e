"""The endpoints of speech and image models, asked by openai-python."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile
from openai import OpenAI
from PIL import ExifTags, Image

from sphere_edge import resources
from tests import image_calls, made_bundles, random_diffusion, random_whisper
from tests.server_process import Served, serving
from training import shapes


def recording() -> tuple[str, Path]:
    """A sentence and the file in which somebody says it."""
    folder = resources.speech_samples()
    texts = json.loads((folder / "samples.json").read_text())
    name = next(name for name, text in texts.items() if text == "close the door")
    return "close the door", folder / name


def test_speech_is_transcribed_in_every_format(openai: OpenAI) -> None:
    text, file = recording()

    def asked(**fields: Any) -> Any:
        return openai.audio.transcriptions.create(model="tiny-whisper", file=file, **fields)

    assert asked().text == text
    assert asked(response_format="json").usage.seconds > 0.5
    assert asked(response_format="text") == text + "\n"
    assert asked(response_format="srt").startswith("1\n00:00:00,")
    assert asked(response_format="vtt").startswith("WEBVTT\n\n00:00:00.")
    whole = asked(response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert (whole.text, whole.task, whole.language) == (text, "transcribe", "en")
    assert [word.word for word in whole.words] == text.split()
    assert 0 <= whole.words[0].start <= whole.words[-1].end <= whole.duration + 0.1
    assert whole.segments[0].tokens
    assert asked(response_format="verbose_json").words is None


def test_speech_is_transcribed_as_a_stream(openai: OpenAI) -> None:
    text, file = recording()
    events = list(openai.audio.transcriptions.create(model="tiny-whisper", file=file, stream=True))
    assert [event.type for event in events[-2:]] == [
        "transcript.text.delta",
        "transcript.text.done",
    ]
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == text


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"file": b""}, "file"),
        ({"file": b"not audio"}, "file"),
        ({"temperature": 2}, "temperature"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        ({"known_speaker_names": ["a"]}, "known_speaker_names"),
        ({"language": "xx"}, "language"),
        ({"response_format": "diarized_json"}, "response_format"),
    ],
)
def test_what_cannot_be_transcribed_is_a_400(
    openai: OpenAI, fields: dict[str, Any], param: str | None
) -> None:
    import openai as package

    whole = {"model": "tiny-whisper", "file": recording()[1], **fields}
    with pytest.raises(package.BadRequestError) as caught:
        openai.audio.transcriptions.create(**whole)
    if param is not None:
        assert caught.value.param == param


@pytest.mark.parametrize(
    ("names", "param"), [(["file", "file"], "file"), (["file", "mask"], "mask")]
)
def test_a_file_that_would_be_ignored_is_refused(
    server: Served, names: list[str], param: str
) -> None:
    content = recording()[1].read_bytes()
    answer = httpx2.post(
        f"{server.url}/v1/audio/transcriptions",
        data={"model": "tiny-whisper"},
        files=[(name, ("a.flac", content)) for name in names],
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def translated(served: Served, sound: bytes) -> httpx2.Response:
    """Without openai-python, which calls the endpoint deprecated."""
    return httpx2.post(
        f"{served.url}/v1/audio/translations",
        data={"model": "random", "response_format": "verbose_json"},
        files={"file": ("a.flac", sound)},
        timeout=600,
    )


def test_speech_is_translated_or_takes_no_longer_than_allowed(tmp_path: Path) -> None:
    # It is sure of nothing it says, so every window is tried again at each temperature.
    model = random_whisper.write(tmp_path / "random.bin")
    samples, rate = soundfile.read(recording()[1], dtype="float32")
    minutes = io.BytesIO()
    soundfile.write(minutes, np.tile(samples, 180), rate, format="FLAC")
    with serving(f"random={model}", "--threads", "1", "--timeout", "2") as served:
        answer = translated(served, minutes.getvalue())
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
        assert answer.headers["x-should-retry"] == "false"
    with serving(f"random={model}", "--threads", "1") as served:
        made = translated(served, recording()[1].read_bytes()).json()
        assert (made["task"], len(made["language"])) == ("translate", 2)


def test_audio_that_does_not_say_its_length_is_counted(openai: OpenAI) -> None:
    import openai as package

    sound = io.BytesIO()
    hours = np.zeros(1000 * 5 * 3600, dtype=np.int16)
    soundfile.write(sound, hours, 1000, format="FLAC")
    content = bytearray(sound.getvalue())
    # The last 36 bits of STREAMINFO before its checksum: 0 samples, which means unknown.
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    with pytest.raises(package.APIStatusError) as caught:
        openai.audio.transcriptions.create(model="tiny-whisper", file=bytes(content))
    assert (caught.value.code, caught.value.param) == ("audio_too_long", "file")


def test_too_much_audio_is_refused_before_it_is_transcribed(openai: OpenAI) -> None:
    import openai as package

    sound = io.BytesIO()
    hours = np.zeros(1000 * 5 * 3600, dtype=np.int16)
    soundfile.write(sound, hours, 1000, format="FLAC")
    with pytest.raises(package.APIStatusError) as caught:
        openai.audio.transcriptions.create(model="tiny-whisper", file=sound.getvalue())
    assert caught.value.code == "audio_too_long"


def image_of(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_words_become_images(openai: OpenAI) -> None:
    fields: dict[str, Any] = {"model": "tiny-image", "prompt": "a red circle", "n": 2}
    made = openai.images.generate(**fields, extra_body={"seed": 1})
    assert made.data is not None
    images = [image_of(str(one.b64_json)) for one in made.data]
    assert len(images) == 2
    assert made.size == f"{shapes.SIDE}x{shapes.SIDE}"
    assert shapes.recognise(np.asarray(images[0])) == ("red", "circle")
    again = openai.images.generate(**fields, extra_body={"seed": 1}, output_format="webp")
    assert again.data is not None
    assert image_of(str(again.data[0].b64_json)).format == "WEBP"


def test_a_stream_of_an_image_shows_its_steps(openai: OpenAI) -> None:
    stream = openai.images.generate(
        model="tiny-image", prompt="a red circle", stream=True, extra_body={"seed": 1, "steps": 4}
    )
    events = [event.model_dump() for event in stream]
    progress = [event for event in events if event["type"] == "image_generation.progress"]
    assert [event["step"] for event in progress] == [1, 2, 3, 4]
    assert events[-1]["type"] == "image_generation.completed"
    assert image_of(events[-1]["b64_json"]).size == (shapes.SIDE, shapes.SIDE)


def png(colour: tuple[int, ...], side: int = shapes.SIDE) -> bytes:
    out = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", (side, side), colour).save(out, "PNG")
    return out.getvalue()


def test_an_edit_changes_only_what_its_mask_leaves_open(tmp_path: Path) -> None:
    model = random_diffusion.write(tmp_path / "reader.safetensors", with_encoder=True)
    with serving(f"random={made_bundles.made(model).folder}") as served, served.openai as client:
        side = image_calls.SIDE
        more = {"seed": 1, "steps": 2}
        fields: dict[str, Any] = {"model": "random", "prompt": "a circle", "extra_body": more}

        def edited(mask: tuple[int, ...]) -> np.ndarray:
            made = client.images.edit(
                **fields, image=png((255, 255, 255), side), mask=png(mask, side)
            )
            assert made.data is not None
            return np.asarray(image_of(str(made.data[0].b64_json)), dtype=float)

        closed, opened = edited((0, 0, 0, 255)), edited((0, 0, 0, 0))
        assert closed.shape == opened.shape == (side, side, 3)
        assert np.abs(closed - opened).max() > 10

        photo = Image.new("RGB", (2 * side, side))
        exif = photo.getexif()
        exif[ExifTags.Base.Orientation] = 6
        out = io.BytesIO()
        photo.save(out, "JPEG", exif=exif)
        turned = client.images.edit(**fields, image=out.getvalue())
        assert turned.data is not None
        assert image_of(str(turned.data[0].b64_json)).size == (side, 2 * side)


def test_a_model_that_reads_no_images_says_so(openai: OpenAI) -> None:
    import openai as package

    with pytest.raises(package.BadRequestError) as caught:
        openai.images.edit(model="tiny-image", prompt="a circle", image=png((255, 255, 255)))
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"size": "8192x8192"}, "size"),
        ({"size": "big"}, "size"),
        ({"n": 11}, "n"),
        ({"response_format": "url"}, "response_format"),
        ({"style": "vivid"}, "style"),
        ({"background": "transparent"}, "background"),
    ],
)
def test_what_cannot_be_generated_is_a_400(
    openai: OpenAI, fields: dict[str, Any], param: str
) -> None:
    import openai as package

    with pytest.raises(package.BadRequestError) as caught:
        openai.images.generate(**{"model": "tiny-image", "prompt": "a circle", **fields})
    assert caught.value.param == param


def test_what_is_not_an_image_cannot_be_edited(openai: OpenAI) -> None:
    import openai as package

    for image in (b"GIF89a", png((0, 0, 0))[:50]):
        with pytest.raises(package.BadRequestError) as caught:
            openai.images.edit(model="tiny-image", prompt="a circle", image=image)
        assert (caught.value.param, caught.value.code) == ("image", "invalid_image")
