"""What makers advise comes from generation_config.json, and only where it can be true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sphere_edge.bundle.manifest import Image, Sampling
from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats.generation import (
    gguf_sampling_defaults,
    image_defaults,
    sampling_defaults,
)


def defaults(folder: Path, **values: Any) -> Sampling:
    (folder / "generation_config.json").write_text(json.dumps(values))
    return sampling_defaults(folder)


def test_without_a_file_our_own_hold(tmp_path: Path) -> None:
    assert sampling_defaults(tmp_path) == Sampling()


def test_what_the_makers_advise_is_taken(tmp_path: Path) -> None:
    got = defaults(
        tmp_path, do_sample=True, temperature=0.6, top_k=20, top_p=0.9, repetition_penalty=1.1
    )
    assert got == Sampling(temperature=0.6, top_k=20, top_p=0.9, min_p=0.0, repeat_penalty=1.1)


def test_what_a_file_on_sampling_leaves_out_is_what_transformers_does(tmp_path: Path) -> None:
    theirs = Sampling(temperature=1.0, top_k=50, top_p=1.0, min_p=0.0)
    assert defaults(tmp_path, do_sample=True) == theirs
    # Gemma 3's file has just these keys.
    gemma = defaults(tmp_path, do_sample=True, top_k=64, top_p=0.95, eos_token_id=[1, 106])
    assert gemma == Sampling(temperature=1.0, top_k=64, top_p=0.95, min_p=0.0)
    assert defaults(tmp_path, temperature=None, top_p=1) == theirs


def test_a_file_that_says_nothing_of_sampling_leaves_ours(tmp_path: Path) -> None:
    assert defaults(tmp_path, eos_token_id=2, max_length=20) == Sampling()
    assert defaults(tmp_path, repetition_penalty=1.3) == Sampling(repeat_penalty=1.3)


def test_a_gguf_advises_by_its_own_keys() -> None:
    assert gguf_sampling_defaults({"general.name": "x"}) == Sampling()
    stored = {"temp": float(np.float32(0.6)), "top_k": 20, "penalty_repeat": float(np.float32(1.1))}
    metadata = {f"general.sampling.{key}": value for key, value in stored.items()}
    assert gguf_sampling_defaults(metadata) == Sampling(
        temperature=0.6, top_k=20, repeat_penalty=1.1
    )
    with pytest.raises(ModelCorruptError, match=r"`top_p` in the GGUF's general\.sampling"):
        gguf_sampling_defaults({"general.sampling.top_p": 7.0})


def test_no_sampling_means_greedy(tmp_path: Path) -> None:
    assert defaults(tmp_path, do_sample=False, temperature=0.6).temperature == 0


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": "hot"},
        {"temperature": -1},
        {"top_p": 0},
        {"top_p": 1.5},
        {"top_k": True},
        {"min_p": float("nan")},
        {"repetition_penalty": 0},
        {"top_k": 10**400},
    ],
)
def test_values_that_cannot_be_are_refused(tmp_path: Path, values: dict[str, Any]) -> None:
    with pytest.raises(ModelCorruptError, match="in generation_config.json is"):
        defaults(tmp_path, **values)


FAMILY = Image(width=1024, height=1024, steps=20, cfg_scale=4.0, guidance=0.0)


def advised(folder: Path, **values: Any) -> Image:
    (folder / "generation_config.json").write_text(json.dumps(values))
    return image_defaults(folder, FAMILY)


def test_a_turbo_model_says_how_few_steps_it_needs(tmp_path: Path) -> None:
    assert image_defaults(tmp_path, FAMILY) == FAMILY
    turbo = advised(tmp_path, num_inference_steps=4, guidance_scale=1.0, width=512)
    assert (turbo.steps, turbo.cfg_scale) == (4, 1.0)
    assert (turbo.width, turbo.height) == (512, 1024)


@pytest.mark.parametrize(
    "wrong",
    [{"width": 0}, {"height": 10**9}, {"num_inference_steps": "4"}, {"guidance_scale": -1}],
)
def test_sizes_and_steps_that_cannot_be_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ModelCorruptError, match=next(iter(wrong))):
        advised(tmp_path, **wrong)
