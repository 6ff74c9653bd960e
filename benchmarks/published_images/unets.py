"""SD 1, SD 2 and SDXL as diffusers' folders; with 9 channels they are the models for inpainting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.published_images.shapes import Shapes, clip, clip_g, clip_l, shapes, vae

# What model_index.json calls the folders, and what their config.json must say.
CLASSES: Mapping[str, tuple[str, str]] = {
    "unet": ("diffusers", "UNet2DConditionModel"),
    "vae": ("diffusers", "AutoencoderKL"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "text_encoder_2": ("transformers", "CLIPTextModelWithProjection"),
}
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "unet": {"_class_name": "UNet2DConditionModel"},
    "vae": {"_class_name": "AutoencoderKL", "scaling_factor": 0.18215},
    "text_encoder": {"model_type": "clip_text_model"},
    "text_encoder_2": {"model_type": "clip_text_model"},
}


def sd1(channels: int = 4) -> dict[str, Shapes]:
    """SD 1.x."""
    from diffusers import UNet2DConditionModel

    unet = shapes(
        lambda: UNet2DConditionModel(
            in_channels=channels, cross_attention_dim=768, attention_head_dim=8
        )
    )
    return _diffusers(unet, clip_l())


def sd2(channels: int = 4) -> dict[str, Shapes]:
    """SD 2.x, of 768 pixels."""
    from diffusers import UNet2DConditionModel

    unet = shapes(
        lambda: UNet2DConditionModel(
            in_channels=channels,
            cross_attention_dim=1024,
            attention_head_dim=(5, 10, 20, 20),
            use_linear_projection=True,
        )
    )
    text = clip(
        hidden_size=1024,
        num_hidden_layers=23,
        num_attention_heads=16,
        intermediate_size=4096,
        projection_dim=512,
    )
    return _diffusers(unet, text)


def sdxl(channels: int = 4) -> dict[str, Shapes]:
    """SDXL."""
    from diffusers import UNet2DConditionModel

    unet = shapes(
        lambda: UNet2DConditionModel(
            in_channels=channels,
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            cross_attention_dim=2048,
            attention_head_dim=(5, 10, 20),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )
    )
    return _diffusers(unet, clip_l(), clip_g())


def _diffusers(unet: Shapes, *texts: Shapes) -> dict[str, Shapes]:
    names = ("text_encoder/model", "text_encoder_2/model")
    return {
        "unet/diffusion_pytorch_model": unet,
        "vae/diffusion_pytorch_model": vae(4, True),
        **dict(zip(names, texts, strict=False)),
    }
