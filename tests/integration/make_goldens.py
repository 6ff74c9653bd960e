"""Makes tests/data/goldens with transformers: `python tests/integration/make_goldens.py [name…]`.

Needs the `train` dependency group (torch, transformers). What they are stands in golden_cases/.
"""

from __future__ import annotations

import copy
import sys
import zlib
from dataclasses import replace
from typing import Any

import golden_experts
import golden_wrappers
import goldens
import numpy as np
import torch
from golden_cases import CASES, SMALL
from transformers import AutoConfig, AutoModelForCausalLM

PROMPT, DECODED = 40, 200


def reference(config: dict[str, Any], seed: int) -> torch.nn.Module:
    """The transformers model of `config` with every weight made by the goldens' rule."""
    fields = copy.deepcopy(config)
    fields.pop("quantization_config", None)
    made = AutoConfig.for_model(fields.pop("model_type"), **fields)
    if golden_wrappers.is_wrapper(config):
        model = golden_wrappers.made(made).float().eval()
    else:
        model = AutoModelForCausalLM.from_config(made, attn_implementation="eager").float().eval()
    shapes = checkpoint(model, config)
    stored = {
        name: torch.from_numpy(goldens.weight(seed, name, shape)) for name, shape in shapes.items()
    }
    if golden_wrappers.is_wrapper(config):
        names = golden_wrappers.stored_names(model, config)
        state = {name: stored[own] for name, own in names.items() if own in stored}
        model.load_state_dict(state, strict=False)
        return model
    state = golden_experts.joined(stored)
    if made.tie_word_embeddings:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)
    return model


def checkpoint(model: torch.nn.Module, config: dict[str, Any]) -> dict[str, list[int]]:
    """Names and shapes of all tensors that a checkpoint of `model` on the hub holds."""
    shapes = golden_experts.stored(model, config)
    if golden_wrappers.is_wrapper(config):
        names = golden_wrappers.stored_names(model, config)
        shapes = {own: shapes[name] for name, own in names.items()}
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    is_tied = head.weight is embedding.weight
    return {
        name: shape
        for name, shape in shapes.items()
        if not (is_tied and name.endswith("lm_head.weight"))
    }


_OLD_KEYS = ("rope_theta", "rope_local_base_freq", "rope_scaling", "partial_rotary_factor")


def stored_config(model: torch.nn.Module, case: dict[str, Any], style: int) -> dict[str, Any]:
    """config.json as transformers 5 writes it, or as transformers 4 did."""
    config: dict[str, Any] = model.config.to_diff_dict()
    if "quantization_config" in case:
        config["quantization_config"] = case["quantization_config"]
    config["architectures"] = [type(model).__name__]
    if style == 4:
        config.pop("rope_parameters")
        config.pop("dtype", None)
        config |= {key: case[key] for key in _OLD_KEYS if key in case}
        config |= {"torch_dtype": "float32", "transformers_version": "4.57.1"}
        if "layer_types" not in case:
            config.pop("layer_types", None)
        if "num_experts" in case:
            config["num_experts"] = config.pop("num_local_experts")
    return config


def make(name: str) -> goldens.Golden:
    """Runs one case."""
    case = {**SMALL, **CASES[name]}
    style = case.pop("style", None)
    if style is None:
        return run(name, CASES[name])[0]
    golden, model = run(name, case)
    return replace(golden, config=stored_config(model, CASES[name], style))


def run(name: str, config: dict[str, Any]) -> tuple[goldens.Golden, torch.nn.Module]:
    """The golden of `config` as it stands, and the model that computed it."""
    seed = zlib.crc32(name.encode())
    model = reference(config, seed)
    count = PROMPT + DECODED
    drawn = (
        (goldens.uniform(seed, "token_ids", count) + 1)
        / 2
        * model.config.get_text_config().vocab_size
    )
    token_ids = [int(value) for value in drawn]
    usual, switch = {0, 6, 20, PROMPT - 1, PROMPT, PROMPT + 8, count - 1}, switch_tokens(config)
    positions = sorted(usual | _around(switch, count))
    rows = _rows(model, token_ids, positions, switch)
    golden = goldens.Golden(
        name=name,
        config=config,
        tensors=checkpoint(model, config),
        seed=seed,
        prompt_tokens=PROMPT,
        token_ids=token_ids,
        positions=positions,
        rows=rows.astype(np.float32),
    )
    return golden, model


def switch_tokens(config: dict[str, Any]) -> int | None:
    """The length of the longest text with LongRoPE's short factors; None: not LongRoPE."""
    table = config.get("rope_parameters") or config.get("rope_scaling") or {}
    for part in (table, *(part for part in table.values() if isinstance(part, dict))):
        if (part.get("rope_type") or part.get("type")) == "longrope":
            name = "original_max_position_embeddings"
            return int(part.get(name) or config[name])
    return None


def _around(switch: int | None, count: int) -> set[int]:
    """The last position of LongRoPE's short factors and the first of its long ones."""
    return set() if switch is None or switch >= count else {switch - 1, switch}


def _rows(
    model: torch.nn.Module, token_ids: list[int], positions: list[int], switch: int | None
) -> Any:
    """The logits after each of `positions`."""
    with torch.no_grad():
        if switch is None:
            return model(torch.tensor([token_ids])).logits[0].numpy()[positions]
        # How a token is rotated depends on how many there are: each text by itself, as `generate`
        # begins again where the other factors begin.
        texts = [torch.tensor([token_ids[: position + 1]]) for position in positions]
        return np.stack([model(text).logits[0, -1].numpy() for text in texts])


def main(wanted: list[str]) -> None:
    """Writes the goldens named, or all."""
    for name in wanted or CASES:
        golden = make(name)
        goldens.save(golden)
        print(f"{name}: largest logit {np.abs(golden.rows).max():.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
