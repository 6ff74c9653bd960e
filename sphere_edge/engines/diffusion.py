"""The diffusion engine: the parts of an image model become one GGUF file with their tokenizers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from sphere_edge.bundle.manifest import Image, ManifestDraft, Target
from sphere_edge.engines import vocab_files
from sphere_edge.engines.diffusion_fit import QUANTIZATIONS, predict
from sphere_edge.engines.engine import BuildRequest, Built
from sphere_edge.engines.options import PackageOptions, refuse_text_options
from sphere_edge.engines.provenance import provenance
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.fit.memory import too_much
from sphere_edge.formats import diffusers, diffusion, generation

_TURBO_STEPS = 4


class Facts(BaseModel):
    """What the core reports about a converted model; see `se_image_convert`."""

    model_config = ConfigDict(frozen=True)

    family: str
    parameters: int = Field(gt=0)
    quantization: str
    tensor_bytes: int = Field(gt=0)
    size_multiple: int = Field(gt=0)
    has_encoder: bool
    has_guidance: bool
    vae_width: int = Field(gt=0)
    patch: int = Field(gt=0)
    heads: int = Field(gt=0)
    width: int = Field(gt=0)
    tokenizer_files: tuple[str, ...]


def fit(request: BuildRequest) -> Callable[[], Built]:
    """As `Engine.fit`, of the files of an image model; what it takes shows once it is built."""
    _check_options(request.options)
    return partial(_build, request)


def _build(request: BuildRequest) -> Built:
    source, profile, folder = request.source, request.profile, request.writer.folder
    facts = _convert(request)
    image = _defaults(source.path, facts)
    memory = predict(facts, image.width, image.height)
    if memory.peak_bytes > profile.memory.usable_bytes:
        hint = "--quant q4_0 takes a quarter of what f16 does, or take a smaller model"
        raise too_much(source.name, memory.peak_bytes, profile, hint)
    vocab_files.write(facts.tokenizer_files, folder / "tokenizer", request.progress)
    return Built(
        ManifestDraft(
            name=source.name,
            task="image",
            engine="diffusion",
            family=facts.family,
            quantization=facts.quantization,
            parameters=facts.parameters,
            profile=profile.name,
            target=Target(triple=profile.triple),
            image=image,
            memory=memory,
            provenance=provenance(source, (), request.progress),
        )
    )


def _check_options(options: PackageOptions) -> None:
    refuse_text_options(options, "an image model")
    if options.quantization not in (None, *QUANTIZATIONS):
        message = f"invalid value `{options.quantization}` for --quant of an image model"
        raise InvalidArgumentError(message, hint=f"choose one of: {', '.join(QUANTIZATIONS)}")


def _convert(request: BuildRequest) -> Facts:
    # The core's own converter knows the names of all families' tensors.
    from sphere_edge.runtime.image_conversion import merge

    writer, options = request.writer, request.options
    parts = diffusion.parts(request.source.path)
    total = sum(part.path.stat().st_size for part in parts)
    writer.require_space(total)
    with request.progress.step("checking weights", total, "bytes") as step:
        for part in parts:
            for count in diffusion.check_finite(part.path):
                step.advance(count)
    with request.progress.step("converting the model", total, "bytes") as step:
        advanced = 0

        def on_progress(done: int, all_bytes: int) -> bool:
            nonlocal advanced
            reached = done * total // max(all_bytes, 1)
            step.advance(reached - advanced)
            advanced = reached
            return True

        files = [(part.path, part.prefix) for part in parts]
        facts = merge(files, writer.folder / "model.gguf", options.quantization, on_progress)
    return Facts.model_validate(facts)


def _defaults(path: Path, facts: Facts) -> Image:
    """The family's, or what a folder's generation_config.json and diffusers' schedule say."""
    if not path.is_dir():
        return defaults(facts)
    advised = generation.image_defaults(path, defaults(facts))
    if diffusers.is_folder(path):
        return advised.model_copy(update={"flow_shift": diffusers.flow_shift(path)})
    return advised


def defaults(facts: Facts) -> Image:
    """What images of this family's models are best made with; from their model cards."""
    family = facts.family.split("-inpaint")[0]
    width, steps, cfg_scale, guidance = {
        "sd1": (512, 20, 7.0, 0.0),
        "sd1-tiny": (512, 20, 7.0, 0.0),
        "sd2": (768, 20, 7.0, 0.0),
        "sd2-tiny": (512, 20, 7.0, 0.0),
        "sd3": (1024, 28, 4.5, 0.0),
        "chroma": (1024, 20, 4.0, 0.0),
        "flux-fill": (1024, 20, 1.0, 30.0),
        "flux2": (1024, 20, 1.0, 4.0),
        "flux2-klein": (1024, _TURBO_STEPS, 1.0, 0.0),
        "qwen-image": (1024, 20, 2.5, 0.0),
        "z-image": (1024, 8, 1.0, 0.0),
        "ovis-image": (1024, 20, 5.0, 0.0),
        "ernie-image": (1024, 20, 4.0, 0.0),
    }.get(family, (1024, 20, 7.0, 0.0))
    if family == "flux":
        # Without a guidance it is the one distilled to few steps.
        steps, cfg_scale = (20, 1.0) if facts.has_guidance else (_TURBO_STEPS, 1.0)
        guidance = 3.5 if facts.has_guidance else 0.0
    return Image(width=width, height=width, steps=steps, cfg_scale=cfg_scale, guidance=guidance)
