"""The layers that families are made of: parameters, where they come from, the target's kernels.

Each layer names the checkpoint tensors behind its parameters, so that one object serves to trace
the graph and to convert the weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm.relax.frontend import nn
from tvm.relax.frontend.nn import Tensor, op

from sphere_edge.models.kernels import Attention, Experts, Frequencies, Kernels, Matrix
from sphere_edge.models.rope import Rotation
from sphere_edge.models.weight_mapping import SourceTensor, WeightMapping
from sphere_edge.quantization.weights import WeightFormat

# The second set of frequencies, for texts beyond the length at which it applies.
BEYOND = "beyond"
# The decoder is below this name in checkpoints; the head is not.
_ROOT, _HEAD = "model.", "lm_head"


@dataclass(frozen=True)
class Numerics:
    """What layers compute with: the target's kernels, and the format of the matrices.

    `kernels` None: the layers are only asked for their parameters. `kept`: `fmt` is not the
    model's, and stays what it is.
    """

    kernels: Any
    fmt: WeightFormat
    kept: bool = False


class Linear(nn.Module):  # type: ignore[misc]
    """A matrix multiplication whose rows may be stacked from several checkpoint tensors.

    `parts` maps the checkpoint's names at this layer (`q_proj`) to their number of rows.
    """

    def __init__(
        self, numerics: Numerics, columns: int, parts: dict[str, int], *, bias: bool = False
    ) -> None:
        self.kernels, self.fmt, self.kept = numerics.kernels, numerics.fmt, numerics.kept
        self.columns, self.parts = columns, parts
        self.rows = sum(parts.values())
        self.weight = Packed(self.fmt, self.rows, columns)
        self.bias = nn.Parameter((self.rows,), "float32") if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """[n, columns] → [n, rows]."""
        return self.kernels.linear(x, self.weight.matrix(self.bias))

    def weight_mappings(self, path: str) -> Iterator[WeightMapping]:
        """The sources of weight and bias."""
        weight = _sources(path, self.parts, "weight")
        yield WeightMapping(self.weight.names(path), weight, self.columns, self.fmt, kept=self.kept)
        if self.bias is not None:
            yield WeightMapping((f"{path}.bias",), _sources(path, self.parts, "bias"))


class ExpertLinear(nn.Module):  # type: ignore[misc]
    """The matrices of all experts, one after the other, each stacked from `parts` as Linear's."""

    def __init__(
        self, numerics: Numerics, shape: Experts, parts: dict[str, int], *, bias: bool
    ) -> None:
        self.kernels, self.fmt, self.kept = numerics.kernels, numerics.fmt, numerics.kept
        self.shape, self.parts = shape, parts
        self.weight = Packed(self.fmt, shape.count * shape.rows, shape.columns)
        self.bias = nn.Parameter((shape.count * shape.rows,), "float32") if bias else None

    def forward(self, x: Tensor, expert_indices: Tensor) -> Tensor:
        """[n, columns] or [n top_k, columns], and the experts of each token → [n top_k, rows]."""
        matrix = self.weight.matrix(self.bias)
        return self.kernels.experts(x, expert_indices, matrix, self.shape)

    def weight_mappings(self, path: str) -> Iterator[WeightMapping]:
        """The sources of weights and biases."""
        names, sources = self.weight.names(path), self._sources(path, "weight")
        yield WeightMapping(names, sources, self.shape.columns, self.fmt, kept=self.kept)
        if self.bias is not None:
            yield WeightMapping((f"{path}.bias",), self._sources(path, "bias"))

    def _sources(self, path: str, leaf: str) -> tuple[SourceTensor, ...]:
        folder = path.rpartition(".")[0]
        own = (_sources(f"{folder}.{e}.x", self.parts, leaf) for e in range(self.shape.count))
        return tuple(source for sources in own for source in sources)


class Sinks(nn.Module):  # type: ignore[misc]
    """A learned score for each query head, which takes part in its softmax (Xiao et al. 2023)."""

    def __init__(self, heads: int) -> None:
        self.heads = heads
        self.weight = nn.Parameter((heads,), "float32")

    def weight_mappings(self, path: str) -> Iterator[WeightMapping]:
        """The source of the scores."""
        yield WeightMapping((f"{path}.weight",), (SourceTensor(f"{_ROOT}{path}", self.heads),))


class Embedding(nn.Module):  # type: ignore[misc]
    """The token embedding, which is also the head where a model ties the two.

    `head_bias`: a bias of that head, which is not tied to anything.
    """

    def __init__(
        self, numerics: Numerics, rows: int, columns: int, *, head_bias: bool = False
    ) -> None:
        self.kernels, self.fmt = numerics.kernels, numerics.fmt
        self.rows, self.columns = rows, columns
        self.weight = Packed(self.fmt, rows, columns)
        self.bias = nn.Parameter((rows,), "float32") if head_bias else None

    def forward(self, token_ids: Tensor) -> Tensor:
        """[n] → [n, columns]."""
        return self.kernels.take(token_ids, self.weight.matrix())

    def logits(self, x: Tensor) -> Tensor:
        """[n, columns] → [n, rows], with the embedding as the head."""
        return self.kernels.linear(x, self.weight.matrix(self.bias))

    def weight_mappings(self, path: str) -> Iterator[WeightMapping]:
        """The sources of the weight and of the head's bias."""
        sources = _sources(path, {path.rpartition(".")[2]: self.rows}, "weight")
        yield WeightMapping(self.weight.names(path), sources, self.columns, self.fmt)
        if self.bias is not None:
            yield WeightMapping((f"{path}.bias",), _sources(_HEAD, {_HEAD: self.rows}, "bias"))


class RmsNorm(nn.Module):  # type: ignore[misc]
    """RMSNorm; `offset` is added to the weight at conversion (1 in families that store w - 1)."""

    def __init__(
        self, kernels: Kernels, features: int, epsilon: float, offset: float = 0.0
    ) -> None:
        self.kernels, self.features, self.epsilon = kernels, features, epsilon
        self.offset = offset
        self.weight = nn.Parameter((features,), "float32")

    def forward(self, x: Tensor, residual: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The norm of x + residual, and that sum."""
        result: Any = self.kernels.rms_norm(x, self.weight, self.epsilon, residual)
        return (result, x) if residual is None else result

    def weight_mappings(self, path: str) -> Iterator[WeightMapping]:
        """The source of the weight."""
        sources = _sources(path, {path.rpartition(".")[2]: self.features}, "weight")
        yield WeightMapping((f"{path}.weight",), sources, offset=self.offset)


@dataclass(frozen=True)
class StoredNorm:
    """How the checkpoint stores a LayerNorm; `offset` as in RmsNorm.

    `name`: what the checkpoint calls it, where that is not the layer's own name. `bias`: whether
    the checkpoint has one; otherwise it is 0.
    """

    offset: float = 0.0
    name: str | None = None
    bias: bool = True


class LayerNorm(nn.Module):  # type: ignore[misc]
    """LayerNorm (Ba et al. 2016)."""

    def __init__(self, features: int, epsilon: float, stored: StoredNorm = StoredNorm()) -> None:
        self.features, self.epsilon = features, epsilon
        self.offset, self.name, self.has_bias = stored.offset, stored.name, stored.bias
        self.weight = nn.Parameter((features,), "float32")
        self.bias = nn.Parameter((features,), "float32")

    def forward(self, x: Tensor, residual: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The norm of x + residual, and that sum."""
        if residual is not None:
            x = op.add(x, residual)
        return op.layer_norm(x, self.features, self.weight, self.bias, self.epsilon), x

    def weight_mappings(self, path: str) -> Iterator[WeightMapping]:
        """The sources of weight and bias."""
        rows = {self.name or path.rpartition(".")[2]: self.features}
        yield WeightMapping((f"{path}.weight",), _sources(path, rows, "weight"), offset=self.offset)
        if self.has_bias:
            yield WeightMapping((f"{path}.bias",), _sources(path, rows, "bias"))
        else:
            yield WeightMapping((f"{path}.bias",), constant=np.zeros(self.features, np.float32))


class Rope(nn.Module):  # type: ignore[misc]
    """The rotation of positions; its frequencies are a parameter, so that bundles can be diffed."""

    def __init__(self, rotation: Rotation) -> None:
        self.rotation = rotation
        half = rotation.rotary_dim // 2
        self.inverse_frequencies = nn.Parameter((half,), "float32")
        self.beyond = None if rotation.beyond is None else nn.Parameter((half,), "float32")

    @property
    def frequencies(self) -> Frequencies:
        """What the kernels take."""
        return Frequencies(
            self.inverse_frequencies,
            self.rotation.magnitude,
            self.beyond,
            self.rotation.switch_tokens,
        )

    def weight_mappings(self, path: str) -> Iterator[WeightMapping]:
        """The frequencies, worked out from config.json."""
        name = f"{path}.inverse_frequencies"
        yield WeightMapping((name,), constant=self.rotation.inverse_frequencies)
        if self.rotation.beyond is not None:
            yield WeightMapping((f"{path}.{BEYOND}",), constant=self.rotation.beyond)


class Packed(nn.Module):  # type: ignore[misc]
    """The arrays of one packed matrix [rows, columns], as parameters."""

    def __init__(self, fmt: WeightFormat, rows: int, columns: int) -> None:
        self.fmt, self.rows, self.columns = fmt, rows, columns
        arrays = fmt.parameters(rows, columns)
        self.suffixes = tuple(arrays)
        for suffix, (shape, dtype) in arrays.items():
            setattr(self, suffix, nn.Parameter(shape, dtype))

    def matrix(self, bias: Tensor | None = None) -> Matrix:
        """What the kernels take."""
        arrays = [getattr(self, suffix) for suffix in self.suffixes]
        return Matrix(arrays, self.fmt, self.rows, self.columns, bias)

    def names(self, path: str) -> tuple[str, ...]:
        """The parameters' names for the layer at `path`."""
        return tuple(f"{path}.weight.{suffix}" for suffix in self.suffixes)


def matrices(model: nn.Module, path: str = "") -> Iterator[tuple[str, Linear | Embedding]]:
    """Every layer below `model` with a packed matrix, and its path, in order.

    Those that keep their own format and the experts of mixtures are not among them.
    """
    for below, child in _children(model, path):
        if isinstance(child, Embedding) or (isinstance(child, Linear) and not child.kept):
            yield below, child
        elif isinstance(child, nn.Module | nn.ModuleList):
            yield from matrices(child, below)


def store_as(matrix: Linear | Embedding, fmt: WeightFormat) -> None:
    """Gives one matrix another format than the model was made with; before it is traced."""
    matrix.fmt = fmt
    matrix.weight = Packed(fmt, matrix.rows, matrix.columns)


def normalize_heads(qkv: Tensor, q_norm: RmsNorm, k_norm: RmsNorm, spec: Attention) -> Tensor:
    """Stacked qkv [n, (heads + 2 kv_heads) head_dim] with each query and key head normalized."""
    heads, kv_heads, features = spec.query_heads, spec.kv_heads, spec.head_dim
    tokens = qkv.shape[0]

    def normalized(norm: RmsNorm, x: Tensor, heads: int) -> Tensor:
        rows, _ = norm(op.reshape(x, (tokens * heads, features)))
        return op.reshape(rows, (tokens, heads * features))

    q, k, v = op.split(qkv, [heads * features, (heads + kv_heads) * features], axis=-1)
    return op.concat([normalized(q_norm, q, heads), normalized(k_norm, k, kv_heads), v], dim=-1)


def normalize_rows(qkv: Tensor, q_norm: RmsNorm, k_norm: RmsNorm, spec: Attention) -> Tensor:
    """The same with all query heads normalized as one row, and all key heads as another."""
    heads, kv_heads, features = spec.query_heads, spec.kv_heads, spec.head_dim
    q, k, v = op.split(qkv, [heads * features, (heads + kv_heads) * features], axis=-1)
    return op.concat([q_norm(q)[0], k_norm(k)[0], v], dim=-1)


Owner = Linear | ExpertLinear | Embedding | RmsNorm | LayerNorm | Rope | Sinks


def weight_mappings(model: nn.Module, path: str = "") -> Iterator[WeightMapping]:
    """The mappings of all parameters below `model`, in the order of its attributes."""
    for below, child in _children(model, path):
        if isinstance(child, Owner):
            yield from child.weight_mappings(below)
        elif isinstance(child, nn.Module | nn.ModuleList):
            yield from weight_mappings(child, below)


def _children(model: nn.Module, path: str) -> Iterator[tuple[str, Any]]:
    children = enumerate(model) if isinstance(model, nn.ModuleList) else vars(model).items()
    for name, child in children:
        yield f"{path}.{name}" if path else str(name), child


def _sources(path: str, rows: dict[str, int], leaf: str) -> tuple[SourceTensor, ...]:
    """The checkpoint tensors of the layer at `path`."""
    folder = path.rpartition(".")[0]
    root = "" if path.startswith(_HEAD) else _ROOT
    prefix = f"{root}{folder}." if folder else root
    return tuple(SourceTensor(f"{prefix}{name}.{leaf}", count) for name, count in rows.items())
