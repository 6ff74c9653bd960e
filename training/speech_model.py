"""A small Whisper in torch, with what makes it learn on one processor core within the hour.

The window of whisper.cpp is always 30 s long, most of it silence. Every position in silence has the
same content, so training computes the positions around the speech and a few that stand for all the
silent ones, which attention counts as often as they are there. What is exported is a plain Whisper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

POSITIONS = 1500
TEXT_POSITIONS = 448
MEL_BINS = 80
# Log-mel of digital silence is the floor: 8 below the loudest, scaled as Whisper does.
SILENT_POSITIONS = 24


@dataclass(frozen=True)
class Sizes:
    """The dimensions of the model; two decoder layers would be taken for an early distilled one."""

    width: int = 96
    heads: int = 3
    audio_layers: int = 3
    text_layers: int = 3


def sinusoids(count: int, width: int) -> Tensor:
    """[count, width], as OpenAI's encoder has them."""
    step = math.log(10000) / (width // 2 - 1)
    angles = torch.arange(count)[:, None] * torch.exp(-step * torch.arange(width // 2))[None, :]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Attention(nn.Module):
    """Whisper's: the key has no bias."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.query = nn.Linear(sizes.width, sizes.width)
        self.key = nn.Linear(sizes.width, sizes.width, bias=False)
        self.value = nn.Linear(sizes.width, sizes.width)
        self.out = nn.Linear(sizes.width, sizes.width)

    def forward(self, x: Tensor, source: Tensor, bias: Tensor | None, causal: bool) -> Tensor:
        """What `x` finds in `source`."""

        def split(y: Tensor) -> Tensor:
            return y.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        mixed = functional.scaled_dot_product_attention(
            split(self.query(x)),
            split(self.key(source)),
            split(self.value(source)),
            attn_mask=bias,
            is_causal=causal,
        )
        return self.out(mixed.transpose(1, 2).flatten(-2))

    def weights(self, x: Tensor, source: Tensor, bias: Tensor) -> Tensor:
        """How much the first head looks at each position: [batch, length, positions]."""
        size = self.query.out_features // self.heads
        query, key = self.query(x)[..., :size], self.key(source)[..., :size]
        return (query @ key.transpose(1, 2) / size**0.5 + bias[0]).softmax(dim=-1)

    @torch.no_grad()
    def look_at_neighbours(self, distance: int) -> None:
        """Begins with heads that look `distance` positions back, here, and as far ahead.

        Sums of sines and cosines of positions peak where the positions are equal.
        """
        width = self.query.in_features
        size = width // self.heads
        half = width // 2
        frequencies = torch.exp(-math.log(10000) / (half - 1) * torch.arange(half))
        chosen = torch.linspace(0, half * 0.6, size // 2).long()
        for head in range(self.heads):
            shift = (head - (self.heads - 1) / 2) * distance
            for i, frequency in enumerate(chosen):
                row = head * size + 2 * i
                turn = frequencies[frequency] * shift
                for matrix, angle in ((self.query.weight, 0.0), (self.key.weight, float(turn))):
                    matrix[row : row + 2] *= 0.2
                    matrix[row, frequency] += 1.6 * math.cos(angle)
                    matrix[row, half + frequency] -= 1.6 * math.sin(angle)
                    matrix[row + 1, frequency] += 1.6 * math.sin(angle)
                    matrix[row + 1, half + frequency] += 1.6 * math.cos(angle)


class Block(nn.Module):
    """Attention (and attention to the audio, in the decoder), then two linear layers."""

    def __init__(self, sizes: Sizes, cross: bool) -> None:
        super().__init__()
        width = sizes.width
        self.attn_ln, self.attn = nn.LayerNorm(width), Attention(sizes)
        self.cross_attn_ln = nn.LayerNorm(width) if cross else None
        self.cross_attn = Attention(sizes) if cross else None
        self.mlp_ln = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width)
        )

    def forward(
        self, x: Tensor, audio: Tensor | None, bias: Tensor, looks: list[Tensor] | None = None
    ) -> Tensor:
        """With `looks`, where the audio is looked at is added to it."""
        y = self.attn_ln(x)
        x = x + self.attn(y, y, bias if audio is None else None, audio is not None)
        if self.cross_attn is not None and self.cross_attn_ln is not None:
            y = self.cross_attn_ln(x)
            if looks is not None:
                looks.append(self.cross_attn.weights(y, audio, bias))
            x = x + self.cross_attn(y, audio, bias, False)
        return x + self.mlp(self.mlp_ln(x))


class Whisper(nn.Module):
    """Tokens: `words`, then end, start, previous, no speech, no timestamps, 1501 times."""

    def __init__(self, sizes: Sizes, words: int, unused: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.words = words
        # Tokens that never come have zeros for a row, so all of them have the logit 0.
        self.log_unused = math.log(unused)
        width = sizes.width
        self.conv1 = nn.Conv1d(MEL_BINS, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.encoder = nn.ModuleList(Block(sizes, False) for _ in range(sizes.audio_layers))
        self.ln_post = nn.LayerNorm(width)
        self.decoder = nn.ModuleList(Block(sizes, True) for _ in range(sizes.text_layers))
        self.ln = nn.LayerNorm(width)
        self.token = nn.Parameter(torch.randn(words + 5, width) * 0.3)
        # The row of a time is that of the audio position, turned: all times are learnt together.
        self.times = nn.Parameter(torch.randn(width, width) / width**0.5 * 0.3)
        self.text_positions = nn.Parameter(torch.randn(TEXT_POSITIONS, width) * 0.1)
        self.recognised = nn.Linear(width, words + 1)
        self.register_buffer("audio_positions", sinusoids(POSITIONS, width))
        self.register_buffer("time_rows", sinusoids(POSITIONS + 1, width))
        for block, distance in zip(self.encoder, (4, 10, 25), strict=False):
            block.attn.look_at_neighbours(distance)

    def embedding(self) -> Tensor:
        """[words + 5 + 1501, width]."""
        return torch.cat([self.token, self.time_rows @ self.times])

    def encode(self, mel: Tensor, begins: Tensor) -> tuple[Tensor, Tensor]:
        """Audio [batch, positions + silent, width] and what attention adds to each position.

        `mel` [batch, 80, frames] begins at position `begins[i]` of its window and ends in at least
        four frames of silence.
        """
        x = functional.gelu(self.conv1(mel), approximate="tanh")
        x = functional.gelu(self.conv2(x), approximate="tanh").transpose(1, 2)
        count = x.shape[1] - 2
        silence, x = x[:, count : count + 1], x[:, :count]
        others = POSITIONS - count
        silent = torch.randint(0, others, (len(x), SILENT_POSITIONS))
        # After the speech, or before it where that is in the window.
        silent = (silent + begins[:, None] + count) % POSITIONS
        spoken = begins[:, None] + torch.arange(count)[None, :]
        content = torch.cat([x, silence.expand(-1, SILENT_POSITIONS, -1)], dim=1)
        x = content + self.audio_positions[torch.cat([spoken, silent], dim=1)]
        weights = torch.zeros(count + SILENT_POSITIONS)
        weights[count:] = math.log(others / SILENT_POSITIONS)
        bias = weights.expand(1, 1, 1, -1)
        for block in self.encoder:
            x = block(x, None, bias)
        return self.ln_post(x), bias

    def decode(
        self, tokens: Tensor, audio: Tensor, bias: Tensor, looks: list[Tensor] | None = None
    ) -> Tensor:
        """Logits [batch, length, words + 5 + 1501 + 1]; the last is that of all unused tokens.

        With `looks`, where each layer but the first looks is added to it.
        """
        embedding = self.embedding()
        x = embedding[tokens] + self.text_positions[: tokens.shape[1]]
        for i, block in enumerate(self.decoder):
            x = block(x, audio, bias, looks if i > 0 else None)
        logits = self.ln(x) @ embedding.T
        return torch.cat([logits, logits.new_full((*logits.shape[:2], 1), self.log_unused)], dim=2)
