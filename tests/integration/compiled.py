"""A model folder compiled for this machine or its GPU, called through TVM's virtual machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tvm
import tvm_ffi
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tvm import relax

from sphere_edge.bundle.manifest import CacheLayer, RopeSwitch
from sphere_edge.bundle.read import Bundle
from sphere_edge.compiler import kernels
from sphere_edge.compiler.build import compile_module
from sphere_edge.compiler.target import Target
from sphere_edge.console import SILENT
from sphere_edge.engines import weights
from sphere_edge.engines.tvm import rope_switch
from sphere_edge.formats import quantized
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.safetensors import Checkpoint
from sphere_edge.models.graph import Limits, trace
from sphere_edge.models.layers import weight_mappings
from sphere_edge.models.registry import family

Logits = NDArray[np.float32]
Cached = list[NDArray[Any]]
LIMITS = Limits(context_tokens=512, prefill_tokens=64, score_tokens=32)


class Machine:
    """The functions of a compiled library with weights and one KV cache."""

    def __init__(
        self,
        library: Path,
        weights_folder: Path,
        parameters: Sequence[str],
        layers: Sequence[CacheLayer],
        limits: Limits,
        device: Any = None,
        switch: RopeSwitch | None = None,
    ) -> None:
        stored: dict[str, Any] = {}
        for path in weights_folder.glob("*.safetensors"):
            stored |= load_file(path)
        self._limits = limits
        self.stored = stored
        self._device = device or tvm.cpu()
        self._machine = relax.VirtualMachine(tvm.runtime.load_module(str(library)), self._device)
        self._parameters = [tvm.runtime.tensor(stored[name], self._device) for name in parameters]
        self._beyond = list(self._parameters)
        self._switch = switch
        if switch is not None:
            other = tvm.runtime.tensor(stored[switch.beyond], self._device)
            self._beyond[list(parameters).index(switch.parameter)] = other
        self._layers = layers
        self.forget(limits.context_tokens)

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> Machine:
        """The functions of a bundle."""
        text, made = bundle.manifest.text, bundle.manifest.tvm
        assert text is not None
        assert made is not None
        limits = Limits(text.context_tokens, made.prefill_tokens, made.score_tokens, text.kv_dtype)
        library = bundle.folder / "lib" / "model.so"
        return cls(
            library,
            bundle.folder / "weights",
            made.parameters,
            made.cache,
            limits,
            switch=made.rope_switch,
        )

    def forget(self, context: int) -> None:
        """A new cache, full of numbers that would show wherever they were read."""
        self._history: list[int] = []
        self._is_beyond = False
        shapes = [
            (layer.kv_heads, context, features)
            for layer in self._layers
            for features in (layer.key_dim, layer.value_dim)
        ]
        self._cache = [
            tvm.runtime.tensor(np.full(shape, 1e4, self._limits.kv_dtype), self._device)
            for shape in shapes
        ]

    def score(self, token_ids: list[int], position: int) -> Logits:
        """Logits of every token, in pieces of at most `score_tokens`."""
        size, switch = self._limits.score_tokens, self._switch
        cuts = set(range(0, len(token_ids), size)) | {len(token_ids)}
        if switch is not None and position < switch.tokens < position + len(token_ids):
            cuts.add(switch.tokens - position)
        pieces = [
            self._call("score", token_ids[start:stop], position + start)
            for start, stop in pairwise(sorted(cuts))
        ]
        return np.concatenate(pieces)

    def prefill(self, token_ids: list[int], position: int) -> Logits:
        """Logits of the last token."""
        return self._call("prefill", token_ids, position)[0]

    def decode(self, token_id: int, position: int) -> Logits:
        """Logits of this token."""
        return self._call("decode", [token_id], position)[0]

    def embed(self, token_ids: list[int]) -> Logits:
        """The final hidden state of every token, in pieces of at most `prefill_tokens`."""
        size = self._limits.prefill_tokens
        starts = range(0, len(token_ids), size)
        rows = [self._call("embed", token_ids[start : start + size], start) for start in starts]
        return np.concatenate(rows)

    def cached(self, token_ids: list[int]) -> Cached:
        """Keys and values of a text, in a cache as long as this one."""
        self.forget(int(self._cache[0].shape[1]))
        self.score(token_ids, 0)
        return [part.numpy() for part in self._cache]

    def decode_batch(
        self, token_ids: list[int], positions: list[int], kept: list[Cached]
    ) -> Logits:
        """Logits of each token, in a sequence of its own that holds what is `kept` for it.

        Between these sequences there are others, full of numbers that would show.
        """
        whole = []
        for parts in zip(*kept, strict=True):
            rows = np.concatenate([each for one in parts for each in (np.full_like(one, 1e4), one)])
            whole.append(tvm.runtime.tensor(rows, self._device))
        where = [[position, 2 * i + 1] for i, position in enumerate(positions)]
        arguments = (np.array(token_ids, np.int32), np.array(where, np.int32))
        tensors = [tvm.runtime.tensor(array, self._device) for array in arguments]
        logits: Logits = self._machine["decode_batch"](*tensors, whole, self._parameters).numpy()
        return logits

    def _call(self, name: str, token_ids: list[int], position: int) -> Logits:
        if self._switch is not None:
            self._choose_rope(token_ids, position, self._switch.tokens)
        return self._compute(name, token_ids, position)

    def _choose_rope(self, token_ids: list[int], position: int, tokens: int) -> None:
        """As the runtime does it: another rotation means that everything is computed again."""
        self._history = self._history[:position] + token_ids
        is_beyond = len(self._history) > tokens
        if is_beyond != self._is_beyond:
            self._is_beyond = is_beyond
            size = self._limits.prefill_tokens
            for start in range(0, position, size):
                self._compute("prefill", self._history[start : min(position, start + size)], start)

    def _compute(self, name: str, token_ids: list[int], position: int) -> Logits:
        arguments = (np.array(token_ids, np.int32), np.array([position], np.int32))
        tensors = [tvm.runtime.tensor(array, self._device) for array in arguments]
        parameters = self._beyond if self._is_beyond else self._parameters
        result = self._machine[name](*tensors, self._cache, parameters)
        return result.numpy()


class Compiled(Machine):
    """A model folder, compiled and converted here.

    What differs in weights and frequencies only is compiled once: a library holds neither.
    """

    _libraries: ClassVar[dict[tuple[Any, ...], Path]] = {}

    def __init__(
        self,
        folder: Path,
        work: Path,
        fmt: str,
        target: Target,
        limits: Limits = LIMITS,
        device: Any = None,
    ) -> None:
        config = ModelConfig.read(folder)
        context = min(limits.context_tokens, config.take("max_position_embeddings", int))
        limits = replace(limits, context_tokens=context)
        made = family(config, context)
        model = made.build(kernels.for_target(target), target.weight_format(fmt))
        limits = replace(limits, decode_sequences=8)
        work.mkdir(parents=True)
        graph = trace(model, limits)
        key = (tvm_ffi.structural_hash(graph.module), graph.parameters, target)
        if key not in self._libraries:
            compile_module(graph.module, target, work / "model.so")
            self._libraries[key] = work / "model.so"
        library = self._libraries[key]
        checkpoint, needed = (
            quantized.opened(Checkpoint.open(folder), config),
            list(weight_mappings(model)),
        )
        assert weights.check(checkpoint, needed) == ()
        weights.convert(checkpoint, needed, work, SILENT)
        switch = rope_switch(model)
        super().__init__(library, work, graph.parameters, graph.cache, limits, device, switch)
