"""The built-in image model in torch: ERNIE-Image's diffusion transformer and a VAE's decoder.

Computes what stable-diffusion.cpp does with tensors of these names (its src/ernie_image.hpp,
src/llm.hpp and src/auto_encoder_kl.hpp). Of the decoder only the blocks that learn are here; the
others are written as zeros, with which they pass on what they get.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 128
HEAD = 128
FEED_FORWARD = 384
LAYERS = 6
TEXT_WIDTH = 32
LATENT = 32
PACKED = 4 * LATENT
DECODER_WIDTH = 32
_AXES = (32, 48, 48)
_THETA = 256.0


def rotation(side: int, text_tokens: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines [tokens, HEAD]: of `side` x `side` image tokens, then of the words."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    start = torch.full((side * side,), text_tokens)
    image = torch.stack([start, rows.reshape(-1), columns.reshape(-1)], dim=1)
    words = torch.zeros(text_tokens, 3, dtype=torch.long)
    words[:, 0] = torch.arange(text_tokens)
    positions = torch.cat([image, words]).float()
    angles = torch.cat(
        [
            positions[:, axis, None] * _THETA ** -(torch.arange(0, size, 2) / size)
            for axis, size in enumerate(_AXES)
        ],
        dim=1,
    ).repeat_interleave(2, dim=1)
    return angles.cos(), angles.sin()


class Norm(nn.Module):
    """Root mean square normalisation."""

    def __init__(self, width: int, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Of the last axis."""
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon) * self.weight


class Attention(nn.Module):
    """Of all tokens on all; positions turn the two halves of each head against each other."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("to_q", "to_k", "to_v"):
            setattr(self, name, nn.Linear(WIDTH, WIDTH, bias=False))
        self.to_out = nn.ModuleList([nn.Linear(WIDTH, WIDTH, bias=False)])
        self.norm_q, self.norm_k = Norm(HEAD), Norm(HEAD)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """[batch, tokens, WIDTH] to the same."""

        def heads(y: Tensor) -> Tensor:
            return y.unflatten(-1, (WIDTH // HEAD, HEAD)).transpose(1, 2)

        def turned(y: Tensor) -> Tensor:
            first, second = y.chunk(2, dim=-1)
            return y * turn[0] + torch.cat([-second, first], dim=-1) * turn[1]

        query = turned(self.norm_q(heads(self.to_q(x))))
        key = turned(self.norm_k(heads(self.to_k(x))))
        mixed = functional.scaled_dot_product_attention(query, key, heads(self.to_v(x)))
        out: Tensor = self.to_out[0](mixed.transpose(1, 2).flatten(2))
        return out


class FeedForward(nn.Module):
    """Gated by GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(WIDTH, FEED_FORWARD, bias=False)
        self.up_proj = nn.Linear(WIDTH, FEED_FORWARD, bias=False)
        self.linear_fc2 = nn.Linear(FEED_FORWARD, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[…, WIDTH] to the same."""
        gate = functional.gelu(self.gate_proj(x), approximate="tanh")
        out: Tensor = self.linear_fc2(self.up_proj(x) * gate)
        return out


class Layer(nn.Module):
    """Attention and feed-forward, both shifted, scaled and gated by the time."""

    def __init__(self) -> None:
        super().__init__()
        self.adaLN_sa_ln, self.adaLN_mlp_ln = Norm(WIDTH), Norm(WIDTH)
        self.self_attention, self.mlp = Attention(), FeedForward()

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], time: list[Tensor]) -> Tensor:
        """`time`: shift, scale and gate of both halves."""
        seen = self.adaLN_sa_ln(x) * (1 + time[1]) + time[0]
        x = x + self.self_attention(seen, turn) * time[2]
        seen = self.adaLN_mlp_ln(x) * (1 + time[4]) + time[3]
        return x + self.mlp(seen) * time[5]


class TimeEmbedding(nn.Module):
    """Of the noise's share, times 1000."""

    def __init__(self) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, time: Tensor) -> Tensor:
        """[batch] to [batch, WIDTH]."""
        half = WIDTH // 2
        angles = time[:, None] * 10000 ** -(torch.arange(half) / half)
        waves = torch.cat([angles.sin(), angles.cos()], dim=1)
        out: Tensor = self.linear_2(functional.silu(self.linear_1(waves)))
        return out


class Ending(nn.Module):
    """The last normalisation, scaled and shifted by the time."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, 2 * WIDTH)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """[batch, tokens, WIDTH] to the same."""
        scale, shift = self.linear(time)[:, None].chunk(2, dim=-1)
        return functional.layer_norm(x, (WIDTH,), eps=1e-6) * (1 + scale) + shift


class Embedder(nn.Module):
    """A convolution of one pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv2d(PACKED, WIDTH, 1)


class DiffusionModel(nn.Module):
    """The diffusion model: what direction leads from a noisy latent away from the image."""

    def __init__(self) -> None:
        super().__init__()
        self.x_embedder = Embedder()
        self.text_proj = nn.Linear(TEXT_WIDTH, WIDTH, bias=False)
        self.time_embedding = TimeEmbedding()
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(WIDTH, 6 * WIDTH))
        self.layers = nn.ModuleList([Layer() for _ in range(LAYERS)])
        self.final_norm = Ending()
        self.final_linear = nn.Linear(WIDTH, PACKED)
        for block in (self.adaLN_modulation[1], self.final_linear):
            nn.init.zeros_(block.weight)
            nn.init.zeros_(block.bias)

    def forward(self, latent: Tensor, share: Tensor, words: Tensor) -> Tensor:
        """Latents [batch, PACKED, side, side], the noise's share [batch], words [batch, n, 32]."""
        side = latent.shape[-1]
        image = self.x_embedder.proj(latent).flatten(2).transpose(1, 2)
        x = torch.cat([image, self.text_proj(words)], dim=1)
        turn = rotation(side, words.shape[1])
        time = self.time_embedding(1000 * share)
        changes = list(self.adaLN_modulation(time)[:, None].chunk(6, dim=-1))
        for layer in self.layers:
            x = layer(x, turn, changes)
        x = self.final_linear(self.final_norm(x, time))[:, : side * side]
        return x.transpose(1, 2).unflatten(2, (side, side))


class Residual(nn.Module):
    """Two convolutions beside a short cut."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(32, inputs, eps=1e-6)
        self.conv1 = nn.Conv2d(inputs, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(32, channels, eps=1e-6)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(inputs, channels, 1) if inputs != channels else None

    def forward(self, x: Tensor) -> Tensor:
        """[batch, inputs, height, width] to as many `channels`."""
        inner = self.conv1(functional.silu(self.norm1(x)))
        inner = self.conv2(functional.silu(self.norm2(inner)))
        return inner + (x if self.nin_shortcut is None else self.nin_shortcut(x))


class Upsample(nn.Module):
    """Twice the size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, channels, height, width] to twice both."""
        out: Tensor = self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out


class Stage(nn.Module):
    """One size of the image; of three blocks the first learns."""

    def __init__(self, inputs: int, channels: int, is_last: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList([Residual(inputs, channels)])
        self.upsample = None if is_last else Upsample(channels)

    def forward(self, x: Tensor) -> Tensor:
        """The stage's output."""
        x = self.block[0](x)
        return x if self.upsample is None else self.upsample(x)


class Decoder(nn.Module):
    """Latents [batch, LATENT, side, side] to images from -1 to 1 of eight times that size."""

    def __init__(self) -> None:
        super().__init__()
        widths = [DECODER_WIDTH * multiple for multiple in (1, 2, 4, 4)]
        self.conv_in = nn.Conv2d(LATENT, widths[3], 3, padding=1)
        inputs = [widths[1], widths[2], widths[3], widths[3]]
        self.up = nn.ModuleList([Stage(inputs[i], widths[i], i == 0) for i in range(4)])
        self.norm_out = nn.GroupNorm(32, widths[0], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        """The images."""
        x = self.conv_in(latent)
        for stage in reversed(self.up):
            x = stage(x)
        out: Tensor = self.conv_out(functional.silu(self.norm_out(x)))
        return out
