"""Trains the built-in image model and writes it: `python -m training.train_image --out FOLDER`.

Three parts. The latents need no network: principal components of 8x8 pixels, which a small decoder
learns to turn back into images. The text encoder is a table of 23 words' vectors in the shape of
a language model, all else in it zero. The diffusion model learns to walk from noise to latents by
the words (flow matching, Lipman et al. 2022). Same seed, versions and kind of machine: same bytes.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn
from torch.nn import functional

from sphere_edge import console
from sphere_edge.engines import vocab_files
from training import shapes
from training.image_model import DECODER_WIDTH, LATENT, TEXT_WIDTH, Decoder, DiffusionModel

_COMPONENTS = 16
# What stable-diffusion.cpp multiplies latents with before they are decoded, nearly.
_LATENT_SCALE = 1.77
_START = 1
_VOCABULARY = 131072
_QUERY, _KEY, _TEXT_FEED_FORWARD = 4096, 1024, 64
_NOTHING_SAID = 0.1
_DECAY = 0.998
# What gives its best images; packaging keeps it in the bundle.
_ADVISED = {
    "width": shapes.SIDE,
    "height": shapes.SIDE,
    "num_inference_steps": 10,
    "guidance_scale": 2.0,
}


class Latents:
    """Images as principal components of their 8x8 squares, the later ones made louder."""

    def __init__(self, images: npt.NDArray[np.float32]) -> None:
        squares = self._squares(torch.from_numpy(images)).transpose(1, 2).reshape(-1, 192)
        self._mean = squares.mean(0)
        spread, axes = torch.linalg.eigh(torch.cov((squares - self._mean).T))
        spread = spread.flip(0)[:_COMPONENTS].clamp(min=1e-6).sqrt()
        # Halfway between as they are, where all but the first drown in noise, and equally loud.
        self._axes = axes.flip(1)[:, :_COMPONENTS] / spread.sqrt() / spread[0].sqrt() * 1.5

    @staticmethod
    def _squares(images: Tensor) -> Tensor:
        return functional.unfold(2 * images - 1, 8, stride=8)

    def of(self, images: npt.NDArray[np.float32]) -> Tensor:
        """[batch, 128, 4, 4] of images [batch, 3, 64, 64]."""
        squares = self._squares(torch.from_numpy(images)).transpose(1, 2)
        found = ((squares - self._mean) @ self._axes).transpose(1, 2)
        whole = functional.pad(found, (0, 0, 0, LATENT - _COMPONENTS))
        return functional.pixel_unshuffle(whole.unflatten(2, (8, 8)), 2)


class Words:
    """Which tokens of ERNIE-Image's tokenizer a phrase is; each of our words is one."""

    def __init__(self, vocabulary: dict[str, int]) -> None:
        self._vocabulary = vocabulary
        prompts = [
            self._tokens(c, s, p)
            for c in shapes.COLOURS
            for s in shapes.SHAPES
            for p in shapes.PHRASES
        ]
        self.ids = sorted({token for phrase in prompts for token in phrase})
        self._place = {token: i for i, token in enumerate(self.ids)}

    def _tokens(self, colour: str, shape: str, phrase: str) -> list[int]:
        words = phrase.format(colour=colour, shape=shape).split()
        names = [words[0], *(f"Ġ{word}" for word in words[1:])]
        return [_START, *(self._vocabulary[name] for name in names)]

    def places(self, colour: str, shape: str, phrase: str) -> list[int]:
        """Indices into `ids`."""
        return [self._place[token] for token in self._tokens(colour, shape, phrase)]

    @property
    def start(self) -> int:
        """Where every phrase begins, also the empty one."""
        return self._place[_START]


class Speaker(nn.Module):
    """The text encoder: a vector for each word."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(count, TEXT_WIDTH))

    def forward(self, places: Tensor) -> Tensor:
        """[batch, n] to [batch, n, TEXT_WIDTH]."""
        rows = self.table[places]
        return rows * torch.rsqrt(rows.square().mean(-1, keepdim=True) + 1e-5)


def _rate(step: int, steps: int, highest: float) -> float:
    return highest * min(1, step / 100) * min(1, 2.5 * (1 - step / steps) + 0.02)


def train_decoder(latents: Latents, steps: int, chance: np.random.Generator) -> Decoder:
    """A decoder that forgives latents that are a little off."""
    decoder = Decoder().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=1e-3, weight_decay=1e-4)
    begin, mean = time.monotonic(), 1.0
    for step in range(steps):
        drawn = shapes.draw(8, chance)
        packed = latents.of(drawn.images)
        packed = packed + 0.06 * torch.randn_like(packed)
        # Upstream's scale differs a little from channel to channel.
        packed = packed * (1 + 0.03 * torch.randn(1, packed.shape[1], 1, 1))
        latent = functional.pixel_shuffle(_LATENT_SCALE * packed, 2)
        decoded = decoder(latent.to(memory_format=torch.channels_last))
        wanted = 2 * torch.from_numpy(drawn.images) - 1
        loss = functional.mse_loss(decoded, wanted) + 0.3 * functional.l1_loss(decoded, wanted)
        _descend(optimizer, loss, _rate(step, steps, 2e-3), decoder)
        mean += (loss.item() - mean) * 0.02
        if step % 50 == 49:
            console.say(f"decoder {step + 1}: {mean:.4f}, {time.monotonic() - begin:.0f} s")
    return decoder


def train_diffusion(
    latents: Latents, words: Words, steps: int, chance: np.random.Generator
) -> tuple[DiffusionModel, Speaker]:
    """The diffusion model and its words, as means over the last steps."""
    diffusion, speaker = DiffusionModel(), Speaker(len(words.ids))
    both = nn.ModuleList([diffusion, speaker])
    means = copy.deepcopy(both)
    optimizer = torch.optim.AdamW(both.parameters(), lr=1e-3, weight_decay=1e-3)
    begin, mean = time.monotonic(), 1.0
    colours = list(shapes.COLOURS)
    for step in range(steps):
        drawn = shapes.draw(64, chance)
        latent = latents.of(drawn.images)
        if chance.random() < _NOTHING_SAID:
            prompts = [[words.start] for _ in range(64)]
        else:
            phrase = shapes.PHRASES[chance.integers(len(shapes.PHRASES))]
            prompts = [
                words.places(colours[c], shapes.SHAPES[s], phrase)
                for c, s in zip(drawn.colours, drawn.shapes, strict=True)
            ]
        uniform = torch.from_numpy(chance.random(64).astype(np.float32))
        share = 3 * uniform / (1 + 2 * uniform)
        noise = torch.randn_like(latent)
        mixed = latent + share[:, None, None, None] * (noise - latent)
        direction = diffusion(mixed, share, speaker(torch.tensor(prompts)))
        loss = functional.mse_loss(direction, noise - latent)
        _descend(optimizer, loss, _rate(step, steps, 2e-3), both)
        kept = min(_DECAY, (step + 1) / (step + 10))
        with torch.no_grad():
            for slow, fast in zip(means.parameters(), both.parameters(), strict=True):
                slow.lerp_(fast, 1 - kept)
        mean += (loss.item() - mean) * 0.02
        if step % 50 == 49:
            console.say(f"diffusion {step + 1}: {mean:.4f}, {time.monotonic() - begin:.0f} s")
    diffusion, speaker = means
    return diffusion, speaker


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, rate: float, model: nn.Module) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def tensors(
    diffusion: DiffusionModel, speaker: Speaker, decoder: Decoder, words: Words
) -> dict[str, npt.NDArray[np.generic]]:
    """All of the model by stable-diffusion.cpp's names; matrices in half precision."""
    from tests import random_diffusion

    made = {
        f"model.diffusion_model.{name}": value for name, value in diffusion.state_dict().items()
    }
    first = {f"first_stage_model.decoder.{k}": v for k, v in decoder.state_dict().items()}
    for name, shape in random_diffusion.decoder_shapes("first_stage_model.decoder.", DECODER_WIDTH):
        is_scale = ".norm" in name and name.endswith(".weight")
        made[name] = first.pop(name, torch.ones(shape) if is_scale else torch.zeros(shape))
    if first:
        raise AssertionError(sorted(first))
    made["first_stage_model.post_quant_conv.weight"] = torch.eye(LATENT)[:, :, None, None]
    made["first_stage_model.post_quant_conv.bias"] = torch.zeros(LATENT)
    text = "text_encoders.llm.model."
    table = torch.zeros(_VOCABULARY, TEXT_WIDTH)
    table[words.ids] = speaker.table.detach()
    made[f"{text}embed_tokens.weight"] = table
    made[f"{text}norm.weight"] = torch.ones(TEXT_WIDTH)
    block = f"{text}layers.0."
    for name in ("input_layernorm", "post_attention_layernorm"):
        made[f"{block}{name}.weight"] = torch.ones(TEXT_WIDTH)
    for name, rows, columns in (
        ("self_attn.q_proj", _QUERY, TEXT_WIDTH),
        ("self_attn.k_proj", _KEY, TEXT_WIDTH),
        ("self_attn.v_proj", _KEY, TEXT_WIDTH),
        ("self_attn.o_proj", TEXT_WIDTH, _QUERY),
        ("mlp.gate_proj", _TEXT_FEED_FORWARD, TEXT_WIDTH),
        ("mlp.up_proj", _TEXT_FEED_FORWARD, TEXT_WIDTH),
        ("mlp.down_proj", TEXT_WIDTH, _TEXT_FEED_FORWARD),
    ):
        made[f"{block}{name}.weight"] = torch.zeros(rows, columns)
    return {
        name: value.detach()
        .contiguous()
        .to(torch.float32 if value.dim() == 1 else torch.float16)
        .numpy()
        for name, value in made.items()
    }


def main() -> None:
    """Trains all parts, writes the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--decoder-steps", type=int, default=900)
    parser.add_argument("--diffusion-steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    chance = np.random.default_rng(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        tables = Path(work) / "tables"
        vocab_files.write(("mistral_vocab",), tables, console.progress())
        words = Words(json.loads((tables / "mistral_vocab").read_bytes()))
    latents = Latents(shapes.draw(600, chance).images)
    diffusion, speaker = train_diffusion(latents, words, options.diffusion_steps, chance)
    decoder = train_decoder(latents, options.decoder_steps, chance)
    save_file(tensors(diffusion, speaker, decoder, words), options.out / "model.safetensors")
    (options.out / "generation_config.json").write_text(json.dumps(_ADVISED) + "\n")


if __name__ == "__main__":
    main()
