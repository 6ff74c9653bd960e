"""Makes tiny models of FLUX's kin with random weights: FLUX.2, FLUX.2 klein and Ovis-Image.

stable-diffusion.cpp takes their widths from the tensors, and those of the language models that
they listen to. FLUX.1 and Chroma, whose T5 is as large as published, are not among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors.numpy import save_file

from tests import random_diffusion

_HEAD = 128
_WIDTH = 2 * _HEAD
_TEXT_WIDTH = 32
_TEXT_FEED_FORWARD = 64
_KEY = 8 * _HEAD

_Shapes = Iterator[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class _Kin:
    """What sets a family apart; `listened`: layers of the text encoder whose words go in.

    `is_shared`: one modulation for all blocks, no biases, a gated feed-forward layer three times as
    wide. `text_layers` and `single_blocks`: by their number the family is told.
    """

    channels: int
    listened: int
    text_layers: int
    text_heads: int
    vocabulary: int
    single_blocks: int
    is_shared: bool
    has_guidance: bool
    normalises_keys: bool


FAMILIES = {
    "flux2": _Kin(128, 3, 31, 32, 131072, 48, True, True, False),
    "flux2-klein": _Kin(128, 3, 28, 16, 151936, 2, True, False, True),
    "ovis-image": _Kin(64, 1, 28, 16, 151936, 2, False, False, True),
}


def write(path: Path, family: str) -> Path:
    """A whole checkpoint as one safetensors file, some 40 MB."""
    kin = FAMILIES[family]
    shapes = [*_transformer("model.diffusion_model.", kin), *_text("text_encoders.llm.model.", kin)]
    shapes += _vae("first_stage_model.", 32 if kin.is_shared else 16)
    save_file(random_diffusion.filled(shapes), path)
    return path


def _linear(name: str, rows: int, columns: int, *, bias: bool) -> _Shapes:
    yield f"{name}.weight", (rows, columns)
    if bias:
        yield f"{name}.bias", (rows,)


def _transformer(prefix: str, kin: _Kin) -> _Shapes:
    bias = not kin.is_shared
    words = kin.listened * _TEXT_WIDTH
    yield from _linear(f"{prefix}img_in", _WIDTH, kin.channels, bias=bias)
    yield from _linear(f"{prefix}txt_in", _WIDTH, words, bias=bias)
    if not kin.is_shared:
        yield f"{prefix}txt_norm.scale", (words,)
    for name in ("time_in", "guidance_in")[: 1 + kin.has_guidance]:
        yield from _linear(f"{prefix}{name}.in_layer", _WIDTH, 256, bias=bias)
        yield from _linear(f"{prefix}{name}.out_layer", _WIDTH, _WIDTH, bias=bias)
    if kin.is_shared:
        for half in ("img", "txt"):
            name = f"{prefix}double_stream_modulation_{half}.lin"
            yield from _linear(name, 6 * _WIDTH, _WIDTH, bias=False)
        name = f"{prefix}single_stream_modulation.lin"
        yield from _linear(name, 3 * _WIDTH, _WIDTH, bias=False)
    for half in ("img", "txt"):
        yield from _double_half(f"{prefix}double_blocks.0.{half}_", kin)
    feed = (3 if kin.is_shared else 4) * _WIDTH
    for layer in range(kin.single_blocks):
        block = f"{prefix}single_blocks.{layer}."
        yield from _linear(f"{block}linear1", 3 * _WIDTH + 2 * feed, _WIDTH, bias=bias)
        yield from _linear(f"{block}linear2", _WIDTH, _WIDTH + feed, bias=bias)
        yield from _norms(f"{block}norm.")
        if not kin.is_shared:
            yield from _linear(f"{block}modulation.lin", 3 * _WIDTH, _WIDTH, bias=True)
    yield from _linear(f"{prefix}final_layer.linear", kin.channels, _WIDTH, bias=bias)
    name = f"{prefix}final_layer.adaLN_modulation.1"
    yield from _linear(name, 2 * _WIDTH, _WIDTH, bias=bias)


def _double_half(prefix: str, kin: _Kin) -> _Shapes:
    bias = not kin.is_shared
    yield from _linear(f"{prefix}attn.qkv", 3 * _WIDTH, _WIDTH, bias=bias)
    yield from _linear(f"{prefix}attn.proj", _WIDTH, _WIDTH, bias=bias)
    yield from _norms(f"{prefix}attn.norm.")
    if kin.is_shared:
        yield from _linear(f"{prefix}mlp.0", 6 * _WIDTH, _WIDTH, bias=False)
        yield from _linear(f"{prefix}mlp.2", _WIDTH, 3 * _WIDTH, bias=False)
        return
    for name in ("gate_proj", "up_proj"):
        yield from _linear(f"{prefix}mlp.{name}", 4 * _WIDTH, _WIDTH, bias=True)
    yield from _linear(f"{prefix}mlp.down_proj", _WIDTH, 4 * _WIDTH, bias=True)
    yield from _linear(f"{prefix}mod.lin", 6 * _WIDTH, _WIDTH, bias=True)


def _norms(prefix: str) -> _Shapes:
    for name in ("query", "key"):
        yield f"{prefix}{name}_norm.scale", (_HEAD,)


def _text(prefix: str, kin: _Kin) -> _Shapes:
    yield f"{prefix}embed_tokens.weight", (kin.vocabulary, _TEXT_WIDTH)
    yield f"{prefix}norm.weight", (_TEXT_WIDTH,)
    queries = kin.text_heads * _HEAD
    for layer in range(kin.text_layers):
        block = f"{prefix}layers.{layer}."
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{block}{name}.weight", (_TEXT_WIDTH,)
        yield f"{block}self_attn.q_proj.weight", (queries, _TEXT_WIDTH)
        for name in ("k_proj", "v_proj"):
            yield f"{block}self_attn.{name}.weight", (_KEY, _TEXT_WIDTH)
        yield f"{block}self_attn.o_proj.weight", (_TEXT_WIDTH, queries)
        if kin.normalises_keys:
            for name in ("q_norm", "k_norm"):
                yield f"{block}self_attn.{name}.weight", (_HEAD,)
        for name in ("gate_proj", "up_proj"):
            yield f"{block}mlp.{name}.weight", (_TEXT_FEED_FORWARD, _TEXT_WIDTH)
        yield f"{block}mlp.down_proj.weight", (_TEXT_WIDTH, _TEXT_FEED_FORWARD)


def _vae(prefix: str, latent: int) -> _Shapes:
    yield from random_diffusion.decoder_shapes(f"{prefix}decoder.", 32, latent)
    if latent == 32:
        yield f"{prefix}post_quant_conv.weight", (latent, latent, 1, 1)
        yield f"{prefix}post_quant_conv.bias", (latent,)
