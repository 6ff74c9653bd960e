"""The memory model of image models: how much one takes, and in which of its formats it fits.

peak = weights + workspace + runtime

weights    stable-diffusion.cpp reads them into memory of its own
workspace  the larger of two: the widest convolution of the VAE at full size (unrolled in float16,
           with its input and output in float32), and the widest attention of the diffusion model
           with the layers around it. The runtime refuses by the same figures
           (native/src/image/image_manager.cpp), and by ggml's own plan before each step
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sphere_edge.bundle.manifest import Memory
from sphere_edge.fit.memory import RUNTIME_BYTES
from sphere_edge.formats import diffusion
from sphere_edge.profiles import DeviceProfile

# What --quant may be: ggml's types that stable-diffusion.cpp computes with, and their bits.
QUANTIZATIONS: Mapping[str, float] = {
    "f16": 16,
    "q8_0": 8.5,
    "q6_K": 6.5625,
    "q5_0": 5.5,
    "q4_K": 4.5,
    "q4_0": 4.5,
}
AS_IT_IS = "as it is"
# What is proposed where a model does not fit as it is, the best first.
_PROPOSED = (AS_IT_IS, "q8_0", "q4_K")
_SIDE = 1024
# By the width of the text encoder that the UNet listens to: SD 1 and 2; SDXL's is 2048.
_SIDES = {768: 512, 1024: 768}
_SMALLEST_VAE_WIDTH = 32
# Of language models, and left out: what is painted comes from words.
_READS_IMAGES = ("visual.", "vision_tower.", "multi_modal_projector.")


class Widths(Protocol):
    """Sizes of a model that its workspace depends on; `patch`: pixels a token has along one side.

    `heads` and `width` are those of the widest attention.
    """

    @property
    def tensor_bytes(self) -> int:
        """All weights."""

    @property
    def vae_width(self) -> int:
        """Channels of the VAE's decoder at full size."""

    @property
    def patch(self) -> int:
        """Pixels."""

    @property
    def heads(self) -> int:
        """Of the attention."""

    @property
    def width(self) -> int:
        """Of the layers around it."""


def predict(model: Widths, width: int, height: int) -> Memory:
    """The memory that one image of this size takes without tiles, in bytes."""
    pixels = width * height
    tokens = pixels // model.patch**2
    vae = pixels * model.vae_width * (9 * 2 + 2 * 4)
    attention = tokens * tokens * model.heads * 4 + tokens * model.width * 4 * 24
    workspace = max(vae, attention)
    return Memory(
        weights_bytes=model.tensor_bytes,
        kv_cache_bytes=0,
        workspace_bytes=workspace,
        peak_bytes=model.tensor_bytes + workspace + RUNTIME_BYTES,
    )


@dataclass(frozen=True)
class Sizes:
    """A model that is not packaged yet, by the headers of its files; `side` in pixels."""

    weights_bytes: Mapping[str, int]
    vae_width: int
    patch: int
    heads: int
    width: int
    side: int

    def memory(self, quantization: str) -> Memory:
        """What an image of the model's own size takes with weights in this format."""
        as_packaged = _Packaged(
            self.weights_bytes[quantization], self.vae_width, self.patch, self.heads, self.width
        )
        return predict(as_packaged, self.side, self.side)

    def fits(self, profile: DeviceProfile) -> str | None:
        """The best format that fits the profile: `AS_IT_IS`, q8_0 or q4_K; None: none does."""
        for quantization in _PROPOSED:
            if self.memory(quantization).peak_bytes <= profile.memory.usable_bytes:
                return quantization
        return None


@dataclass(frozen=True)
class _Packaged:
    tensor_bytes: int
    vae_width: int
    patch: int
    heads: int
    width: int


def sizes(path: Path) -> Sizes:
    """The sizes of the model at `path`, a file or a folder. Raises what `diffusion.parts` does."""
    found = {
        part.prefix + name: stored
        for part in diffusion.parts(path)
        for name, stored in diffusion.tensors(part.path).items()
        if part.kind != "llm" or not any(mark in name for mark in _READS_IMAGES)
    }
    weights = {
        AS_IT_IS: sum(one.bytes for one in found.values()),
        **{name: _bytes(found, bits) for name, bits in QUANTIZATIONS.items()},
    }
    # What goes into the first convolution at full size is wider than what comes out.
    vae = _first(
        found,
        ("decoder.up.0.block.0.conv1.weight", "decoder.up_blocks.3.resnets.0.conv1.weight"),
        1,
    )
    vae_width = max(vae, _SMALLEST_VAE_WIDTH)
    unet = _first(found, ("input_blocks.0.0.weight", "unet.conv_in.weight"), 0)
    if unet == 0:
        marks = (
            *("x_embedder.proj.weight", "img_in.weight", "x_embedder.weight"),
            *("diffusion_model.pos_embed.proj.weight", "all_x_embedder.2-1.weight"),
        )
        width = max(_first(found, marks, 0), 64)
        is_sd3 = any("joint_blocks.0." in name or "pos_embed.proj." in name for name in found)
        return Sizes(weights, vae_width, 16, max(width // (64 if is_sd3 else 128), 1), width, _SIDE)
    listens = _first(found, ("attn2.to_k.weight",), 1)
    # SDXL has no attention at full size; its heads are 64 wide, SD 1's are 8.
    is_large = listens not in _SIDES
    heads = {768: 8, 1024: 5}.get(listens, 10)
    patch = 16 if is_large else 8
    return Sizes(weights, vae_width, patch, heads, unet * patch // 8, _SIDES.get(listens, _SIDE))


def _first(found: Mapping[str, diffusion.Stored], endings: Iterable[str], axis: int) -> int:
    """Extent `axis` of the first tensor whose name ends in one of `endings`; 0 without one."""
    for ending in endings:
        for name, stored in found.items():
            if name.endswith(ending) and len(stored.shape) > axis:
                return stored.shape[axis]
    return 0


def _bytes(found: Mapping[str, diffusion.Stored], bits: float) -> int:
    """All weights with the matrices outside the VAE in `bits`."""
    total = 0
    for name, stored in found.items():
        is_vae = name.startswith(("vae.", "first_stage_model."))
        if len(stored.shape) == 2 and not is_vae:
            rows, columns = stored.shape
            total += min(stored.bytes, int(rows * columns * bits / 8))
        else:
            total += stored.bytes
    return total
