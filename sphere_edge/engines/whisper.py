"""The whisper engine: bundles of whisper.cpp files, as they are, quantized, or converted.

A voice detector (Silero VAD, as whisper.cpp's sources bring it) comes with every model.

Memory: whisper.cpp reads the weights into memory of its own. Its caches are float16: keys and
values of the audio per decoder layer, padded to 1536 positions, and of the text to 512, seven
times over while it tries five answers at once. Workspace: fitted to what random models of widths
384 and 1024 took on x86-64 (peaks of 176 and 471 MiB, predicted 181 and 483).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from sphere_edge.bundle.manifest import Audio, ManifestDraft, Memory, Target
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.console import Progress, human_bytes
from sphere_edge.engines.options import PackageOptions
from sphere_edge.engines.place import place
from sphere_edge.engines.provenance import provenance
from sphere_edge.errors import InvalidArgumentError, OutOfMemoryError
from sphere_edge.fit import RUNTIME_BYTES
from sphere_edge.formats import whisper, whisper_folder, whisper_write
from sphere_edge.formats.source import ModelSource
from sphere_edge.formats.whisper import WhisperFile
from sphere_edge.profiles import DeviceProfile
from sphere_edge.toolchain import sources

_VOICE_DETECTOR = "for-tests-silero-v6.2.0-ggml.bin"
_AUDIO_POSITIONS = 1536
_TEXT_POSITIONS = 512
_TEXT_COPIES = 7
_FLOAT16_BYTES = 2
# Logits, probabilities and candidates of each of eight possible answers.
_VOCABULARY_ROWS = 40
# Ten minutes of samples, twice, and their spectrogram.
_AUDIO_BYTES = 10 * 60 * 16000 * 4 * 2 + 10 * 60 * 100 * 128 * 4


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
    for flag, given in (
        ("--context", options.context_tokens),
        ("--kv", options.kv_dtype),
        ("--chat-template", options.chat_template),
    ):
        if given is not None:
            message = f"{flag} does not go with a speech recognition model"
            raise InvalidArgumentError(message, hint="leave it out")
    model = writer.folder / "model.bin"
    _place_model(source, options.quantization, model, writer, progress)
    file = whisper.read(model)
    memory = predict(file)
    if memory.peak_bytes > profile.memory.usable_bytes:
        message = (
            f"`{source.name}` needs {human_bytes(memory.peak_bytes)} at its peak, "
            f"`{profile.name}` lets an app use {human_bytes(profile.memory.usable_bytes)}"
        )
        raise OutOfMemoryError(message, hint="take a smaller or a quantized model")
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


def predict(file: WhisperFile) -> Memory:
    """The memory that a model takes with greedy decoding, in bytes."""
    per_position = file.text_layers * file.width * 2 * _FLOAT16_BYTES
    kv_cache = per_position * (_AUDIO_POSITIONS + _TEXT_COPIES * _TEXT_POSITIONS)
    workspace = _workspace_bytes(file) + _AUDIO_BYTES
    return Memory(
        weights_bytes=file.weights_bytes,
        kv_cache_bytes=kv_cache,
        workspace_bytes=workspace,
        peak_bytes=file.weights_bytes + kv_cache + workspace + RUNTIME_BYTES,
    )


def _workspace_bytes(file: WhisperFile) -> int:
    """Activations of one window in the encoder, and what the decoder keeps per word."""
    floats = _AUDIO_POSITIONS * file.width * 16 + _VOCABULARY_ROWS * file.vocab_size
    return 4 * floats
