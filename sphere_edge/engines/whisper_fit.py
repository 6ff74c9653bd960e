"""Predicts the memory of speech models, to say what fits a device before anything is made.

whisper.cpp reads the weights into memory of its own. Its caches are float16: keys and values of the
audio per decoder layer, padded to 1536 positions, and of the text to 512, seven times over while it
tries five answers at once. Workspace: fitted to what random models of widths 384 and 1024 took on
x86-64 (peaks of 176 and 471 MiB, predicted 181 and 483).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sphere_edge.bundle.manifest import Memory
from sphere_edge.fit.memory import RUNTIME_BYTES
from sphere_edge.formats import whisper, whisper_folder
from sphere_edge.formats.whisper import WhisperFile
from sphere_edge.profiles import DeviceProfile

_AUDIO_POSITIONS = 1536
_TEXT_POSITIONS = 512
_TEXT_COPIES = 7
_FLOAT16_BYTES = 2
# Logits, probabilities and candidates of each of eight possible answers.
_VOCABULARY_ROWS = 40
# Ten minutes of samples, twice, and their spectrogram.
_AUDIO_BYTES = 10 * 60 * 16000 * 4 * 2 + 10 * 60 * 100 * 128 * 4
# Bits per weight that `package --quant` makes of a float model, best first.
_MADE = {"f16": 16.0, "q8_0": 8.5, "q5_0": 5.5}


@dataclass(frozen=True)
class Sizes:
    """What memory depends on; `weights_bytes` for each format that the model has or can get."""

    parameters: int
    vocab_size: int
    width: int
    audio_layers: int
    text_layers: int
    weights_bytes: Mapping[str, int]

    def memory(self, quantization: str) -> Memory:
        """The memory that it takes with greedy decoding, in bytes."""
        weights = self.weights_bytes[quantization]
        per_position = self.text_layers * self.width * 2 * _FLOAT16_BYTES
        kv_cache = per_position * (_AUDIO_POSITIONS + _TEXT_COPIES * _TEXT_POSITIONS)
        # Activations of one window in the encoder, and what the decoder keeps per word.
        floats = _AUDIO_POSITIONS * self.width * 16 + _VOCABULARY_ROWS * self.vocab_size
        workspace = 4 * floats + _AUDIO_BYTES
        return Memory(
            weights_bytes=weights,
            kv_cache_bytes=kv_cache,
            workspace_bytes=workspace,
            peak_bytes=weights + kv_cache + workspace + RUNTIME_BYTES,
        )

    def best(self, profile: DeviceProfile) -> str | None:
        """The best format that fits the profile, None if none does."""
        usable = profile.memory.usable_bytes
        fitting = (name for name in self.weights_bytes if self.memory(name).peak_bytes <= usable)
        return next(fitting, None)


def sizes(path: Path) -> Sizes:
    """Of a whisper.cpp file, or of a checkpoint's folder. Raises what reading them raises."""
    return _of_folder(path) if path.is_dir() else of_file(whisper.read(path))


def of_file(file: WhisperFile) -> Sizes:
    """As it is first, and then as what can be made of a float model."""
    own = {file.quantization.lower(): file.weights_bytes}
    made = _made(file.parameters) if file.quantization in ("F16", "F32") else {}
    return Sizes(
        parameters=file.parameters,
        vocab_size=file.vocab_size,
        width=file.width,
        audio_layers=file.audio_layers,
        text_layers=file.text_layers,
        weights_bytes={**own, **{name: size for name, size in made.items() if name not in own}},
    )


def _of_folder(path: Path) -> Sizes:
    found = whisper_folder.read(path)
    # The output layer of some is stored, and is the embedding again.
    entries = found.checkpoint.tensors.items()
    parameters = sum(entry.elements for name, entry in entries if name != "proj_out.weight")
    return Sizes(
        parameters=parameters,
        vocab_size=found.dimensions.vocab_size,
        width=found.dimensions.text_width,
        audio_layers=found.dimensions.audio_layers,
        text_layers=found.dimensions.text_layers,
        weights_bytes=_made(parameters),
    )


def _made(parameters: int) -> dict[str, int]:
    return {name: int(parameters * bits / 8) for name, bits in _MADE.items()}
