"""Image encoders that lack tensors, or whose tensors or numbers are wrong, end in an error."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sphere_edge.run import run
from tests import random_gguf, random_mmproj

# Those that read images, of clip-impl.h.
PROJECTORS = (
    *("mlp", "ldp", "ldpv2", "resampler", "adapter", "qwen2vl_merger", "qwen2.5vl_merger"),
    *("qwen3vl_merger", "ling3vl", "step3vl", "gemma3", "gemma3nv", "gemma4v", "gemma4uv", "phi4"),
    *("idefics3", "pixtral", "internvl", "llama4", "lfm2", "kimivl", "paddleocr", "lightonocr"),
    *("cogvlm", "janus_pro", "dots_ocr", "dots3note_v", "deepseekocr", "deepseekocr2", "glm4v"),
    *("deepseek4v", "glm5v", "youtuvl", "yasa2", "kimik25", "nemotron_v2_vl", "exaone4_5"),
    *("hunyuanvl", "minicpmv4_6", "mimovl", "minimax_m3", "granite4_vision", "muse-glimmer"),
)
WHOLE = ("mlp", "qwen2vl_merger")
MISSING = re.compile(r"unable to find tensor (\S+)")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_gguf.write(tmp_path_factory.mktemp("model") / "model.gguf")


def judged(model: Path, files: list[Path]) -> dict[str, str]:
    """What became of each file. A file at which the process ended fails the test, by its name."""
    words = [sys.executable, "-m", "tests.open_encoders", model, *files]
    done = run(words, timeout_s=600, check=False)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    ended = [Path(name).stem for name, said in lines if not said]
    assert (done.exit_code, ended) == (0, []), f"{done.stdout[-300:]}\n{done.stderr[-2000:]}"
    return {Path(name).stem: said for name, said in lines}


def names_of(projector: str, folder: Path) -> list[str]:
    names: list[str] = []

    def note(name: str, tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        names.append(name)
        return tensor

    random_mmproj.write(folder / "whole.gguf", projector=projector, changed=note)
    return names


@pytest.mark.parametrize("projector", WHOLE)
def test_a_tensor_that_is_missing(model: Path, tmp_path: Path, projector: str) -> None:
    files = []
    for at, left_out in enumerate(names_of(projector, tmp_path)):
        files.append(
            random_mmproj.write(
                tmp_path / f"{at} {left_out}.gguf",
                projector=projector,
                changed=lambda name, tensor, left_out=left_out: (
                    None if name == left_out else tensor
                ),
            )
        )
    said = judged(model, [tmp_path / "whole.gguf", *files])
    assert said.pop("whole") == "OK"
    # Biases and norms are optional, and LLaVA's kind computes all layers but the last.
    taken = [name for name, words in said.items() if words == "OK"]
    assert all("bias" in name or "ln" in name or "v.blk.2" in name for name in taken), taken
    refused = {words.split()[0] for words in said.values()} - {"OK"}
    assert refused == {"ModelCorruptError"}


def others(tensor: npt.NDArray[np.float32]) -> Iterator[npt.NDArray[Any]]:
    yield tensor.astype(np.float16)
    yield tensor.astype(np.int32)
    yield tensor[..., : tensor.shape[-1] // 2].copy()
    yield tensor[: tensor.shape[0] // 2].copy()
    yield np.concatenate([tensor, tensor])
    yield np.ones((1, *tensor.shape[1:]), np.float32)
    yield tensor.reshape(-1)
    yield tensor[None]


@pytest.mark.parametrize("kind", range(8))
@pytest.mark.parametrize("projector", WHOLE)
def test_a_tensor_of_another_type_or_shape(
    model: Path, tmp_path: Path, projector: str, kind: int
) -> None:
    files = []
    for at, other in enumerate(names_of(projector, tmp_path)):

        def change(name: str, tensor: npt.NDArray[np.float32], other: str = other) -> Any:
            return list(others(tensor))[kind] if name == other else tensor

        path = tmp_path / f"{at} {other}.gguf"
        files.append(random_mmproj.write(path, projector=projector, changed=change))
    said = judged(model, files)
    refused = {words.split()[0] for words in said.values()} - {"OK"}
    assert refused <= {"ModelCorruptError", "FormatMismatchError", "UnsupportedError"}, said


def shape_of(name: str) -> tuple[int, ...]:
    """That may serve for a tensor which the loader asks for."""
    if name.endswith("bias") or "norm" in name or "ln" in name:
        return (32,)
    return (32, 32)


def test_every_kind_of_encoder_with_what_its_loader_asks_for(model: Path, tmp_path: Path) -> None:
    """And nothing of what only its computation needs."""
    more: dict[str, dict[str, tuple[int, ...]]] = {projector: {} for projector in PROJECTORS}
    asking = set(PROJECTORS)
    # Some ask for a hundred, one after the other; most assert something about the first.
    for _ in range(12):
        files = [
            random_mmproj.write(
                tmp_path / f"{projector}.gguf", projector=projector, more=more[projector]
            )
            for projector in sorted(asking)
        ]
        said = judged(model, files)
        for projector, words in said.items():
            missing = MISSING.search(words)
            if missing and missing[1] not in more[projector]:
                more[projector][missing[1]] = shape_of(missing[1])
            else:
                asking.discard(projector)


NUMBERS = (
    *("image_size", "patch_size", "embedding_length", "feed_forward_length", "block_count"),
    *("projection_dim", "attention.head_count", "attention.head_count_kv", "spatial_merge_size"),
    *("projector.scale_factor", "window_size", "image_min_pixels", "image_max_pixels"),
)


@pytest.mark.parametrize("projector", WHOLE)
def test_numbers_of_any_size(model: Path, tmp_path: Path, projector: str) -> None:
    files = [
        random_mmproj.write(
            tmp_path / f"{key} {number}.gguf", projector=projector, changes={key: number}
        )
        for key in NUMBERS
        for number in (0, 1, 3, 7, 1 << 12, 1 << 20, (1 << 31) - 1, (1 << 32) - 1)
    ]
    said = judged(model, files)
    assert {words.split()[0] for words in said.values()} <= {
        *("OK", "ModelCorruptError", "FormatMismatchError", "UnsupportedError"),
        *("OutOfMemoryError", "InvalidArgumentError"),
    }, said
