"""Makes image models with random weights: ERNIE-Image's shape, the smallest that can be had.

Of all families of stable-diffusion.cpp only this one takes the sizes of both its diffusion model
and its text encoder from the tensors. What they paint is noise, but the same noise each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

_WIDTH = 128
_HEAD = 128
_FEED_FORWARD = 256
_LATENT = 32
_LAYERS = 2
_VOCABULARY = 131072
_TEXT_WIDTH = 32
_TEXT_FEED_FORWARD = 64
# The diffusion model is fed with what layer 25 of the text encoder says.
_TEXT_LAYERS = 26
_QUERY, _KEY = 4096, 1024
_STAGES = (1, 2, 4, 4)
_ONES = ("norm.weight", "ln.weight", "norm_q.weight", "norm_k.weight", "norm.scale")
_DECODER_WIDTH = 32
# The encoder's is fixed in stable-diffusion.cpp.
_ENCODER_WIDTH = 128

Tensors = dict[str, npt.NDArray[np.float16] | npt.NDArray[np.float32]]


def write(path: Path, *, with_encoder: bool = False, leave_out: str = "", seed: int = 3) -> Path:
    """A whole checkpoint as one safetensors file: 36 MB, 105 MB with a VAE that reads pictures.

    `leave_out`: tensors that begin so are missing.
    """
    made = tensors(with_encoder=with_encoder, seed=seed)
    kept = {
        name: values
        for name, values in made.items()
        if not (leave_out and name.startswith(leave_out))
    }
    save_file(kept, path)
    return path


def write_parts(folder: Path, *, seed: int = 3) -> dict[str, Path]:
    """The same in three files, as people publish them: "diffusion_model", "llm", "vae"."""
    prefixes = {
        "diffusion_model": "model.diffusion_model.",
        "llm": "text_encoders.llm.",
        "vae": "first_stage_model.",
    }
    made = tensors(with_encoder=False, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for part, prefix in prefixes.items():
        files[part] = folder / f"{part}.safetensors"
        names = [name for name in made if name.startswith(prefix)]
        save_file({name[len(prefix) :]: made[name] for name in names}, files[part])
    return files


def tensors(*, with_encoder: bool, seed: int) -> Tensors:
    """By the names of the published checkpoints."""
    return filled(_shapes(with_encoder), seed=seed)


def filled(shapes: Iterable[tuple[str, tuple[int, ...]]], *, seed: int = 3) -> Tensors:
    """Noise that keeps its loudness, ones for norms and zeros for biases."""
    random = np.random.default_rng(seed)
    made: Tensors = {}
    for name, shape in shapes:
        if name.endswith(_ONES) or (
            len(shape) == 1 and ".norm" in name and name.endswith("weight")
        ):
            made[name] = np.ones(shape, np.float32)
        elif name.endswith(".bias"):
            made[name] = np.zeros(shape, np.float32)
        else:
            count = int(np.prod(shape))
            # A block of numbers over and over: sixty million fresh ones would take seconds.
            block = random.standard_normal(min(count, 65521), np.float32)
            scale = np.float32(1 / max(1, count // shape[0]) ** 0.5)
            made[name] = np.resize(block * scale, shape).astype(np.float16)
    return made


_Shapes = Iterator[tuple[str, tuple[int, ...]]]


def _shapes(with_encoder: bool) -> _Shapes:
    yield from _diffusion_model("model.diffusion_model.")
    yield from _text_encoder("text_encoders.llm.model.")
    yield from decoder_shapes("first_stage_model.decoder.", _DECODER_WIDTH)
    yield from _convolution("first_stage_model.post_quant_conv", _LATENT, _LATENT, 1)
    if with_encoder:
        yield from _encoder("first_stage_model.encoder.", _ENCODER_WIDTH)
        yield from _convolution("first_stage_model.quant_conv", 2 * _LATENT, 2 * _LATENT, 1)


def _linear(name: str, rows: int, columns: int) -> _Shapes:
    yield f"{name}.weight", (rows, columns)
    yield f"{name}.bias", (rows,)


def _convolution(name: str, channels: int, inputs: int, size: int) -> _Shapes:
    yield f"{name}.weight", (channels, inputs, size, size)
    yield f"{name}.bias", (channels,)


def _diffusion_model(prefix: str) -> _Shapes:
    yield from _convolution(f"{prefix}x_embedder.proj", _WIDTH, 4 * _LATENT, 1)
    yield f"{prefix}text_proj.weight", (_WIDTH, _TEXT_WIDTH)
    for name in ("time_embedding.linear_1", "time_embedding.linear_2"):
        yield from _linear(prefix + name, _WIDTH, _WIDTH)
    yield from _linear(f"{prefix}adaLN_modulation.1", 6 * _WIDTH, _WIDTH)
    for layer in range(_LAYERS):
        block = f"{prefix}layers.{layer}."
        yield f"{block}adaLN_sa_ln.weight", (_WIDTH,)
        yield f"{block}adaLN_mlp_ln.weight", (_WIDTH,)
        for name in ("to_q", "to_k", "to_v", "to_out.0"):
            yield f"{block}self_attention.{name}.weight", (_WIDTH, _WIDTH)
        for name in ("norm_q", "norm_k"):
            yield f"{block}self_attention.{name}.weight", (_HEAD,)
        for name in ("gate_proj", "up_proj"):
            yield f"{block}mlp.{name}.weight", (_FEED_FORWARD, _WIDTH)
        yield f"{block}mlp.linear_fc2.weight", (_WIDTH, _FEED_FORWARD)
    yield from _linear(f"{prefix}final_norm.linear", 2 * _WIDTH, _WIDTH)
    yield from _linear(f"{prefix}final_linear", 4 * _LATENT, _WIDTH)


def _text_encoder(prefix: str) -> _Shapes:
    yield f"{prefix}embed_tokens.weight", (_VOCABULARY, _TEXT_WIDTH)
    yield f"{prefix}norm.weight", (_TEXT_WIDTH,)
    for layer in range(_TEXT_LAYERS):
        block = f"{prefix}layers.{layer}."
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{block}{name}.weight", (_TEXT_WIDTH,)
        yield f"{block}self_attn.q_proj.weight", (_QUERY, _TEXT_WIDTH)
        for name in ("k_proj", "v_proj"):
            yield f"{block}self_attn.{name}.weight", (_KEY, _TEXT_WIDTH)
        yield f"{block}self_attn.o_proj.weight", (_TEXT_WIDTH, _QUERY)
        for name in ("gate_proj", "up_proj"):
            yield f"{block}mlp.{name}.weight", (_TEXT_FEED_FORWARD, _TEXT_WIDTH)
        yield f"{block}mlp.down_proj.weight", (_TEXT_WIDTH, _TEXT_FEED_FORWARD)


def _norm(name: str, channels: int) -> _Shapes:
    yield f"{name}.weight", (channels,)
    yield f"{name}.bias", (channels,)


def _residual(name: str, inputs: int, channels: int) -> _Shapes:
    yield from _norm(f"{name}.norm1", inputs)
    yield from _convolution(f"{name}.conv1", channels, inputs, 3)
    yield from _norm(f"{name}.norm2", channels)
    yield from _convolution(f"{name}.conv2", channels, channels, 3)
    if inputs != channels:
        yield from _convolution(f"{name}.nin_shortcut", channels, inputs, 1)


def _middle(prefix: str, channels: int) -> _Shapes:
    yield from _residual(f"{prefix}mid.block_1", channels, channels)
    yield from _norm(f"{prefix}mid.attn_1.norm", channels)
    for name in ("q", "k", "v", "proj_out"):
        yield from _convolution(f"{prefix}mid.attn_1.{name}", channels, channels, 1)
    yield from _residual(f"{prefix}mid.block_2", channels, channels)


def vae_shapes(*, latent: int, decoder_width: int) -> _Shapes:
    """Tensors of a VAE by its first publisher's names, without the convolutions between."""
    yield from _encoder("encoder.", _ENCODER_WIDTH, latent)
    yield from decoder_shapes("decoder.", decoder_width, latent)


def decoder_shapes(prefix: str, width: int, latent: int = _LATENT) -> _Shapes:
    """Tensors of a VAE's decoder whose last stage has `width` channels."""
    channels = width * _STAGES[-1]
    yield from _convolution(f"{prefix}conv_in", channels, latent, 3)
    yield from _middle(prefix, channels)
    for stage in reversed(range(len(_STAGES))):
        for block in range(3):
            yield from _residual(
                f"{prefix}up.{stage}.block.{block}", channels, width * _STAGES[stage]
            )
            channels = width * _STAGES[stage]
        if stage > 0:
            yield from _convolution(f"{prefix}up.{stage}.upsample.conv", channels, channels, 3)
    yield from _norm(f"{prefix}norm_out", channels)
    yield from _convolution(f"{prefix}conv_out", 3, channels, 3)


def _encoder(prefix: str, width: int, latent: int = _LATENT) -> _Shapes:
    yield from _convolution(f"{prefix}conv_in", width, 3, 3)
    channels = width
    for stage, multiple in enumerate(_STAGES):
        for block in range(2):
            yield from _residual(f"{prefix}down.{stage}.block.{block}", channels, width * multiple)
            channels = width * multiple
        if stage < len(_STAGES) - 1:
            yield from _convolution(f"{prefix}down.{stage}.downsample.conv", channels, channels, 3)
    yield from _middle(prefix, channels)
    yield from _norm(f"{prefix}norm_out", channels)
    yield from _convolution(f"{prefix}conv_out", 2 * latent, channels, 3)
