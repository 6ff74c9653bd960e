"""Packages and paints with every family of image models, in true shape with random weights.

    pip install diffusers && python benchmarks/image_families.py [FAMILY …] [--keep FOLDER]

Widths are the published models'; where stable-diffusion.cpp takes the number of layers from the
file, there are few. Each model is written as it is published, packaged, painted with, and its
picture compared with sd-cli's byte for byte. Models with a UNet are published in two ways, as
diffusers' folder and as one file: both have to become the same tensors. Needs 20 GB of disk for
the largest. Exits with 1 if something differs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import gguf
import numpy as np
import numpy.typing as npt
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import sd_cli
from sphere_edge import ImageManager, console, errors, profiles
from sphere_edge.engines.options import PackageOptions
from sphere_edge.formats import diffusion
from sphere_edge.packaging import find, package
from tests import random_diffusion

_PROMPT = "a red fox in the snow"
_WISH = {"width": 64, "height": 64, "steps": 2, "seed": 5}
_BLOCK = 1 << 16

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Family:
    """`parts`: files without their endings and the tensors in each.

    `is_quantized`: published as GGUF in q4_0, else as safetensors in float16, which packaging turns
    into `quantization`, if any. `is_diffusers`: they lie in folders that diffusers knows.
    """

    parts: Callable[[], dict[str, Shapes]]
    quantization: str | None = None
    is_quantized: bool = False
    is_diffusers: bool = False


def main() -> int:
    """Runs the families that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=", ".join(_FAMILIES))
    parser.add_argument("--keep", type=Path, help="leave the models and bundles in this folder")
    asked = parser.parse_args()
    program = sd_cli.program()
    failed = []
    for name in asked.families or _FAMILIES:
        with _folder(asked.keep, name) as folder:
            try:
                is_fine = _check(name, _FAMILIES[name], program, folder)
            except errors.SphereEdgeError as error:
                console.write(f"{name}: {error}")
                is_fine = False
            if not is_fine:
                failed.append(name)
    console.write(f"failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _check(name: str, family: Family, program: Path, folder: Path) -> bool:
    published = folder / "published"
    parameters = _write_model(published, family)
    console.write(f"{name}: {parameters / 1e9:.2f} billion parameters")
    bundle = _package(name, published, folder / "bundle", family)
    equal = _paint(name, bundle, program, folder)
    if not family.is_diffusers:
        return equal
    shutil.rmtree(published)
    made = {n: stored.shape for n, stored in diffusion.tensors(bundle / "model.gguf").items()}
    # Its own names are those of the first publishers, in one file.
    _write(folder / "model.safetensors", made)
    other = _package(f"{name}, one file", folder / "model.safetensors", folder / "two", family)
    again = {n: stored.shape for n, stored in diffusion.tensors(other / "model.gguf").items()}
    console.write(f"{name}: one file has {'the same' if made == again else 'OTHER'} tensors")
    return equal and made == again


def _package(what: str, source: Path, output: Path, family: Family) -> Path:
    begin = time.monotonic()
    options = PackageOptions(quantization=family.quantization)
    with _peak() as peak:
        bundle = package(find(str(source)), profiles.host(), options, output).output
    size = (bundle / "model.gguf").stat().st_size
    console.write(
        f"{what}: {size / 2**30:.2f} GiB as {family.quantization or 'it is'} in "
        f"{time.monotonic() - begin:.0f} s, {peak[0] / 2**20:.0f} MiB more memory"
    )
    return bundle


def _paint(name: str, bundle: Path, program: Path, folder: Path) -> bool:
    begin = time.monotonic()
    with _peak() as peak, ImageManager.open(bundle) as image:
        picture = image.generate(_PROMPT, **_WISH)[0].image
    middle = time.monotonic()
    painted = sd_cli.paint(
        program, bundle / "model.gguf", _PROMPT, dict(_WISH), image.info, folder
    )[0]
    values = len(set(picture.tobytes()))
    equal = picture.tobytes() == painted.tobytes()
    console.write(
        f"{name}: {image.info.family}, painted in {middle - begin:.0f} s, {values} values, "
        f"{peak[0] / 2**20:.0f} MiB more memory; sd-cli {'equal' if equal else 'DIFFERENT'}, "
        f"{time.monotonic() - middle:.0f} s"
    )
    return equal and values > 10


@contextlib.contextmanager
def _peak() -> Iterator[list[int]]:
    """By how many bytes this process grew at most meanwhile."""

    def resident(name: str) -> int:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024

    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before, out = resident("VmRSS"), [0]
    yield out
    out[0] = resident("VmHWM") - before


@contextlib.contextmanager
def _folder(keep: Path | None, name: str) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory() as work:
            yield Path(work)
    else:
        (keep / name).mkdir(parents=True)
        yield keep / name


def _write_model(folder: Path, family: Family) -> int:
    """The model as it is published; the number of parameters."""
    parts = family.parts()
    for name, shapes in parts.items():
        # GGUF has four axes, and the VAE that was made for video five.
        is_quantized = family.is_quantized and max(map(len, shapes.values())) <= 4
        path = folder / f"{name}.{'gguf' if is_quantized else 'safetensors'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        (_write_quantized if is_quantized else _write)(path, shapes)
    if family.is_diffusers:
        (folder / "model_index.json").write_text(json.dumps({"_class_name": "Random"}))
    return sum(math.prod(shape) for shapes in parts.values() for shape in shapes.values())


def _write(path: Path, shapes: Shapes) -> None:
    """Safetensors in half precision."""
    header: dict[str, Any] = {}
    offset = 0
    for name, shape in shapes.items():
        end = offset + 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            _repeat(file, _values(name, shape).astype(np.float16).tobytes(), 2 * math.prod(shape))


def _write_quantized(path: Path, shapes: Shapes) -> None:
    """GGUF with matrices in q4_0, all else in half precision."""
    writer = gguf.GGUFWriter(path, "random")
    kinds = {}
    for name, shape in shapes.items():
        is_matrix = len(shape) == 2 and shape[-1] % 32 == 0 and shape[0] > 1
        kind = gguf.GGMLQuantizationType.Q4_0 if is_matrix else gguf.GGMLQuantizationType.F16
        block, size = gguf.GGML_QUANT_SIZES[kind]
        kinds[name] = (kind, math.prod(shape) // block * size)
        stored = gguf.quant_shape_to_byte_shape(shape, kind) if is_matrix else shape
        dtype = np.dtype(np.uint8 if is_matrix else np.float16)
        writer.add_tensor_info(name, stored, dtype, kinds[name][1], kind if is_matrix else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("ab") as file:
        file.write(bytes(-file.tell() % 32))
        for name, shape in shapes.items():
            kind, size = kinds[name]
            _repeat(file, gguf.quants.quantize(_values(name, shape), kind).tobytes(), size)
            file.write(bytes(-size % 32))


def _values(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """What a tensor is filled with, over and over: noise that keeps its loudness, or ones."""
    if math.prod(shape[1:]) > 1:
        noise = np.random.default_rng(3).standard_normal(_BLOCK).astype(np.float32)
        return noise / np.float32(math.prod(shape[1:]) ** 0.5)
    return np.full(_BLOCK, 0.0 if name.endswith("bias") else 1.0, np.float32)


def _repeat(file: BinaryIO, block: bytes, size: int) -> None:
    for begin in range(0, size, len(block)):
        file.write(block[: size - begin])


def _shapes(make: Callable[[], torch.nn.Module]) -> Shapes:
    """Names and shapes of a model that is never made."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in make().state_dict().items()}


def _clip(projected: bool = False, **sizes: int) -> Shapes:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    kind = CLIPTextModelWithProjection if projected else CLIPTextModel
    found = _shapes(lambda: kind(CLIPTextConfig(**sizes)))
    # Newer transformers leave out what every published file has.
    return {
        name if name.startswith(("text_model.", "text_projection")) else f"text_model.{name}": shape
        for name, shape in found.items()
    }


def _clip_l(projected: bool = False) -> Shapes:
    return _clip(
        projected,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        projection_dim=768,
    )


def _clip_g() -> Shapes:
    return _clip(
        True,
        hidden_size=1280,
        num_hidden_layers=32,
        num_attention_heads=20,
        intermediate_size=5120,
        projection_dim=1280,
    )


def _vae(channels: int, quantized: bool) -> Shapes:
    from diffusers import AutoencoderKL

    return _shapes(
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


def _sd1() -> dict[str, Shapes]:
    from diffusers import UNet2DConditionModel

    unet = _shapes(lambda: UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8))
    return _diffusers(unet, _clip_l())


def _sd2() -> dict[str, Shapes]:
    from diffusers import UNet2DConditionModel

    unet = _shapes(
        lambda: UNet2DConditionModel(
            cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20), use_linear_projection=True
        )
    )
    text = _clip(
        hidden_size=1024,
        num_hidden_layers=23,
        num_attention_heads=16,
        intermediate_size=4096,
        projection_dim=512,
    )
    return _diffusers(unet, text)


def _sdxl() -> dict[str, Shapes]:
    from diffusers import UNet2DConditionModel

    unet = _shapes(
        lambda: UNet2DConditionModel(
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
    return _diffusers(unet, _clip_l(), _clip_g())


def _diffusers(unet: Shapes, *texts: Shapes) -> dict[str, Shapes]:
    names = ("text_encoder/model", "text_encoder_2/model")
    return {
        "unet/diffusion_pytorch_model": unet,
        "vae/diffusion_pytorch_model": _vae(4, True),
        **dict(zip(names, texts, strict=False)),
    }


def _linear(*named: tuple[str, int, int]) -> Shapes:
    """Matrices with their biases, from names, rows and columns."""
    return {
        f"{name}.{kind}": (rows, columns) if kind == "weight" else (rows,)
        for name, rows, columns in named
        for kind in ("weight", "bias")
    }


def _sd3() -> dict[str, Shapes]:
    # As many layers as heads of 64; fewer than these are not read from a file.
    layers = 24
    width = 64 * layers
    found = {
        "pos_embed": (1, 192 * 192, width),
        "x_embedder.proj.weight": (width, 16, 2, 2),
        "x_embedder.proj.bias": (width,),
        **_linear(
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
            # After the last layer nobody asks for the words.
            is_last = half == "context" and layer == layers - 1
            block = f"joint_blocks.{layer}.{half}_block."
            rows = (2 if is_last else 6) * width
            found |= _linear((f"{block}adaLN_modulation.1", rows, width))
            found |= _linear((f"{block}attn.qkv", 3 * width, width))
            if not is_last:
                found |= _linear(
                    (f"{block}attn.proj", width, width),
                    (f"{block}mlp.fc1", 4 * width, width),
                    (f"{block}mlp.fc2", width, 4 * width),
                )
    parts = {
        "model.diffusion_model.": found,
        "first_stage_model.": _first_vae(),
        "text_encoders.clip_l.transformer.": _clip_l(projected=True),
        "text_encoders.clip_g.transformer.": _clip_g(),
    }
    return {"sd3": {f"{p}{name}": s for p, part in parts.items() for name, s in part.items()}}


def _flux(guided: bool) -> dict[str, Shapes]:
    from transformers import T5Config, T5EncoderModel

    width = 3072
    inputs = (("time_in", 256), ("vector_in", 768), *((("guidance_in", 256),) if guided else ()))
    found = {
        **_linear(("img_in", width, 64), ("txt_in", width, 4096)),
        **_linear(*((f"{name}.in_layer", width, size) for name, size in inputs)),
        **_linear(*((f"{name}.out_layer", width, width) for name, _ in inputs)),
        **_linear(("final_layer.linear", 64, width)),
        **_linear(("final_layer.adaLN_modulation.1", 2 * width, width)),
    }
    for half in ("img", "txt"):
        block = f"double_blocks.0.{half}_"
        found |= _linear(
            (f"{block}mod.lin", 6 * width, width),
            (f"{block}attn.qkv", 3 * width, width),
            (f"{block}attn.proj", width, width),
            (f"{block}mlp.0", 4 * width, width),
            (f"{block}mlp.2", width, 4 * width),
        )
        found |= {f"{block}attn.norm.{name}_norm.scale": (128,) for name in ("query", "key")}
    for layer in range(2):
        block = f"single_blocks.{layer}."
        found |= _linear(
            (f"{block}linear1", 7 * width, width),
            (f"{block}linear2", width, 5 * width),
            (f"{block}modulation.lin", 3 * width, width),
        )
        found |= {f"{block}norm.{name}_norm.scale": (128,) for name in ("query", "key")}
    sizes = {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64}
    config = T5Config(vocab_size=32128, feed_forward_proj="gated-gelu", **sizes)
    return {
        "flux1": found,
        "ae": _first_vae(),
        "clip_l": _clip_l(),
        "t5xxl": _shapes(lambda: T5EncoderModel(config)),
    }


def _z_image() -> dict[str, Shapes]:
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
    for name, shape in _shapes(ZImageTransformer2DModel).items():
        if ".to_q." in name:
            found[name.replace("to_q", "qkv")] = (3 * shape[0], *shape[1:])
        elif ".to_k." not in name and ".to_v." not in name:
            for theirs, ours in (
                *(("all_x_embedder.2-1", "x_embedder"), ("all_final_layer.2-1", "final_layer")),
                *(("to_out.0", "out"), ("norm_q", "q_norm"), ("norm_k", "k_norm")),
            ):
                name = name.replace(theirs, ours)  # noqa: PLW2901
            found[name] = shape
    text = _shapes(lambda: Qwen3Model(config))
    return {
        "z_image_turbo": found,
        "ae": _first_vae(),
        "qwen_3_4b": {f"model.{name}": shape for name, shape in text.items()},
    }


def _qwen_image() -> dict[str, Shapes]:
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
    text = _shapes(lambda: Qwen2Model(config))
    return {
        "qwen_image": _shapes(lambda: QwenImageTransformer2DModel(num_layers=2)),
        "qwen_image_vae": _wan_vae(),
        "qwen_2.5_vl_7b": {f"model.{name}": shape for name, shape in text.items()},
    }


def _wan_vae() -> Shapes:
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


def _first_vae() -> Shapes:
    """A VAE by its first publisher's names, with 16 channels and no convolutions between."""
    return dict(random_diffusion.vae_shapes(latent=16, decoder_width=128))


_FAMILIES = {
    "sd1": Family(_sd1, "q8_0", is_diffusers=True),
    "qwen-image": Family(_qwen_image, is_quantized=True),
    "flux-schnell": Family(lambda: _flux(False), is_quantized=True),
    "z-image": Family(_z_image, is_quantized=True),
    "sd3": Family(_sd3),
    "sdxl": Family(_sdxl, is_diffusers=True),
    "flux-dev": Family(lambda: _flux(True), is_quantized=True),
    "sd2": Family(_sd2, "q4_0", is_diffusers=True),
}


if __name__ == "__main__":
    sys.exit(main())
