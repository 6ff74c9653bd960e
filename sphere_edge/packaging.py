"""From a model to a bundle: find it, see that it fits, build it, try it, put it in its place."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import profiles, resources
from sphere_edge.bundle import archive
from sphere_edge.bundle.manifest import ManifestDraft
from sphere_edge.bundle.read import Bundle, check_runs_on
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.console import SILENT, Progress
from sphere_edge.engines.options import PackageOptions
from sphere_edge.errors import (
    FormatMismatchError,
    LoadFailedError,
    ModelCorruptError,
)
from sphere_edge.formats.hub import Hub
from sphere_edge.formats.source import Kind, ModelSource, open_source
from sphere_edge.profiles import DeviceProfile

TINY = "tiny"
TINY_WHISPER = "tiny-whisper"
TINY_IMAGE = "tiny-image"
_SMOKE_PROMPT = "Hello"
_SMOKE_TOKENS = 8


@dataclass(frozen=True)
class Packaged:
    """A finished bundle at `output`; `tried_here`: it has worked on this machine."""

    bundle: Bundle
    output: Path
    seconds: float
    tried_here: bool


def find(
    reference: str,
    *,
    wanted: Kind | None = None,
    revision: str | None = None,
    headers_only: bool = False,
    convertible: bool = False,
    progress: Progress = SILENT,
) -> ModelSource:
    """The model that `reference` means.

    `tiny`, `tiny-whisper` and `tiny-image` are the built-in ones unless a file has that name.
    `headers_only`: of weights on the hub only the headers, which say what the model is.
    `convertible`: where a GGUF is wanted and there is none, safetensors serve.
    """
    if reference == TINY and not Path(reference).exists():
        reference = str(resources.tiny_model())
    if reference == TINY_WHISPER and not Path(reference).exists():
        return built_in_whisper(wanted, revision)
    if reference == TINY_IMAGE and not Path(reference).exists():
        return built_in_image(wanted, revision)
    hub = Hub(headers_only=headers_only, progress=progress)
    return open_source(
        reference, wanted=wanted, revision=revision, hub=hub, convertible=convertible
    )


def built_in_whisper(wanted: Kind | None = None, revision: str | None = None) -> ModelSource:
    """The built-in speech model, under its name."""
    found = open_source(str(resources.tiny_whisper()), wanted=wanted, revision=revision)
    return dataclasses.replace(found, name=TINY_WHISPER)


def built_in_image(wanted: Kind | None = None, revision: str | None = None) -> ModelSource:
    """The built-in image model, under its name."""
    found = open_source(str(resources.tiny_image()), wanted=wanted, revision=revision)
    return dataclasses.replace(found, name=TINY_IMAGE)


def output_for(
    source: ModelSource, profile: DeviceProfile, asked: Path | None, *, as_zip: bool
) -> Path:
    """Where the bundle goes: where it was asked to, or dist/MODEL.PROFILE."""
    output = asked or Path("dist") / f"{source.name}.{profile.name}"
    if as_zip and output.suffix != archive.SUFFIX:
        output = output.with_name(output.name + archive.SUFFIX)
    return output


def package(
    source: ModelSource,
    profile: DeviceProfile,
    options: PackageOptions,
    output: Path,
    *,
    force: bool = False,
    progress: Progress = SILENT,
) -> Packaged:
    """Makes the bundle `output` from `source` for `profile`; nothing is left of it if that fails.

    A bundle that this machine can run has to generate a few tokens, or to hear a second of silence,
    before it counts as made.
    Raises what the source, the fit, the engine, the tokenizer comparison and the writer raise.
    """
    started = time.monotonic()
    tried_here = False

    def try_here(bundle: Bundle) -> None:
        nonlocal tried_here
        tried_here = _try_here(bundle, progress)

    with BundleWriter(output, force=force, progress=progress) as writer:
        draft = _build(source, profile, options, writer, progress)
        if draft.engine == "llama":
            _check_architecture(writer.folder)
        if source.kind == "safetensors":
            compiled = draft.engine == "tvm"
            tokenizer = writer.folder / ("tokenizer.gguf" if compiled else "model.gguf")
            _compare_tokenizers(source, tokenizer, options, progress)
        if draft.engine == "tvm":
            _keep_reference(source, profile, draft, writer.folder, progress)
        bundle = writer.commit(draft, try_here)
    return Packaged(bundle, output, time.monotonic() - started, tried_here)


def _build(
    source: ModelSource,
    profile: DeviceProfile,
    options: PackageOptions,
    writer: BundleWriter,
    progress: Progress,
) -> ManifestDraft:
    # Imported here: the compiler takes seconds to load, and a GGUF needs none.
    if source.kind == "gguf" or (source.kind == "safetensors" and options.as_gguf):
        from sphere_edge.engines import llama

        return llama.build(source, profile, options, writer, progress)
    if source.kind == "whisper":
        from sphere_edge.engines import whisper

        return whisper.build(source, profile, options, writer, progress)
    if source.kind == "diffusion":
        from sphere_edge.engines import diffusion

        # Its converter knows the names of all families' tensors, and is compiled with its engine.
        from sphere_edge.runtime.image_conversion import merge

        return diffusion.build(source, profile, options, writer, progress, merge)
    with progress.step("loading the compiler"):
        from sphere_edge.engines import tvm

    return tvm.build(source, profile, options, writer, progress)


def _check_architecture(folder: Path) -> None:
    """UnsupportedError for a GGUF whose architecture our llama.cpp does not know, by its name."""
    from sphere_edge.runtime.library import model_info

    model_info(min(folder.glob("model*.gguf")))


def _compare_tokenizers(
    source: ModelSource, ours: Path, options: PackageOptions, progress: Progress
) -> None:
    """ModelCorruptError where our tokenizer and the model's own differ, with the first sample."""
    from sphere_edge.formats import tokenizer
    from sphere_edge.runtime.vocabulary import Vocabulary

    with (
        progress.step("comparing tokenizers"),
        Vocabulary.open(ours) as vocabulary,
    ):
        mismatches = tokenizer.compare(
            source.path,
            lambda line: vocabulary.tokenize(line, add_special=False, parse_special=True),
        )
    if not mismatches or options.allow_tokenizer_mismatch:
        return
    first = mismatches[0]
    message = (
        f"our tokenizer differs from the model's on {len(mismatches)} lines of the probe text, "
        f"first on {first.sample!r}: {first.got} instead of {first.expected}"
    )
    hint = "--allow-tokenizer-mismatch packages it all the same"
    raise ModelCorruptError(message, hint=hint)


def _keep_reference(
    source: ModelSource,
    profile: DeviceProfile,
    draft: ManifestDraft,
    folder: Path,
    progress: Progress,
) -> None:
    """Puts what the model should answer into the bundle, for `certify` on the device."""
    from sphere_edge.bundle.reference_plan import PASSAGE
    from sphere_edge.engines import reference
    from sphere_edge.formats import gguf
    from sphere_edge.runtime.vocabulary import Vocabulary

    path = folder / "tokenizer.gguf"
    with progress.step("computing the reference"):
        with Vocabulary.open(path) as vocabulary:
            passage = vocabulary.tokenize(PASSAGE)
        size = gguf.read(path).vocab_size
        assert size is not None
        reference.write(source, profile, draft, folder, passage, size)


def _try_here(bundle: Bundle, progress: Progress) -> bool:
    """Generates a few tokens; False when the bundle is for another machine than this one."""
    try:
        check_runs_on(bundle.manifest, profiles.host())
    except FormatMismatchError:
        return False
    if bundle.manifest.task == "audio":
        return _hear_here(bundle, progress)
    if bundle.manifest.task == "image":
        return _paint_here(bundle, progress)
    from sphere_edge.runtime.text import TextManager

    # A runtime with ggml's backend for GPUs takes minutes to build: that waits until it is run.
    backend = "cpu" if bundle.manifest.ggml_gpu is not None else None
    opened = TextManager.open(bundle.folder, backend=backend)
    with progress.step("trying it"), opened as text:
        stream = text.generate(_SMOKE_PROMPT, max_tokens=_SMOKE_TOKENS, temperature=0)
        for _ in stream:
            pass
        if stream.result.prompt_tokens == 0:
            message = f"the bundle `{bundle.manifest.name}` was built, but reads no prompt"
            raise LoadFailedError(message)
    return True


def _hear_here(bundle: Bundle, progress: Progress) -> bool:
    """Lets the bundle hear a second of silence; what it makes of that is its own affair."""
    import numpy as np

    from sphere_edge.runtime.audio import AudioManager

    with progress.step("trying it"), AudioManager.open(bundle.folder) as audio:
        silence = np.zeros(audio.info.sample_rate, dtype=np.float32)
        audio.transcribe(silence, language="en", temperature_step=0).text()
    return True


def _paint_here(bundle: Bundle, progress: Progress) -> bool:
    """Lets the bundle paint the smallest picture in one step; nobody looks at it."""
    from PIL import Image

    from sphere_edge.runtime.image import ImageManager

    with progress.step("trying it"), ImageManager.open(bundle.folder) as image:
        side = image.info.size_multiple * -(-64 // image.info.size_multiple)
        size = (side, side)
        wants = image.info.inpaints
        image.generate(
            _SMOKE_PROMPT,
            width=side,
            height=side,
            steps=1,
            seed=0,
            init=Image.new("RGB", size) if wants else None,
            mask=Image.new("L", size, 255) if wants else None,
        )
    return True
