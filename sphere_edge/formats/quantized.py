"""Checkpoints that are quantized already, GPTQ, AWQ and fp8, read as the numbers they stand for.

Layouts: GPTQ as AutoGPTQ and GPTQModel write it, AWQ as AutoAWQ's `gemm` version, fp8 as
DeepSeek's blocks (`weight_scale_inv`) and per-row or per-tensor scales (`weight_scale`).

GPTQ  X.qweight  i32 [in/8, out]      nibble k of row r: input 8r + k
      X.qzeros   i32 [groups, out/8]  nibble k of column c: output 8c + k, one less than the zero
      X.scales   f16 [groups, out]    weight = scale (q - zero)
      X.g_idx    i32 [in]             the group of each input; absent: input // group size
AWQ   X.qweight  i32 [in, out/8]      nibble k of column c: output 8c + (0, 2, 4, 6, 1, 3, 5, 7)[k]
      X.qzeros   i32 [groups, out/8]  the zeros in the same order
fp8   X.weight   f8 [out, in]         weight = f8 scale; scales per block, row or tensor
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.formats import tensor_names, text_part
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.experts import SeparateExperts, are_fused
from sphere_edge.formats.safetensors import Checkpoint, TensorEntry, named
from sphere_edge.formats.tensors import Tensors

_GROUP = 32
_AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
_PACKED = ("qweight", "qzeros", "scales", "g_idx")
_FP8_METHODS = ("fp8", "fbgemm_fp8", "compressed-tensors")
_FP8_SCALES = ("weight_scale_inv", "weight_scale")
# Written with fp8 weights for kernels that quantize activations too; ours do not.
_ACTIVATION_SCALES = ("input_scale", "input_scale_ub", "activation_scale")
_KNOWN = "gptq and awq with 4 bits, fp8, and mxfp4 of gpt-oss"
_ELSE = "use the checkpoint in bfloat16 or a GGUF of it"
# A matrix is unpacked once and then read in slices; two threads read two matrices at the most.
_KEPT = 3

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scheme:
    """How 4-bit weights are stored: `method` gptq or awq, `group` columns share a scale (-1: all).

    `zero_offset` is added to stored zeros.
    """

    method: str
    group: int
    zero_offset: int
    symmetric: bool
    act_order: bool


def opened(checkpoint: Checkpoint, config: ModelConfig) -> Tensors:
    """The text part of `checkpoint`, unpacked where `quantization_config` names a method.

    Raises UnsupportedError for methods and widths that are not known, ModelCorruptError for a
    config or tensors that contradict themselves.
    """
    if config.wrapper is not None:
        checkpoint = text_part.parts(checkpoint).text
    checkpoint = tensor_names.usual(checkpoint, config)
    settings = config.take("quantization_config", dict, None)
    # What compressed-tensors called it at first.
    settings = config.take("compression_config", dict, None) if settings is None else settings
    method = "" if settings is None else str(settings.get("quant_method", "unnamed"))[:40].lower()
    if method in ("", "mxfp4") and are_fused(checkpoint):
        return SeparateExperts(checkpoint)
    tool = _tool(checkpoint)
    if tool is not None and method in ("", "unnamed"):
        message = f"the checkpoint is quantized by {tool}, and config.json does not say how"
        raise UnsupportedError(message, hint=f"known: {_KNOWN}; {_ELSE}")
    if settings is None:
        return checkpoint
    if method in _FP8_METHODS and _has_fp8(checkpoint):
        return Scaled(checkpoint, _block(settings))
    if method not in ("gptq", "awq"):
        message = f"the checkpoint is already quantized in a way that is not known (`{method}`)"
        raise UnsupportedError(message, hint=f"known: {_KNOWN}; {_ELSE}")
    return Unpacked(checkpoint, _scheme(method, settings))


def check_format(tensors: Tensors, quantization: str) -> None:
    """UnsupportedError where packing in `quantization` would round the weights a second time."""
    if not isinstance(tensors, Unpacked) or quantization in ("f32", "f16"):
        return
    scheme = tensors.scheme
    if quantization not in ("q4", "q8"):
        message = (
            f"the checkpoint's weights are 4-bit numbers: {quantization} would round them again"
        )
        raise UnsupportedError(message, hint=f"--quant f16 keeps them as they are; or {_ELSE}")
    if scheme.act_order or scheme.group % _GROUP:
        what = "are sorted by activation" if scheme.act_order else f"have groups of {scheme.group}"
        message = f"the checkpoint's 4-bit weights {what}: {quantization} would round them again"
        raise UnsupportedError(message, hint=f"--quant f16 keeps them as they are; or {_ELSE}")
    if quantization == "q4" and not scheme.symmetric:
        message = "the checkpoint's 4-bit weights have zero points, which q4 does not support"
        raise UnsupportedError(message, hint="--quant q8 keeps every weight exactly")


class Unpacked:
    """GPTQ or AWQ weights: each `X.qweight` with its companions is a tensor `X.weight`."""

    def __init__(self, checkpoint: Checkpoint, scheme: Scheme) -> None:
        """Raises ModelCorruptError where shapes do not belong together."""
        self.scheme = scheme
        self._checkpoint = checkpoint
        self._groups: dict[str, int] = {}
        self._kept: OrderedDict[str, tuple[Floats, Floats | None]] = OrderedDict()
        self._lock = threading.Lock()
        tensors = {}
        for name, entry in checkpoint.tensors.items():
            folder, _, leaf = name.rpartition(".")
            if leaf == "qweight":
                tensors[f"{folder}.weight"] = self._described(folder, entry)
            elif leaf not in _PACKED:
                tensors[name] = entry
        self.tensors: Mapping[str, TensorEntry] = MappingProxyType(tensors)

    def entry(self, name: str) -> TensorEntry:
        """As Tensors.entry."""
        return named(self.tensors, name)

    def read(self, name: str, rows: slice | None = None) -> Floats:
        """As Tensors.read."""
        if not self._is_packed(name):
            return self._checkpoint.read(name, rows)
        return self._matrix(name)[0][rows or slice(None)]

    def read_stored(self, name: str, rows: slice | None = None) -> npt.NDArray[Any]:
        """As Tensors.read_stored."""
        if self._is_packed(name):
            return self.read(name, rows)
        return self._checkpoint.read_stored(name, rows)

    def scales(self, name: str, rows: slice | None = None) -> Floats | None:
        """As Tensors.scales: known where groups are whole multiples of 32 columns in order."""
        if not self._is_packed(name):
            return None
        scales = self._matrix(name)[1]
        return None if scales is None else scales[rows or slice(None)]

    def _is_packed(self, name: str) -> bool:
        return name.removesuffix(".weight") in self._groups

    def _described(self, folder: str, entry: TensorEntry) -> TensorEntry:
        """The matrix [out, in] that `folder`'s tensors stand for, their shapes checked."""
        stored = {leaf: self._checkpoint.tensors.get(f"{folder}.{leaf}") for leaf in _PACKED}
        awq = self.scheme.method == "awq"
        scales, zeros = stored["scales"], stored["qzeros"]
        if scales is None or zeros is None or len(entry.shape) != 2 or len(scales.shape) != 2:
            raise _corrupt(folder, "`qweight` needs `scales` and `qzeros`")
        groups, outputs = scales.shape
        inputs = entry.shape[0] * (1 if awq else 8)
        group = inputs if self.scheme.group == -1 else self.scheme.group
        expected = (inputs, outputs // 8) if awq else (inputs // 8, outputs)
        order = stored["g_idx"]
        if (
            entry.shape != expected
            or outputs % 8
            or groups != -(-inputs // group)
            or zeros.shape != (groups, outputs // 8)
            or (order is not None and order.shape != (inputs,))
            or any(one is not None and one.dtype != "i32" for one in (entry, zeros, order))
        ):
            raise _corrupt(folder, f"its shapes do not make groups of `{group}`")
        self._groups[folder] = group
        return replace(
            entry,
            name=f"{folder}.weight",
            dtype="f16",
            shape=(outputs, inputs),
            bytes=2 * outputs * inputs,
        )

    def _matrix(self, name: str) -> tuple[Floats, Floats | None]:
        """The numbers [out, in] and their scales, kept for the next slice."""
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        made = self._unpack(name.removesuffix(".weight"))
        with self._lock:
            self._kept[name] = made
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made

    def _unpack(self, folder: str) -> tuple[Floats, Floats | None]:
        read, scheme = self._checkpoint.read_stored, self.scheme
        group = self._groups[folder]
        scales = self._checkpoint.read(f"{folder}.scales")
        order = _AWQ_ORDER if scheme.method == "awq" else tuple(range(8))
        zeros = _nibbles(read(f"{folder}.qzeros"), order) + scheme.zero_offset
        stored = read(f"{folder}.qweight")
        # [in, out], whichever axis is packed.
        weight = _nibbles(stored, order) if scheme.method == "awq" else _nibbles(stored.T, order).T
        inputs = weight.shape[0]
        usual = np.arange(inputs) // group
        index = usual
        if f"{folder}.g_idx" in self._checkpoint.tensors:
            index = read(f"{folder}.g_idx").astype(np.int64)
            if index.min() < 0 or index.max() >= len(scales):
                raise _corrupt(folder, "`g_idx` names a group that is not there")
        values = np.ascontiguousarray(((weight - zeros[index]) * scales[index]).T, np.float32)
        if group % _GROUP or inputs % _GROUP or not np.array_equal(index, usual):
            return values, None
        return values, np.ascontiguousarray(np.repeat(scales, group // _GROUP, axis=0).T)


class Scaled:
    """fp8 weights times their scales."""

    def __init__(self, checkpoint: Checkpoint, block: tuple[int, int]) -> None:
        """`block`: rows and columns of scales by block.

        Raises ModelCorruptError for scales that do not fit their weight.
        """
        self._checkpoint, self._block = checkpoint, block
        self._scales: dict[str, str] = {}
        tensors = {}
        for name, entry in checkpoint.tensors.items():
            folder, _, leaf = name.rpartition(".")
            if leaf in _FP8_SCALES and f"{folder}.weight" in checkpoint.tensors:
                self._scales[f"{folder}.weight"] = name
            elif leaf not in _ACTIVATION_SCALES:
                tensors[name] = entry
        self.tensors: Mapping[str, TensorEntry] = MappingProxyType(tensors)
        for name, scale in self._scales.items():
            _shared(self.tensors[name].shape, checkpoint.tensors[scale].shape, block, name)

    def entry(self, name: str) -> TensorEntry:
        """As Tensors.entry."""
        return self._checkpoint.entry(name)

    def read(self, name: str, rows: slice | None = None) -> Floats:
        """As Tensors.read."""
        values = self._checkpoint.read(name, rows)
        if name not in self._scales:
            return values
        shape = self.tensors[name].shape
        scale = self._checkpoint.read(self._scales[name])
        block = _shared(shape, scale.shape, self._block, name)
        first, stop, _ = (rows or slice(None)).indices(shape[0])
        scale = scale.reshape(-(-shape[0] // block[0]), -1)
        per_row = scale[np.arange(first, stop) // block[0]]
        result: Floats = values * per_row[:, np.arange(shape[1]) // block[1]]
        return result

    def read_stored(self, name: str, rows: slice | None = None) -> npt.NDArray[Any]:
        """As Tensors.read_stored."""
        return self._checkpoint.read_stored(name, rows)

    def scales(self, name: str, rows: slice | None = None) -> Floats | None:
        """As Tensors.scales: fp8 numbers are not whole multiples of a scale."""
        return None


def _scheme(method: str, settings: dict[str, Any]) -> Scheme:
    bits, group = settings.get("bits", 4), settings.get("group_size", 128)
    version = str(settings.get("checkpoint_format" if method == "gptq" else "version") or "")[:40]
    known = ("", "gptq", "gptq_v2") if method == "gptq" else ("", "gemm")
    if bits != 4 or version.lower() not in known:
        message = f"the checkpoint is quantized as `{method}` `{version}` with `{bits}` bits"
        raise UnsupportedError(message, hint=f"known: {_KNOWN}; {_ELSE}")
    if not isinstance(group, int) or isinstance(group, bool) or not (group == -1 or group > 0):
        message = f"`group_size` in `quantization_config` is `{str(group)[:40]}`"
        raise ModelCorruptError(message)
    return Scheme(
        method=method,
        group=group,
        zero_offset=1 if method == "gptq" and version.lower() != "gptq_v2" else 0,
        symmetric=bool(settings.get("sym", True))
        if method == "gptq"
        else not settings.get("zero_point", True),
        act_order=method == "gptq" and bool(settings.get("desc_act", False)),
    )


def _nibbles(words: npt.NDArray[Any], order: tuple[int, ...]) -> npt.NDArray[np.int32]:
    """[rows, n] words as [rows, 8n] numbers 0..15; nibble k is number order[k] of its eight."""
    unsigned = np.ascontiguousarray(words).view(np.uint32)
    out = np.empty((*words.shape, 8), np.int32)
    for nibble, position in enumerate(order):
        out[..., position] = (unsigned >> np.uint32(4 * nibble)) & np.uint32(15)
    return out.reshape(words.shape[0], -1)


# Endings of tensors by which a tool's checkpoints are known; MLX's are uint32 weights with biases.
_TOOLS = {
    ".qweight": "GPTQ or AWQ",
    ".weight.absmax": "bitsandbytes",
    ".SCB": "bitsandbytes",
    ".W_q": "HQQ",
    ".weight_packed": "compressed-tensors",
}


def _tool(checkpoint: Checkpoint) -> str | None:
    """What has quantized these tensors, None where nothing has."""
    for name, entry in checkpoint.tensors.items():
        folder = name.removesuffix(".weight")
        if entry.dtype == "u32" and name != folder and f"{folder}.scales" in checkpoint.tensors:
            return "MLX"
        for ending, tool in _TOOLS.items():
            if name.endswith(ending):
                return tool
    return None


def _has_fp8(checkpoint: Checkpoint) -> bool:
    return any(entry.dtype.startswith("f8_e") for entry in checkpoint.tensors.values())


def _block(settings: dict[str, Any]) -> tuple[int, int]:
    """Rows and columns of a block, DeepSeek's where the config is silent."""
    value = settings.get("weight_block_size") or [128, 128]
    if (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(side, int) and side > 0 for side in value)
    ):
        return value[0], value[1]
    message = f"`weight_block_size` in `quantization_config` is `{str(value)[:40]}`"
    raise ModelCorruptError(message)


def _shared(
    shape: tuple[int, ...], scales: tuple[int, ...], block: tuple[int, int], name: str
) -> tuple[int, int]:
    """Rows and columns of the weight that share a scale."""
    if len(shape) == 2:
        if scales in ((), (1,), (1, 1)):
            return shape[0], shape[1]
        if scales in ((shape[0],), (shape[0], 1)):
            return 1, shape[1]
        if scales == (-(-shape[0] // block[0]), -(-shape[1] // block[1])):
            return block
    message = f"the scales of `{name}` are {scales}, which does not fit its shape {shape}"
    raise ModelCorruptError(message)


def _corrupt(folder: str, reason: str) -> ModelCorruptError:
    return ModelCorruptError(f"the quantized weight `{folder}`: {reason}")
