"""Answers to pictures are those of mtmd's own helpers, which llama.cpp's programs use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sphere_edge import TextManager
from sphere_edge.run import run
from tests import random_gguf, random_mmproj
from tests.integration.test_images_in_chats import picture

pytestmark = pytest.mark.group("sanitizers")

NEW_TOKENS = 40
PLACE = "<__media__>"


def theirs(
    programs: Path, folder: Path, prompt: str, pictures: list[Path]
) -> tuple[int, list[int]]:
    words = [programs / "mtmd-reference", folder / "model.gguf", folder / "eye.gguf", prompt]
    done = run([*words, str(NEW_TOKENS), *pictures], timeout_s=300)
    first, *tokens = map(int, done.stdout.split())
    return first, tokens


@pytest.mark.parametrize(
    "content",
    [
        [0, "What is this?"],
        ["Before ", 0, " and after"],
        ["One ", 0, " two ", 1, " three ", 2, " compare them"],
        [3, 3, "twice"],
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("architecture", "projector"), [("llama", "mlp"), ("qwen2vl", "qwen2vl_merger")]
)
def test_greedy_answers_are_equal(
    programs: Path, tmp_path: Path, architecture: str, projector: str, content: list[Any]
) -> None:
    random_gguf.write(tmp_path / "model.gguf", layers=3, architecture=architecture)
    random_mmproj.write(tmp_path / "eye.gguf", projector=projector)
    sizes = [(56, 56), (90, 60), (300, 41), (1000, 700)]
    images = [picture(seed, *size) for seed, size in enumerate(sizes)]
    parts, pictures = [], []
    for part in content:
        if isinstance(part, str):
            parts.append({"type": "text", "text": part})
            continue
        path = tmp_path / f"{part}.png"
        images[part].save(path)
        pictures.append(path)
        parts.append({"type": "image", "image": path})
    messages = [{"role": "user", "content": parts}]
    with TextManager.open(
        tmp_path / "model.gguf", mmproj=tmp_path / "eye.gguf", threads=2, backend="cpu"
    ) as text:
        prompt = text.render_chat(messages)
        assert prompt.count(PLACE) == len(pictures)
        stream = text.chat(
            messages, max_tokens=NEW_TOKENS, temperature=0, ignore_end_of_text=True, logprobs=True
        )
        deltas = list(stream.deltas())
        stream_text = [delta.text for delta in deltas if delta.kind == "text"]
        tokens = [one.token_id for delta in deltas for one in delta.logprobs]
        count, expected = theirs(programs, tmp_path, prompt, pictures)
        assert stream.result.prompt_tokens == count
        assert tokens == expected
        again = text.chat(messages, max_tokens=NEW_TOKENS, temperature=0, ignore_end_of_text=True)
        assert again.text() == "".join(stream_text)
        assert again.result.cached_tokens == count - 1
