"""Image files and PIL images that are damaged in a way of their own are refused, or read."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from sphere_edge.errors import InvalidArgumentError, StorageError
from sphere_edge.runtime.chat_images import opened

_IMAGE = Image.fromarray(np.random.default_rng(3).integers(0, 256, (6, 9, 3), dtype=np.uint8))


def written(orientation: int, form: str = "PNG") -> bytes:
    exif = Image.Exif()
    exif[0x112] = orientation
    out = io.BytesIO()
    _IMAGE.save(out, form, exif=exif)
    return out.getvalue()


@pytest.mark.parametrize("orientation", range(10))
def test_an_image_is_turned_as_its_exif_data_say(orientation: int) -> None:
    content = written(orientation)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    made = opened(content, "it")
    assert ((made.width, made.height), made.pixels) == (expected.size, expected.tobytes())


# A resolution and a width that are no numbers, and a title that is one: Pillow reads them, and
# cannot write them.
@pytest.mark.parametrize("entry", [b"\x1a\x01\x02", b"\x00\x01\x01", b"\x0e\x01\x0b"])
def test_damage_beside_the_orientation_does_not_matter(entry: bytes) -> None:
    head = b"Exif\0\0II*\0\x08\0\0\0\x02\0"
    exif = head + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + entry + b"\0\x01\0\0\0a" + bytes(7)
    out = io.BytesIO()
    _IMAGE.save(out, "JPEG", exif=exif)
    # Warnings are errors here: what Pillow says of it goes to the log.
    made = opened(out.getvalue(), "it")
    assert (made.width, made.height) == (6, 9)


def test_what_pillow_warns_of_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    out = io.BytesIO()
    # A list of more entries than there are bytes.
    _IMAGE.save(out, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12\x01\x03\0")
    with caplog.at_level("INFO", logger="sphere_edge"):
        made = opened(out.getvalue(), "it")
    assert (made.width, made.height) == _IMAGE.size
    assert "Corrupt EXIF" in caplog.text


def test_pil_images_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(4).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    whole = tmp_path / "whole.png"
    Image.fromarray(noise).save(whole)
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:3000])
    closed = Image.open(whole)
    closed.close()
    with Image.open(cut) as lazy:
        for image in (lazy, closed, Image.new("La", (4, 4))):
            with pytest.raises(InvalidArgumentError, match="an image cannot be read"):
                opened(image, "an image")


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        opened("x" * 5_000, "an image")


def test_who_waits_for_a_slow_image_keeps_nobody_else_waiting() -> None:
    class Slow(io.BytesIO):
        """Gives the pixels only when it may."""

        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 8192:
                reading.set()
                assert may_go_on.wait(20)
            return super().read(size)

    def encoded(image: Image.Image) -> bytes:
        out = io.BytesIO()
        image.save(out, "PNG")
        return out.getvalue()

    reading, may_go_on = threading.Event(), threading.Event()
    noise = Image.effect_noise((400, 300), 50)
    slow = Image.open(Slow(encoded(noise)))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(opened, slow, "the slow one")
        assert reading.wait(20)
        second = pool.submit(opened, encoded(Image.new("RGB", (2, 1))), "another one")
        assert second.result(20).pixels == bytes(6)
        may_go_on.set()
        assert first.result(20).pixels == noise.convert("RGB").tobytes()
