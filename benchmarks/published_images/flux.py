"""FLUX.1 and Chroma in the widths they are published in, with three of their blocks."""

from __future__ import annotations

from benchmarks.published_images.shapes import Shapes, clip_l, first_vae, linear, shapes

_WIDTH = 3072
_GUIDE_WIDTH = 5120


def flux(*, guided: bool, channels: int = 64) -> dict[str, Shapes]:
    """FLUX.1; 384 channels: the one that fills masks."""
    width = _WIDTH
    inputs = (("time_in", 256), ("vector_in", 768), *((("guidance_in", 256),) if guided else ()))
    found = {
        **linear(("img_in", width, channels), ("txt_in", width, 4096)),
        **linear(*((f"{name}.in_layer", width, size) for name, size in inputs)),
        **linear(*((f"{name}.out_layer", width, width) for name, _ in inputs)),
        **linear(("final_layer.linear", 64, width)),
        **linear(("final_layer.adaLN_modulation.1", 2 * width, width)),
        **_blocks(modulated=True),
    }
    return {"flux1": found, "ae": first_vae(), "clip_l": clip_l(), "t5xxl": _t5()}


def chroma() -> dict[str, Shapes]:
    """Chroma, in which a model of its own makes the modulations of all blocks, and without CLIP."""
    guide = "distilled_guidance_layer."
    found = {
        **linear(
            ("img_in", _WIDTH, 64), ("txt_in", _WIDTH, 4096), ("final_layer.linear", 64, _WIDTH)
        ),
        **linear((f"{guide}in_proj", _GUIDE_WIDTH, 64), (f"{guide}out_proj", _WIDTH, _GUIDE_WIDTH)),
        **_blocks(modulated=False),
    }
    for layer in range(5):
        found[f"{guide}norms.{layer}.scale"] = (_GUIDE_WIDTH,)
        for name in ("in_layer", "out_layer"):
            found |= linear((f"{guide}layers.{layer}.{name}", _GUIDE_WIDTH, _GUIDE_WIDTH))
    return {"chroma": found, "ae": first_vae(), "t5xxl": _t5()}


def _blocks(*, modulated: bool) -> dict[str, tuple[int, ...]]:
    """One double block and two single ones."""
    width = _WIDTH
    found: dict[str, tuple[int, ...]] = {}
    for half in ("img", "txt"):
        block = f"double_blocks.0.{half}_"
        found |= linear(
            (f"{block}mod.lin", 6 * width, width),
            (f"{block}attn.qkv", 3 * width, width),
            (f"{block}attn.proj", width, width),
            (f"{block}mlp.0", 4 * width, width),
            (f"{block}mlp.2", width, 4 * width),
        )
        found |= {f"{block}attn.norm.{name}_norm.scale": (128,) for name in ("query", "key")}
    for layer in range(2):
        block = f"single_blocks.{layer}."
        found |= linear(
            (f"{block}linear1", 7 * width, width),
            (f"{block}linear2", width, 5 * width),
            (f"{block}modulation.lin", 3 * width, width),
        )
        found |= {f"{block}norm.{name}_norm.scale": (128,) for name in ("query", "key")}
    return {name: shape for name, shape in found.items() if modulated or ".lin." not in name}


def _t5() -> Shapes:
    """Of which stable-diffusion.cpp knows one size."""
    from transformers import T5Config, T5EncoderModel

    sizes = {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64}
    config = T5Config(vocab_size=32128, feed_forward_proj="gated-gelu", **sizes)
    return shapes(lambda: T5EncoderModel(config))
