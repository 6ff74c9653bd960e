"""What the goldens of each family cover, so that none of the awkward options is forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sphere_edge.models.registry import FAMILIES

_FOLDER = Path(__file__).parents[1] / "data" / "goldens"
_ROPES = {"default", "linear", "dynamic", "llama3", "yarn", "longrope"}
_OPTIONS = {
    "odd number of heads",
    "head size of its own",
    "one key head",
    "a key head for each query head",
    "several query heads for a key head",
    "tied",
    "untied",
    "biases",
    "no biases",
}
# What transformers' class of the family does not have.
_NEVER = {
    "exaone4": {"biases"},
    "ministral3": {"biases"},
    "mistral": {"biases"},
    "phi": {"no biases"},
    # Its check of LongRoPE's factors knows no other size of heads.
    "phi3": {"biases", "head size of its own"},
    "qwen2": {"no biases"},
    "stablelm": {"head size of its own"},
}
# The kinds of RoPE that transformers' class of the family can compute, where these are not all.
_KINDS = {"ministral3": {"yarn"}, "phi3": {"default", "longrope"}}
_SLIDES = {"gemma2", "gemma3_text", "gpt_oss", "mistral", "phi3", "qwen2", "qwen3", "qwen3_moe"}
_SLIDES |= {"cohere2", "exaone4", "ministral3", "olmo3", "smollm3", "starcoder2"}


def goldens(family: str) -> list[dict[str, Any]]:
    """All that is stored of the goldens of `family`."""
    read = [json.loads(path.read_text()) for path in sorted(_FOLDER.glob("*.json"))]
    return [golden for golden in read if golden["config"]["model_type"] == family]


def options(golden: dict[str, Any]) -> set[str]:
    config, tensors = golden["config"], list(golden["tensors"])
    heads = config["num_attention_heads"]
    keys = config.get("num_key_value_heads") or heads
    head_size = config.get("head_dim") or config["hidden_size"] / heads
    biased = any(name.endswith(("proj.bias", "fc1.bias")) for name in tensors)
    grouped = "one key head" if keys == 1 else "several query heads for a key head"
    return {
        "odd number of heads" if heads % 2 else "",
        "head size of its own" if head_size != config["hidden_size"] / heads else "",
        "a key head for each query head" if keys == heads else grouped,
        "untied" if "lm_head.weight" in tensors else "tied",
        "biases" if biased else "no biases",
    }


def ropes(golden: dict[str, Any]) -> set[str]:
    table = golden["config"].get("rope_parameters") or golden["config"].get("rope_scaling") or {}
    tables = [part for part in table.values() if isinstance(part, dict)] or [table]
    return {part.get("rope_type") or part.get("type") or "default" for part in tables}


def slides(golden: dict[str, Any]) -> bool:
    config = golden["config"]
    width = config.get("sliding_window")
    return (
        config.get("use_sliding_window", True)
        and width is not None
        and width < golden["prompt_tokens"]
    )


@pytest.mark.parametrize("family", sorted(set(FAMILIES.values())))
def test_a_family_has_goldens_with_every_awkward_option_and_kind_of_rope(family: str) -> None:
    found = goldens(family)
    assert len(found) >= 4
    assert set().union(*map(options, found)) - {""} == _OPTIONS - _NEVER.get(family, set())
    assert set().union(*map(ropes, found)) >= _KINDS.get(family, _ROPES)
    assert any(map(slides, found)) == (family in _SLIDES)
    assert all(len(golden["token_ids"]) == golden["prompt_tokens"] + 200 for golden in found)
