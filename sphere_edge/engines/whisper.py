"""The whisper engine: bundles of whisper.cpp files, as they are, quantized, or converted.

A voice detector (Silero VAD, as whisper.cpp's sources bring it) comes with every model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from sphere_edge.bundle.manifest import Audio, ManifestDraft, Target
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.console import Progress
from sphere_edge.engines import whisper_fit
from sphere_edge.engines.options import PackageOptions, refuse_text_options
from sphere_edge.engines.place import place
from sphere_edge.engines.provenance import provenance
from sphere_edge.fit.memory import too_much
from sphere_edge.formats import whisper, whisper_folder, whisper_write
from sphere_edge.formats.source import ModelSource
from sphere_edge.profiles import DeviceProfile
from sphere_edge.toolchain import sources

_VOICE_DETECTOR = "for-tests-silero-v6.2.0-ggml.bin"


def build(
    source: ModelSource,
    profile: DeviceProfile,
    options: PackageOptions,
    writer: BundleWriter,
    progress: Progress,
) -> ManifestDraft:
    """Puts the model into `writer.folder` and returns what the manifest says of it.

    Raises ModelCorruptError, OutOfMemoryError (does not fit the profile), InvalidArgumentError (an
    option for text models), StorageError (full disk).
    """
    refuse_text_options(options, "a speech recognition model")
    model = writer.folder / "model.bin"
    _place_model(source, options.quantization, model, writer, progress)
    file = whisper.read(model)
    sizes = whisper_fit.of_file(file)
    memory = sizes.memory(file.quantization.lower())
    if memory.peak_bytes > profile.memory.usable_bytes:
        best = sizes.best(profile)
        hint = f"--quant {best} fits" if best else "take a smaller or a quantized model"
        raise too_much(source.name, memory.peak_bytes, profile, hint)
    detector = sources.fetch("voice_detector", progress) / "models" / _VOICE_DETECTOR
    place(detector, writer, "voice-detector.bin", progress)
    return ManifestDraft(
        name=options.name or source.name,
        task="audio",
        engine="whisper",
        family="whisper",
        quantization=file.quantization,
        parameters=file.parameters,
        profile=profile.name,
        target=Target(triple=profile.triple),
        audio=Audio(
            mel_bins=file.mel_bins,
            vocab_size=file.vocab_size,
            languages=file.languages,
            audio_layers=file.audio_layers,
            text_layers=file.text_layers,
            width=file.width,
        ),
        memory=memory,
        provenance=provenance(source, (), progress),
    )


def _place_model(
    source: ModelSource,
    quantization: str | None,
    model: Path,
    writer: BundleWriter,
    progress: Progress,
) -> None:
    """Makes `model` of the source; what is linked is checked before, by its reader."""
    if source.path.is_dir():
        checkpoint = whisper_folder.read(source.path)
        writer.require_space(2 * checkpoint.checkpoint.parameters)
        with progress.step("converting", len(checkpoint.checkpoint.tensors)) as step:
            tensors = _counted(checkpoint.tensors(), step.advance)
            whisper_write.write(
                model, checkpoint.dimensions, checkpoint.words, tensors, quantization or "f16"
            )
    elif quantization is None:
        whisper.read(source.path)
        place(source.path.resolve(), writer, model.name, progress)
    else:
        file = whisper.read(source.path)
        writer.require_space(file.weights_bytes)
        with progress.step("quantizing"):
            whisper_write.quantize(file, model, quantization)


def _counted(
    tensors: Iterator[whisper_write.Tensor], advance: Callable[[float], None]
) -> Iterator[whisper_write.Tensor]:
    for tensor in tensors:
        yield tensor
        advance(1)
