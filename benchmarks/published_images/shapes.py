"""Names and shapes of tensors: of parts that several image models have."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from tests import random_diffusion

Shapes = Mapping[str, tuple[int, ...]]


def shapes(make: Callable[[], torch.nn.Module]) -> Shapes:
    """Names and shapes of a model that is never made."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in make().state_dict().items()}


def linear(*named: tuple[str, int, int]) -> Shapes:
    """Matrices with their biases, from names, rows and columns."""
    return {
        f"{name}.{kind}": (rows, columns) if kind == "weight" else (rows,)
        for name, rows, columns in named
        for kind in ("weight", "bias")
    }


def clip(projected: bool = False, **sizes: int) -> Shapes:
    """CLIP's text encoder, `projected` with its last matrix."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    kind = CLIPTextModelWithProjection if projected else CLIPTextModel
    found = shapes(lambda: kind(CLIPTextConfig(**sizes)))
    # Newer transformers leave out what every published file has.
    return {
        name if name.startswith(("text_model.", "text_projection")) else f"text_model.{name}": shape
        for name, shape in found.items()
    }


def clip_l(projected: bool = False) -> Shapes:
    """Of ViT-L/14."""
    return clip(
        projected,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        projection_dim=768,
    )


def clip_g() -> Shapes:
    """Of ViT-bigG/14."""
    return clip(
        True,
        hidden_size=1280,
        num_hidden_layers=32,
        num_attention_heads=20,
        intermediate_size=5120,
        projection_dim=1280,
    )


def vae(channels: int, quantized: bool) -> Shapes:
    """A VAE by diffusers' names; `quantized`: with convolutions between its halves."""
    from diffusers import AutoencoderKL

    return shapes(
        lambda: AutoencoderKL(
            latent_channels=channels,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            use_quant_conv=quantized,
            use_post_quant_conv=quantized,
        )
    )


def first_vae() -> Shapes:
    """A VAE by its first publisher's names, with 16 channels and no convolutions between."""
    return dict(random_diffusion.vae_shapes(latent=16, decoder_width=128))


def wan_vae() -> Shapes:
    """Of Wan 2.1, by its publisher's names (its wan/modules/vae.py)."""
    found: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, channels: int, inputs: int, *size: int) -> None:
        found[f"{name}.weight"] = (channels, inputs, *size)
        found[f"{name}.bias"] = (channels,)

    def residual(name: str, inputs: int, channels: int) -> None:
        found[f"{name}.residual.0.gamma"] = (inputs, 1, 1, 1)
        convolution(f"{name}.residual.2", channels, inputs, 3, 3, 3)
        found[f"{name}.residual.3.gamma"] = (channels, 1, 1, 1)
        convolution(f"{name}.residual.6", channels, channels, 3, 3, 3)
        if inputs != channels:
            convolution(f"{name}.shortcut", channels, inputs, 1, 1, 1)

    def middle(name: str, channels: int) -> None:
        residual(f"{name}.0", channels, channels)
        found[f"{name}.1.norm.gamma"] = (channels, 1, 1)
        convolution(f"{name}.1.to_qkv", 3 * channels, channels, 1, 1)
        convolution(f"{name}.1.proj", channels, channels, 1, 1)
        residual(f"{name}.2", channels, channels)

    convolution("encoder.conv1", 96, 3, 3, 3, 3)
    at, inputs = 0, 96
    for stage, channels in enumerate((96, 192, 384, 384)):
        for _ in range(2):
            residual(f"encoder.downsamples.{at}", inputs, channels)
            at, inputs = at + 1, channels
        if stage < 3:
            convolution(f"encoder.downsamples.{at}.resample.1", channels, channels, 3, 3)
            if stage > 0:
                convolution(f"encoder.downsamples.{at}.time_conv", channels, channels, 3, 1, 1)
            at += 1
    middle("encoder.middle", 384)
    found["encoder.head.0.gamma"] = (384, 1, 1, 1)
    convolution("encoder.head.2", 32, 384, 3, 3, 3)
    convolution("conv1", 32, 32, 1, 1, 1)
    convolution("conv2", 16, 16, 1, 1, 1)
    convolution("decoder.conv1", 384, 16, 3, 3, 3)
    middle("decoder.middle", 384)
    at, inputs = 0, 384
    for stage, channels in enumerate((384, 384, 192, 96)):
        for _ in range(3):
            residual(f"decoder.upsamples.{at}", inputs, channels)
            at, inputs = at + 1, channels
        if stage < 3:
            convolution(f"decoder.upsamples.{at}.resample.1", channels // 2, channels, 3, 3)
            if stage < 2:
                convolution(f"decoder.upsamples.{at}.time_conv", 2 * channels, channels, 3, 1, 1)
            at, inputs = at + 1, channels // 2
    found["decoder.head.0.gamma"] = (96, 1, 1, 1)
    convolution("decoder.head.2", 3, 96, 3, 3, 3)
    return found
