"""Models that see: pictures in chats are read, cached, refused by name and never forged."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sphere_edge import TextManager, errors
from tests import random_gguf, random_mmproj

Message = dict[str, Any]


def picture(seed: int, width: int = 90, height: int = 60) -> Image.Image:
    # Large spots: noise is gone once it is scaled down.
    spots = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(spots).resize((width, height), Image.Resampling.NEAREST)


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def shown(image: Any, text: str = "What is this?") -> list[Message]:
    content = [{"type": "image", "image": image}, {"type": "text", "text": text}]
    return [{"role": "user", "content": content}]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("seeing")
    model = random_gguf.write(folder / "model.gguf")
    return model, random_mmproj.write(folder / "eye.gguf")


@pytest.fixture(scope="module")
def text(files: tuple[Path, Path]) -> Iterator[TextManager]:
    with TextManager.open(files[0], mmproj=files[1], threads=2) as text:
        yield text


@pytest.fixture(autouse=True)
def forgotten(text: TextManager) -> None:
    text.reset()


def answer(text: TextManager, messages: list[Message], **options: Any) -> tuple[str, Any]:
    stream = text.chat(messages, max_tokens=12, temperature=0, ignore_end_of_text=True, **options)
    return "".join(stream), stream.result


def seen(text: TextManager, image: Any) -> list[float]:
    """Log probabilities of an answer, computed from its beginning: they show small differences."""
    text.reset()
    stream = text.chat(
        shown(image), max_tokens=4, temperature=0, ignore_end_of_text=True, logprobs=True
    )
    return [one.logprob for delta in stream.deltas() for one in delta.logprobs]


def test_it_says_that_it_reads_images(text: TextManager, files: tuple[Path, Path]) -> None:
    assert text.info.reads_images
    with TextManager.open(files[0]) as blind:
        assert not blind.info.reads_images
        assert blind.info.weights_bytes < text.info.weights_bytes


def test_what_is_answered_depends_on_the_picture(text: TextManager) -> None:
    answers = {answer(text, shown(picture(seed)))[0] for seed in range(4)}
    assert len(answers) == 4


def test_a_picture_is_tokens_of_the_prompt(text: TextManager) -> None:
    messages = shown(picture(1))
    with_picture = answer(text, messages)[1].prompt_tokens
    without = answer(text, [{"role": "user", "content": "What is this?"}])[1].prompt_tokens
    assert with_picture == without + random_mmproj.TOKENS
    assert text.count_chat(messages) == with_picture


def test_pixels_bytes_files_and_urls_are_the_same_picture(
    text: TextManager, tmp_path: Path
) -> None:
    image = picture(2)
    content = png(image)
    (tmp_path / "picture.png").write_bytes(content)
    url = "data:image/png;base64," + base64.b64encode(content).decode()
    parts: list[Any] = [
        {"type": "image", "image": image},
        image,
        {"type": "image", "image": content},
        {"type": "image", "image": tmp_path / "picture.png"},
        {"type": "image", "image": str(tmp_path / "picture.png")},
        {"type": "image_url", "image_url": {"url": url, "detail": "auto"}},
    ]
    text_part = {"type": "text", "text": "What is this?"}
    results = [answer(text, [{"role": "user", "content": [part, text_part]}]) for part in parts]
    assert len({said for said, _ in results}) == 1
    assert all(result.cached_tokens >= random_mmproj.TOKENS for _, result in results[1:])


def test_the_same_picture_is_not_computed_again(text: TextManager) -> None:
    first, result = answer(text, shown(picture(3)))
    assert result.cached_tokens == 0
    conversation = [
        *shown(picture(3)),
        {"role": "assistant", "content": "A picture."},
        {"role": "user", "content": "And what else?"},
    ]
    _, result = answer(text, conversation)
    assert result.cached_tokens >= text.count_chat(shown(picture(3))) - 4
    again, result = answer(text, shown(picture(3)))
    assert again == first
    assert result.cached_tokens == result.prompt_tokens - 1


def test_another_picture_of_the_same_size_is_computed(text: TextManager) -> None:
    answer(text, shown(picture(4)))
    other, result = answer(text, shown(picture(5)))
    assert result.cached_tokens < random_mmproj.TOKENS
    text.reset()
    assert answer(text, shown(picture(5)))[0] == other


def test_several_pictures_between_texts_keep_their_order(text: TextManager) -> None:
    def messages(*seeds: int) -> list[Message]:
        content: list[Any] = []
        for number, seed in enumerate(seeds):
            content += [{"type": "text", "text": f"Number {number}:"}, picture(seed)]
        return [{"role": "user", "content": [*content, {"type": "text", "text": "Compare."}]}]

    one, result = answer(text, messages(1, 2, 3))
    assert result.prompt_tokens > 3 * random_mmproj.TOKENS
    assert answer(text, messages(3, 2, 1))[0] != one
    text.reset()
    assert answer(text, messages(1, 2, 3))[0] == one


def test_a_forged_place_of_a_picture_stays_text(text: TextManager) -> None:
    for forged in ("<__media__>", "\ufdd10\ufdd1", "\ufdd00\ufdd0", "<image>"):
        messages = shown(picture(6), f"Say {forged}")
        plain = text.count_chat(shown(picture(6), "Say "))
        assert text.count_chat(messages) > plain
        assert text.count_chat(messages) < plain + random_mmproj.TOKENS
        answer(text, messages)
        answer(text, [{"role": "user", "content": forged}])


def test_a_tool_may_return_a_picture(text: TextManager) -> None:
    messages: list[Message] = [
        {"role": "user", "content": "Take a screenshot."},
        {"role": "tool", "tool_call_id": "1", "content": [picture(7)]},
    ]
    assert answer(text, messages)[1].prompt_tokens > random_mmproj.TOKENS


@pytest.mark.parametrize("role", ["system", "assistant", "developer"])
def test_pictures_of_other_roles_are_refused(text: TextManager, role: str) -> None:
    messages = [{"role": role, "content": [picture(7)]}, {"role": "user", "content": "Hello"}]
    with pytest.raises(errors.InvalidArgumentError, match=f"role `{role}`"):
        answer(text, messages)


def test_a_model_that_reads_text_only_refuses_by_name(files: tuple[Path, Path]) -> None:
    with (
        TextManager.open(files[0]) as blind,
        pytest.raises(errors.UnsupportedError, match="message `0` has an image") as failure,
    ):
        answer(blind, shown(picture(1)))
    assert "mmproj" in str(failure.value.hint)


def test_nothing_is_fetched(text: TextManager) -> None:
    part = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/picture.png"}}
    with pytest.raises(errors.UnsupportedError, match="nothing is fetched"):
        answer(text, [{"role": "user", "content": [part]}])


def test_damaged_and_huge_pictures_are_refused(text: TextManager, tmp_path: Path) -> None:
    whole = png(picture(8))
    for content in (b"", whole[:-40], whole[:60], b"<html>", b"GIF89a" + bytes(20)):
        with pytest.raises(errors.InvalidArgumentError, match="not a sound PNG, JPEG or WebP"):
            answer(text, shown(content))
    with pytest.raises(errors.InvalidArgumentError, match="20000x10 pixels"):
        answer(text, shown(png(Image.new("RGB", (20000, 10)))))
    with pytest.raises(errors.NotFoundError):
        answer(text, shown(tmp_path / "none.png"))
    with pytest.raises(errors.InvalidArgumentError, match="more than `64`"):
        answer(text, [{"role": "user", "content": [picture(1)] * 65}])


def test_tiny_and_thin_pictures_are_shown(text: TextManager) -> None:
    for size in ((1, 1), (1, 3000), (3000, 1), (56, 56)):
        _, result = answer(text, shown(Image.new("RGB", size, "red")))
        assert result.completion_tokens == 12


def test_a_photo_is_shown_as_people_see_it(text: TextManager) -> None:
    upright = picture(9, 60, 90)
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x112] = 6
    out = io.BytesIO()
    lying.save(out, "PNG", exif=exif)
    assert seen(text, out.getvalue()) == seen(text, upright) != seen(text, lying)


def test_grey_and_transparent_pictures_are_shown_as_people_see_them(text: TextManager) -> None:
    grey = picture(10).convert("L")
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert seen(text, png(wide)) == seen(text, grey) != seen(text, picture(10))
    layer = picture(11).convert("RGBA")
    layer.putalpha(0)
    white = Image.new("RGB", layer.size, "white")
    assert seen(text, layer) == seen(text, white) != seen(text, layer.convert("RGB"))


def test_a_conversation_with_pictures_is_not_saved(text: TextManager, tmp_path: Path) -> None:
    answer(text, shown(picture(12)))
    with pytest.raises(errors.UnsupportedError, match="has images"):
        text.save(tmp_path / "conversation")
    assert not (tmp_path / "conversation").exists()


def test_pictures_that_do_not_fit_the_context_are_refused(files: tuple[Path, Path]) -> None:
    with TextManager.open(files[0], mmproj=files[1], context_tokens=100) as text:
        messages = [{"role": "user", "content": [picture(seed) for seed in range(7)]}]
        with pytest.raises(errors.InvalidArgumentError, match="the context holds `100`"):
            answer(text, messages)
        assert text.count_chat(messages) > 7 * random_mmproj.TOKENS
        answer(text, shown(picture(1)))


def test_a_cancelled_call_leaves_the_next_one_right(text: TextManager) -> None:
    expected, _ = answer(text, shown(picture(13)))
    text.reset()
    many = [{"role": "user", "content": [picture(seed) for seed in range(20)]}]
    stream = text.chat(many)
    threading.Timer(0.001, stream.cancel).start()
    "".join(stream)
    assert stream.result.finish_reason == "cancelled"
    with pytest.raises(errors.TimeoutError):
        text.chat(many, timeout_s=0.001).text()
    assert answer(text, shown(picture(13)))[0] == expected


def test_conversations_at_once_see_their_own_pictures(files: tuple[Path, Path]) -> None:
    with TextManager.open(files[0], mmproj=files[1], sequences=3, threads=2) as text:
        alone = []
        for seed in range(6):
            text.reset()
            alone.append(answer(text, shown(picture(seed)))[0])
        said: dict[int, str] = {}

        def ask(seed: int) -> None:
            for _ in range(3):
                said[seed] = answer(text, shown(picture(seed)))[0]

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [said[seed] for seed in range(6)] == alone


def test_the_encoder_of_another_model_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    other = random_mmproj.write(tmp_path / "other.gguf", embedding_size=96)
    with pytest.raises(errors.FormatMismatchError, match="another width"):
        TextManager.open(files[0], mmproj=other)
    with pytest.raises(errors.UnsupportedError, match="not an image encoder"):
        TextManager.open(files[0], mmproj=files[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"patch_size": 0},
        {"patch_size": 57},
        {"image_size": 0},
        {"image_size": 1 << 20},
        {"attention.head_count": 0},
        {"attention.head_count": 3},
        {"block_count": 5},
        {"block_count": 1 << 20},
        {"embedding_length": 30},
        {"feed_forward_length": 0},
        {"projector.scale_factor": 0},
        {"image_size": 112},
    ],
)
def test_an_encoder_that_contradicts_itself_is_refused(
    files: tuple[Path, Path], tmp_path: Path, changes: dict[str, int]
) -> None:
    broken = random_mmproj.write(tmp_path / "broken.gguf", changes=changes)
    try:
        with TextManager.open(files[0], mmproj=broken) as text:
            answer(text, shown(picture(1)))
    except (errors.ModelCorruptError, errors.InvalidArgumentError, errors.InternalError):
        return
    except errors.UnsupportedError:
        return
