"""The whisper engine: bundles of whisper.cpp files, as they are, quantized, or converted.

A VAD model (Silero, as whisper.cpp's sources bring it) comes with every model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sphere_edge.bundle.manifest import Audio, ManifestDraft, Target
from sphere_edge.engines import whisper_fit
from sphere_edge.engines.clone_or_copy import clone_or_copy
from sphere_edge.engines.engine import BuildRequest, Built
from sphere_edge.engines.options import refuse_text_options
from sphere_edge.engines.provenance import provenance
from sphere_edge.fit.memory import too_much
from sphere_edge.formats import whisper, whisper_folder, whisper_write
from sphere_edge.toolchain import sources

_VAD_MODEL = "for-tests-silero-v6.2.0-ggml.bin"


def fit(request: BuildRequest) -> Callable[[], Built]:
    """As `Engine.fit`, of a whisper.cpp file or a Whisper checkpoint's folder."""
    refuse_text_options(request.options, "a speech recognition model")
    return partial(_build, request)


def _build(request: BuildRequest) -> Built:
    source, profile, writer = request.source, request.profile, request.writer
    model = writer.folder / "model.bin"
    _write_model(request, model)
    file = whisper.read(model)
    sizes = whisper_fit.of_file(file)
    memory = sizes.memory(file.quantization.lower())
    if memory.peak_bytes > profile.memory.usable_bytes:
        best = sizes.best(profile)
        hint = f"--quant {best} fits" if best else "take a smaller or a quantized model"
        raise too_much(source.name, memory.peak_bytes, profile, hint)
    vad = sources.fetch("voice_detector", request.progress) / "models" / _VAD_MODEL
    clone_or_copy(vad, writer, "voice-detector.bin", request.progress)
    return Built(
        ManifestDraft(
            name=source.name,
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
            provenance=provenance(source, (), request.progress),
        )
    )


def _write_model(request: BuildRequest, model: Path) -> None:
    """Makes `model` of the source; what is copied is checked before."""
    path, quantization, progress = (
        request.source.path,
        request.options.quantization,
        request.progress,
    )
    if path.is_dir():
        checkpoint = whisper_folder.read(path)
        request.writer.require_space(2 * checkpoint.checkpoint.parameters)
        with progress.step("converting", len(checkpoint.checkpoint.tensors)) as step:
            tensors = _counted(checkpoint.tensors(), step.advance)
            header = whisper_write.Header(checkpoint.dimensions, checkpoint.words)
            whisper_write.write(model, header, tensors, quantization or "f16")
        return
    file = whisper.read(path)
    with progress.step("checking weights", file.weights_bytes, "bytes") as step:
        for count in whisper.check_finite(file):
            step.advance(count)
    if quantization is None:
        clone_or_copy(path.resolve(), request.writer, model.name, progress)
    else:
        request.writer.require_space(file.weights_bytes)
        with progress.step("quantizing"):
            whisper_write.quantize(file, model, quantization)


def _counted(
    tensors: Iterator[whisper_write.Tensor], advance: Callable[[float], None]
) -> Iterator[whisper_write.Tensor]:
    for tensor in tensors:
        yield tensor
        advance(1)
