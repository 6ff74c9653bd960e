"""The memory model: how much a language model takes on a device, whether that fits, and what would.

peak = weights + KV cache + workspace + runtime

weights    the files as they are mapped into memory
KV cache   layers * kv_heads * (key_dim + value_dim) * context * bytes of its type
           and those of the image encoder, for a model that sees
workspace  what one prefill call holds at once, in float32: per token the residual, its norm, query,
           keys and values, both halves of the gated MLP and its product (of each expert that a
           token takes, and that expert's output), and int8 copies of what goes into matrices; and
           the logits of one call; and what the image encoder holds while it computes. In compiled
           models also what attention leaves for each part of the context: of one new token, or of
           all that are decoded in a batch
runtime    code, threads and the vocabulary: a round figure above what `sphere-edge bench` measures,
           which prints this prediction and the runner's real peak

On a GPU with memory of its own, all but the runtime is there and must fit there, too. The whole
peak is still asked of the RAM: the CPU takes over where the GPU fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sphere_edge.bundle.manifest import Memory
from sphere_edge.console import human_bytes
from sphere_edge.errors import OutOfMemoryError, Status
from sphere_edge.profiles import DeviceProfile

KvDtype = Literal["float32", "float16"]

KV_BYTES: Mapping[KvDtype, int] = {"float32": 4, "float16": 2}
RUNTIME_BYTES = 32 * 2**20
# Text, score and both directions of the merges, per entry of the vocabulary.
VOCABULARY_ENTRY_BYTES = 256
PREFILL_TOKENS = 512
_SHORTEST_CONTEXT = 256


@dataclass(frozen=True)
class ModelSpec:
    """Sizes of a language model. `weights_bytes`: per weight format that it can be had in.

    `experts_per_token`: of a mixture of experts; `intermediate` is then that of one expert.
    `image_encoder_bytes`: weights of what sees images, and what it computes in.
    `is_compiled`: it runs by our own kernels, not by llama.cpp's.
    """

    name: str
    parameters: int
    weights_bytes: Mapping[str, int]
    layers: int
    query_heads: int
    kv_heads: int
    key_dim: int
    value_dim: int
    hidden: int
    intermediate: int
    vocab: int
    # The longest that the model was made for.
    context_tokens: int
    experts_per_token: int = 0
    image_encoder_bytes: int = 0
    image_workspace_bytes: int = 0
    is_compiled: bool = False

    @property
    def kv_features(self) -> int:
        """Numbers that the KV cache keeps per token."""
        return self.layers * self.kv_heads * (self.key_dim + self.value_dim)


# As in native/src/engines/engine.h.
MAX_SEQUENCES = 64
# Sequences of a compiled model whose next tokens share one reading of the weights; more of them
# take several.
DECODE_SEQUENCES = 8
# Keys in a part of the context, of the smallest parts that any kernel has: those for GPUs of no
# known family. All others have parts of 128, for which half of what is counted here is enough.
SPLIT_KEYS = 64


@dataclass(frozen=True)
class Choice:
    """What can be changed about a model to make it fit.

    `sequences`: conversations at once, each with a KV cache of its own.
    """

    quantization: str
    context_tokens: int
    kv_dtype: KvDtype
    sequences: int = 1

    def kv_bytes_per_token(self, spec: ModelSpec) -> int:
        """Of the KV caches of all sequences."""
        return spec.kv_features * KV_BYTES[self.kv_dtype] * self.sequences


@dataclass(frozen=True)
class Change:
    """One way to need less: the flags to package with, and the bytes that saves."""

    flags: str
    choice: Choice
    saves_bytes: int
    is_enough: bool


@dataclass(frozen=True)
class Fit:
    """A model on a device; `longest_context` is 0 when not even the weights fit.

    `gpu_room_bytes`: what it may take of the GPU's own memory; None: it takes none of that.
    """

    profile: DeviceProfile
    choice: Choice
    memory: Memory
    longest_context: int
    gpu_room_bytes: int | None = None

    @property
    def fits(self) -> bool:
        """Whether the peak is within what one app may use there, in RAM and on the GPU."""
        return self.lacks_bytes == 0

    @property
    def lacks_bytes(self) -> int:
        """By how much it is too large, where it lacks the most."""
        return max(0, -self.free_bytes)

    @property
    def free_bytes(self) -> int:
        """What is left there, in RAM or on the GPU, whichever is less; negative: what it lacks."""
        in_ram = self.profile.memory.usable_bytes - self.memory.peak_bytes
        room = self.gpu_room_bytes
        return in_ram if room is None else min(in_ram, room - self.memory.gpu_bytes)

    def leaves(self, share: float) -> bool:
        """Whether `share` of what one app may use there stays free, in RAM and on the GPU."""
        peak, usable = self.memory.peak_bytes, self.profile.memory.usable_bytes
        room = self.gpu_room_bytes
        in_gpu = room is None or self.memory.gpu_bytes <= (1 - share) * room
        return peak <= (1 - share) * usable and in_gpu

    @property
    def gpu_is_too_small(self) -> bool:
        """Whether it is the GPU's own memory that it does not fit."""
        return self._lacks_on_gpu() > 0

    def _lacks_on_gpu(self) -> int:
        return 0 if self.gpu_room_bytes is None else self.memory.gpu_bytes - self.gpu_room_bytes


def predict(spec: ModelSpec, choice: Choice, prefill_tokens: int = PREFILL_TOKENS) -> Memory:
    """The memory that `spec` takes with `choice`, in bytes."""
    weights = spec.weights_bytes[choice.quantization] + spec.image_encoder_bytes
    kv_cache = choice.context_tokens * choice.kv_bytes_per_token(spec)
    tokens = min(prefill_tokens, choice.context_tokens)
    query = spec.query_heads * spec.key_dim
    keys_values = spec.kv_heads * (spec.key_dim + spec.value_dim)
    intermediate = max(1, spec.experts_per_token) * spec.intermediate
    floats = 3 * spec.hidden + 2 * query + keys_values + 3 * intermediate
    floats += spec.experts_per_token * spec.hidden
    int8 = spec.hidden + intermediate
    workspace = tokens * (4 * floats + int8) + 4 * spec.vocab * choice.sequences
    workspace += spec.image_workspace_bytes + _splits_bytes(spec, choice)
    runtime = RUNTIME_BYTES + VOCABULARY_ENTRY_BYTES * spec.vocab
    return Memory(
        weights_bytes=weights,
        kv_cache_bytes=kv_cache,
        workspace_bytes=workspace,
        peak_bytes=weights + kv_cache + workspace + runtime,
    )


def _splits_bytes(spec: ModelSpec, choice: Choice) -> int:
    """What attention leaves for each part of the context, in float32.

    Per head the sums of the values, the largest score and the sum of exponentials. The memory of a
    batch is planned for the largest one.
    """
    if not spec.is_compiled:
        return 0
    tokens = 1 if choice.sequences == 1 else DECODE_SEQUENCES
    parts = -(-choice.context_tokens // SPLIT_KEYS)
    return 4 * tokens * parts * spec.query_heads * (spec.value_dim + 2)


def fit(spec: ModelSpec, choice: Choice, profile: DeviceProfile, backend: str = "cpu") -> Fit:
    """How `spec` with `choice` sits in the memory of `profile`, run on `backend`."""
    memory = predict(spec, choice)
    room = profile.gpu_room_bytes(backend)
    found = Fit(profile, choice, memory, longest_context=0, gpu_room_bytes=room)
    longest = _longest_context((spec,), choice, found.free_bytes + _context_bytes(spec, choice))
    return replace(found, longest_context=longest)


def _context_bytes(spec: ModelSpec, choice: Choice) -> int:
    """What grows with the context."""
    caches = choice.context_tokens * choice.kv_bytes_per_token(spec)
    return caches + _splits_bytes(spec, choice)


def _longest_context(specs: Sequence[ModelSpec], choice: Choice, context_bytes: int) -> int:
    """How many tokens models side by side have room for, at most as many as the first is for."""
    token = sum(choice.kv_bytes_per_token(spec) for spec in specs)
    part = sum(_splits_bytes(spec, replace(choice, context_tokens=SPLIT_KEYS)) for spec in specs)
    whole, rest = divmod(max(0, context_bytes), SPLIT_KEYS * token + part)
    return min(whole * SPLIT_KEYS + max(0, rest - part) // token, specs[0].context_tokens)


def with_draft(one: Fit, spec: ModelSpec, draft: ModelSpec) -> Fit:
    """`one`, which is of `spec`, with a model beside it that drafts: both have the same context.

    The draft's weights are as they are in a GGUF, or as `spec` has them; the runtime is there once.
    """
    format = one.choice.quantization
    if format not in draft.weights_bytes:
        format = next(iter(draft.weights_bytes))
    context = min(one.choice.context_tokens, draft.context_tokens)
    choice = replace(one.choice, quantization=format, context_tokens=context)
    beside = predict(draft, choice)
    sizes = {name: size + getattr(beside, name) for name, size in one.memory.model_dump().items()}
    sizes["peak_bytes"] -= RUNTIME_BYTES
    found = replace(one, memory=Memory(**sizes))
    context_bytes = _context_bytes(spec, one.choice) + _context_bytes(draft, choice)
    longest = _longest_context((spec, draft), one.choice, found.free_bytes + context_bytes)
    return replace(found, longest_context=longest)


def check(spec: ModelSpec, choice: Choice, profile: DeviceProfile, backend: str = "cpu") -> Memory:
    """`predict`, or OutOfMemoryError naming the cheapest changes when that is too much.

    Its code is OOM_VRAM where `backend`'s GPU has memory of its own and that is too small.
    """
    found = fit(spec, choice, profile, backend)
    if not found.fits:
        hint = _hint(spec, choice, profile, backend)
        if found.gpu_is_too_small:
            message = (
                f"`{spec.name}` needs {human_bytes(found.memory.gpu_bytes)} on the GPU, "
                f"`{profile.name}` has {human_bytes(found.gpu_room_bytes or 0)} of its own for it"
            )
            raise OutOfMemoryError(message, hint=hint, code=Status.OOM_VRAM)
        raise too_much(spec.name, found.memory.peak_bytes, profile, hint)
    return found.memory


def too_much(model: str, peak_bytes: int, profile: DeviceProfile, hint: str) -> OutOfMemoryError:
    """The error for a `model` that does not fit what an app may use on `profile`."""
    message = (
        f"`{model}` needs {human_bytes(peak_bytes)} at its peak, "
        f"an app on `{profile.name}` may use {human_bytes(profile.memory.usable_bytes)}"
    )
    return OutOfMemoryError(message, hint=hint)


def changes(
    spec: ModelSpec, choice: Choice, profile: DeviceProfile, backend: str = "cpu"
) -> list[Change]:
    """The three cheapest changes, those that are enough by themselves first.

    Cheapest: each kind of change goes only as far as needed, and the kinds are in the order of what
    they cost in quality: smaller numbers in the KV cache, a shorter context, fewer bits.
    """
    before = predict(spec, choice).peak_bytes
    found = []
    for steps in _ways(spec, choice):
        tried = [(flags, fit(spec, to, profile, backend)) for flags, to in steps]
        if not tried:
            continue
        flags, then = next((step for step in tried if step[1].fits), tried[-1])
        saves = before - then.memory.peak_bytes
        found.append(Change(flags, then.choice, saves, then.fits))
    return sorted(found, key=lambda change: not change.is_enough)


def _ways(spec: ModelSpec, choice: Choice) -> Iterator[list[tuple[str, Choice]]]:
    """Per kind of change its steps, the smallest first."""
    if choice.kv_dtype == "float32":
        yield [("--kv f16", replace(choice, kv_dtype="float16"))]
    contexts = []
    context = 1 << (choice.context_tokens - 1).bit_length()
    while (context := context // 2) >= _SHORTEST_CONTEXT:
        contexts.append((f"--context {context}", replace(choice, context_tokens=context)))
    yield contexts
    smaller = [
        (size, name)
        for name, size in spec.weights_bytes.items()
        if size < spec.weights_bytes[choice.quantization]
    ]
    yield [
        (f"--quant {name}", replace(choice, quantization=name))
        for _, name in sorted(smaller, reverse=True)
    ]


def _hint(spec: ModelSpec, choice: Choice, profile: DeviceProfile, backend: str) -> str:
    offers = changes(spec, choice, profile, backend)
    if not offers:
        return "use a smaller model"
    hint = "; ".join(
        f"`{offer.flags}` saves {human_bytes(offer.saves_bytes)}"
        + (" and fits" if offer.is_enough else "")
        for offer in offers
    )
    if any(offer.is_enough for offer in offers):
        return hint
    together = choice
    for offer in offers:
        together = Choice(
            offer.choice.quantization
            if offer.choice.quantization != choice.quantization
            else together.quantization,
            min(together.context_tokens, offer.choice.context_tokens),
            "float16" if "float16" in (together.kv_dtype, offer.choice.kv_dtype) else "float32",
            choice.sequences,
        )
    least = fit(spec, together, profile, backend)
    if len(offers) > 1 and least.fits:
        return f"{hint}; all of them together fit"
    peak = human_bytes(least.memory.peak_bytes)
    return f"{hint}; even together they need {peak}: use a smaller model"
