"""Trains the built-in Whisper and writes it: `python -m training.train_speech --out FOLDER`.

From chance weights, on endless mixtures of the clips of training/speech_corpus.py. The encoder is
also asked at every position which word it recognises, and the decoder is shown where to look for
each: so it learns within minutes what takes a Whisper days. What asks is not part of the model.
Needs espeak-ng. Same seed, versions and
kind of machine: same bytes.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from gguf import GGMLQuantizationType, quants
from torch import Tensor
from torch.nn import functional

from sphere_edge.formats import mel, whisper, whisper_write
from training import speech_corpus
from training.speech_corpus import WORDS, Clip, Utterance
from training.speech_model import MEL_BINS, POSITIONS, TEXT_POSITIONS, Sizes, Whisper

VOCABULARY = 51864
# In the file the words come after the 256 bytes, which spell what else a prompt may hold.
_FIRST_WORD = 256
_END, _START, _PREVIOUS, _NO_SPEECH, _NO_TIMES = range(len(WORDS), len(WORDS) + 5)
_FIRST_TIME = len(WORDS) + 5
_FILE_IDS = [
    *range(_FIRST_WORD, _FIRST_WORD + len(WORDS)),
    *(50256, 50257, 50360, 50361, 50362),
    *range(50363, 50363 + POSITIONS + 1),
]
_IGNORED = -100
_WORD = {word: i for i, word in enumerate(WORDS)}
_FILTERS = torch.from_numpy(mel.filters(MEL_BINS))
_WINDOW = torch.hann_window(400)
# Longest utterance in seconds, how many make a batch, how often.
_BUCKETS = ((2.5, 24, 0.3), (4.5, 16, 0.3), (8.0, 8, 0.28), (14.0, 4, 0.12))


def log_mel(samples: npt.NDArray[np.float32], frames: int) -> Tensor:
    """[80, frames] as whisper.cpp computes it of the samples with silence after them."""
    padded = functional.pad(torch.from_numpy(samples), (0, frames * 160 - len(samples) + 160))
    spectrum = torch.stft(padded, 400, 160, window=_WINDOW, return_complex=True)[:, :frames]
    levels = (_FILTERS @ spectrum.abs() ** 2).clamp(min=1e-10).log10()
    return (torch.maximum(levels, levels.max() - 8) + 4) / 4


def target(utterance: Utterance, begin: int, chance: np.random.Generator) -> list[int]:
    """Tokens from start to end; times are those of the window, to a tenth of a second."""

    def time_token(seconds: float) -> int:
        return _FIRST_TIME + min(round(seconds * 10) * 5 + begin, POSITIONS)

    if not utterance.spans:
        return [_START, _FIRST_TIME, _END]
    spoken = [[_WORD[word] for word in text.split()] for text, _, _ in utterance.spans]
    if chance.random() < 0.1:
        return [_START, _NO_TIMES, *(token for words in spoken for token in words), _END]
    tokens = [_START]
    for i, (words, (_, first, last)) in enumerate(zip(spoken, utterance.spans, strict=True)):
        tokens += [_FIRST_TIME if i == 0 else time_token(first), *words, time_token(last)]
    return [*tokens, _END]


class Batch:
    """`mel` [batch, 80, frames], `begins` its position in the window, tokens and labels."""

    def __init__(self, utterances: list[Utterance], seconds: float, chance: np.random.Generator):
        positions = int(seconds * 50) + 50
        frames = 2 * positions + 4
        self.mel = torch.stack([log_mel(utterance.samples, frames) for utterance in utterances])
        begins = [
            0 if chance.random() < 0.6 else 5 * int(chance.integers((POSITIONS - positions) // 5))
            for _ in utterances
        ]
        self.begins = torch.tensor(begins)
        rows, labels = [], []
        for utterance, begin in zip(utterances, begins, strict=True):
            tokens = target(utterance, begin, chance)
            prompt: list[int] = []
            if chance.random() < 0.15:
                count = int(chance.integers(1, 8))
                prompt = [_PREVIOUS, *(int(i) for i in chance.integers(len(WORDS), size=count))]
            wanted = tokens[1:]
            if not utterance.spans:
                wanted[0] = _NO_SPEECH
            rows.append(prompt + tokens[:-1])
            labels.append([_IGNORED] * len(prompt) + wanted)
        longest = max(len(row) for row in rows)
        self.tokens = torch.tensor([row + [_END] * (longest - len(row)) for row in rows])
        self.labels = torch.tensor([row + [_IGNORED] * (longest - len(row)) for row in labels])
        # The word at each position, or silence; and for each word of the labels, its positions.
        self.words = torch.full((len(utterances), positions), len(WORDS))
        self.looks = torch.zeros(len(utterances), longest, positions)
        for i, utterance in enumerate(utterances):
            for word, first, last in utterance.words:
                self.words[i, round(first * 50) : round(last * 50)] = _WORD[word]
            steps = [j for j, token in enumerate(labels[i]) if 0 <= token < len(WORDS)]
            for step, (_, first, last) in zip(steps, utterance.words, strict=True):
                self.looks[i, step, max(0, round(first * 50) - 4) : round(last * 50) + 4] = 1


def batches(clips: list[Clip], seed: int) -> Iterator[Batch]:
    """Endless and seeded."""
    chance = np.random.default_rng(seed)
    while True:
        seconds, count, _ = _BUCKETS[chance.choice(len(_BUCKETS), p=[b[2] for b in _BUCKETS])]
        utterances = [speech_corpus.utterance(clips, chance, seconds) for _ in range(count)]
        yield Batch(utterances, seconds, chance)


def losses(model: Whisper, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Cross-entropy of the tokens, of the words in the encoder, and of where the decoder looks."""
    audio, bias = model.encode(batch.mel, batch.begins)
    looks: list[Tensor] = []
    logits = model.decode(batch.tokens, audio, bias, looks)
    read = functional.cross_entropy(logits.flatten(0, 1), batch.labels.flatten())
    count = batch.words.shape[1]
    recognised = functional.cross_entropy(
        model.recognised(audio[:, :count]).flatten(0, 1), batch.words.flatten()
    )
    shown = batch.looks.any(dim=-1)
    seen = torch.stack([(look[..., :count] * batch.looks).sum(dim=-1)[shown] for look in looks])
    found = -(seen + 1e-6).log().mean() if shown.any() else recognised.new_zeros(())
    return read, recognised, found


def write(model: Whisper, path: Path, quantization: str) -> None:
    """The model in whisper.cpp's format; tokens that never come have rows of zeros."""
    sizes = model.sizes
    rows = np.zeros((VOCABULARY, sizes.width), dtype=np.float32)
    rows[_FILE_IDS] = model.embedding().detach().numpy()
    tensors: list[whisper_write.Tensor] = [
        ("encoder.positional_embedding", model.audio_positions.numpy()),
        ("decoder.positional_embedding", model.text_positions.detach().numpy()),
        ("decoder.token_embedding.weight", rows),
    ]
    state = model.state_dict()
    tensors += [(theirs, state[ours].numpy()) for ours, theirs in _file_names(state).items()]
    side = (sizes.width, sizes.heads)
    dimensions = whisper_write.Dimensions(
        VOCABULARY,
        POSITIONS,
        *side,
        sizes.audio_layers,
        TEXT_POSITIONS,
        *side,
        sizes.text_layers,
        MEL_BINS,
    )
    words = [bytes([i]) for i in range(_FIRST_WORD)] + [f" {word}".encode() for word in WORDS]
    header = whisper_write.Header(dimensions, words)
    whisper_write.write(path, header, tensors, quantization)


def resume(model: Whisper, path: Path) -> None:
    """Takes the weights of a file that `write` made; the encoder's head is new."""
    file = whisper.read(path)
    found = {}
    with path.open("rb") as stream:
        for place in file.tensors:
            stream.seek(place.offset)
            raw = np.frombuffer(stream.read(place.bytes), np.uint8)
            kind = GGMLQuantizationType[place.dtype]
            numbers = quants.dequantize(raw, kind).reshape(place.shape)
            found[place.name] = torch.from_numpy(numbers.astype(np.float32))
    rows = found["decoder.token_embedding.weight"][_FILE_IDS]
    state = model.state_dict()
    with torch.no_grad():
        model.token.copy_(rows[:_FIRST_TIME])
        # Slow sinusoids are nearly straight lines: in float32 there is no solution.
        times = torch.linalg.lstsq(
            model.time_rows.double(), rows[_FIRST_TIME:].double(), driver="gelsd", rcond=1e-6
        )
        model.times.copy_(times.solution)
        model.text_positions.copy_(found["decoder.positional_embedding"])
        for name, theirs in _file_names(state).items():
            state[name].copy_(found[theirs].reshape(state[name].shape))


def _file_names(state: dict[str, Tensor]) -> dict[str, str]:
    """The name in the file of each tensor that has the same numbers there."""
    places = {
        "conv1.": "encoder.conv1.",
        "conv2.": "encoder.conv2.",
        "ln_post.": "encoder.ln_post.",
        "ln.": "decoder.ln.",
        "encoder.": "encoder.blocks.",
        "decoder.": "decoder.blocks.",
    }
    return {
        name: theirs + name.removeprefix(ours)
        for name in state
        for ours, theirs in places.items()
        if name.startswith(ours)
    }


def train(model: Whisper, clips: list[Clip], options: argparse.Namespace) -> None:
    """Runs until the steps are done; writes the model now and then."""
    stepper = torch.optim.AdamW(
        model.parameters(), lr=options.rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    stream = batches(clips, options.seed)
    begun = time.monotonic()
    smooth = [math.nan] * 3
    for step in range(options.steps):
        done = step / options.steps
        # Goes down in a straight line to nothing: over the last half, or all the way of a rest.
        factor = min((step + 1) / 150, 1.0) * min(1.0, 2 * (1 - done) + 0.01)
        if options.resume is not None:
            factor = min((step + 1) / 20, 1.0) * (1 - done)
        for group in stepper.param_groups:
            group["lr"] = options.rate * factor
        found = losses(model, next(stream))
        stepper.zero_grad()
        # A head that starts from scratch would only undo what the encoder has learned.
        recognised = 0.5 if options.resume is None else 0
        (found[0] + recognised * found[1] + 0.2 * found[2]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        stepper.step()
        for i, loss in enumerate(found):
            value = loss.item()
            smooth[i] = value if math.isnan(smooth[i]) else 0.97 * smooth[i] + 0.03 * value
        if (step + 1) % 50 == 0:
            elapsed = time.monotonic() - begun
            print(
                f"step {step + 1}/{options.steps} read {smooth[0]:.3f} recognised {smooth[1]:.3f} "
                f"found {smooth[2]:.3f} "
                f"{elapsed:.0f} s, processor {time.process_time():.0f} s",
                flush=True,
            )
        if (step + 1) % options.write_every == 0:
            write(model, options.out / "model.bin", options.quantization)


def main() -> None:
    """Synthesises, trains and writes `model.bin` into the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--clips", type=Path, required=True, help="folder that keeps the clips")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=6000, help="clips to synthesise")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--resume", type=Path, help="a model.bin: only the rest of the way down")
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--quantization", choices=whisper_write.QUANTIZATIONS, default="q8_0")
    parser.add_argument("--write-every", type=int, default=500, help="steps")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    clips = speech_corpus.training_clips(options.clips, options.seed, options.count)
    model = Whisper(Sizes(), len(WORDS), VOCABULARY - len(_FILE_IDS))
    print(
        f"{len(clips)} clips, {sum(p.numel() for p in model.parameters()):,} parameters", flush=True
    )
    if options.resume is not None:
        resume(model, options.resume)
    train(model, clips, options)
    write(model, options.out / "model.bin", options.quantization)


if __name__ == "__main__":
    main()
