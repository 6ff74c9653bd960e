"""SD 3, Z-Image and Qwen-Image in the widths they are published in, with few layers."""

from __future__ import annotations

from benchmarks.published_images.shapes import (
    Shapes,
    clip_g,
    clip_l,
    first_vae,
    linear,
    shapes,
    wan_vae,
)


def sd3() -> dict[str, Shapes]:
    """SD 3 medium in one file, without T5."""
    # As many layers as heads of 64; fewer than these are not read from a file.
    layers = 24
    width = 64 * layers
    found = {
        "pos_embed": (1, 192 * 192, width),
        "x_embedder.proj.weight": (width, 16, 2, 2),
        "x_embedder.proj.bias": (width,),
        **linear(
            ("t_embedder.mlp.0", width, 256),
            ("t_embedder.mlp.2", width, width),
            ("y_embedder.mlp.0", width, 2048),
            ("y_embedder.mlp.2", width, width),
            ("context_embedder", width, 4096),
            ("final_layer.linear", 64, width),
            ("final_layer.adaLN_modulation.1", 2 * width, width),
        ),
    }
    for layer in range(layers):
        for half in ("x", "context"):
            # After the last layer the text stream is not used.
            is_last = half == "context" and layer == layers - 1
            block = f"joint_blocks.{layer}.{half}_block."
            rows = (2 if is_last else 6) * width
            found |= linear((f"{block}adaLN_modulation.1", rows, width))
            found |= linear((f"{block}attn.qkv", 3 * width, width))
            if not is_last:
                found |= linear(
                    (f"{block}attn.proj", width, width),
                    (f"{block}mlp.fc1", 4 * width, width),
                    (f"{block}mlp.fc2", width, 4 * width),
                )
    parts = {
        "model.diffusion_model.": found,
        "first_stage_model.": first_vae(),
        "text_encoders.clip_l.transformer.": clip_l(projected=True),
        "text_encoders.clip_g.transformer.": clip_g(),
    }
    return {"sd3": {f"{p}{name}": s for p, part in parts.items() for name, s in part.items()}}


def z_image() -> dict[str, Shapes]:
    """Z-Image as single parts, all its own layers and two of the text encoder's."""
    from diffusers import ZImageTransformer2DModel
    from transformers import Qwen3Config, Qwen3Model

    config = Qwen3Config(
        vocab_size=151936,
        hidden_size=2560,
        intermediate_size=9728,
        num_hidden_layers=2,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
    )
    found = {}
    for name, shape in shapes(ZImageTransformer2DModel).items():
        if ".to_q." in name:
            found[name.replace("to_q", "qkv")] = (3 * shape[0], *shape[1:])
        elif ".to_k." not in name and ".to_v." not in name:
            for theirs, ours in (
                *(("all_x_embedder.2-1", "x_embedder"), ("all_final_layer.2-1", "final_layer")),
                *(("to_out.0", "out"), ("norm_q", "q_norm"), ("norm_k", "k_norm")),
            ):
                name = name.replace(theirs, ours)  # noqa: PLW2901
            found[name] = shape
    text = shapes(lambda: Qwen3Model(config))
    return {
        "z_image_turbo": found,
        "ae": first_vae(),
        "qwen_3_4b": {f"model.{name}": shape for name, shape in text.items()},
    }


def qwen_image() -> dict[str, Shapes]:
    """Qwen-Image as single parts."""
    from diffusers import QwenImageTransformer2DModel
    from transformers import Qwen2Config, Qwen2Model

    config = Qwen2Config(
        vocab_size=152064,
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=1,
        num_attention_heads=28,
        num_key_value_heads=4,
    )
    text = shapes(lambda: Qwen2Model(config))
    return {
        "qwen_image": shapes(lambda: QwenImageTransformer2DModel(num_layers=2)),
        "qwen_image_vae": wan_vae(),
        "qwen_2.5_vl_7b": {f"model.{name}": shape for name, shape in text.items()},
    }
