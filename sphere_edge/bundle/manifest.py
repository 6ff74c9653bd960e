"""`bundle.json` as typed values: what a bundle holds, what it was made for and made from."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sphere_edge.profiles.backends import CompiledGpu, GgufBackend

SCHEMA_VERSION: Final = 1
# The same number as SE_RUNTIME_ABI in native/include/sphere_edge.h.
RUNTIME_ABI = 1

# Segments of plain characters, none beginning with a dot: no path can leave the bundle, hide in
# it or mean something else to another file system or shell.
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"
RelativePath = Annotated[str, Field(pattern=rf"^{_SEGMENT}(/{_SEGMENT}){{0,7}}$")]
Role = Literal[
    "weights", "model", "mmproj", "library", "tokenizer", "license", "reference", "voice-detector"
]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# The greatest numbers that the runtime reads.
Count = Annotated[int, Field(ge=0, lt=2**64)]
Positive = Annotated[int, Field(gt=0, lt=2**64)]
Positive32 = Annotated[int, Field(gt=0, lt=2**31)]
# Of a tensor, or tokens of one call.
Extent = Annotated[int, Field(gt=0, le=2**20)]
Pixels = Annotated[int, Field(gt=0, le=2**16)]
_LEAST = 1e-6


class Part(BaseModel):
    """Base of all manifest parts: immutable, and an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class File(Part):
    """One file of the bundle; `path` is relative, with `/`, and stays inside the bundle."""

    path: RelativePath
    bytes: Count
    sha256: Sha256
    role: Role


class Target(Part):
    """The bundle's machine code and the CPU features it needs (none for a portable GGUF)."""

    triple: str
    cpu_features: tuple[str, ...] = ()
    # Of a GGUF: ggml's own backend for GPUs.
    backend: GgufBackend = "cpu"
    # Of a GGUF on CUDA: what GPU the runtime's kernels are made for, as `sm_87`.
    gpu_architecture: Annotated[str, Field(pattern=r"^sm_[0-9]{2,3}$")] | None = None


class Sampling(Part):
    """Sampling defaults, from the model's generation_config.json where it has one."""

    temperature: Annotated[float, Field(ge=0, le=1e6)] = 0.8
    top_k: Annotated[int, Field(ge=0, lt=2**31)] = 40
    top_p: Annotated[float, Field(ge=_LEAST, le=1)] = 0.95
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.05
    repeat_penalty: Annotated[float, Field(ge=_LEAST, le=1e6)] = 1.0


class CacheLayer(Part):
    """One layer's KV cache: K [kv_heads, context, key_dim], V [kv_heads, context, value_dim]."""

    kv_heads: Extent
    key_dim: Extent
    value_dim: Extent


class Text(Part):
    """What TextManager needs to know of a language model."""

    vocab_size: Positive32
    context_tokens: Positive32
    kv_dtype: Literal["float32", "float16"]
    sampling: Sampling = Sampling()
    # Overrides the template inside tokenizer.gguf or model.gguf; None: the model's own.
    chat_template: str | None = None


class Audio(Part):
    """What a speech recognition model is; the runtime reads it from its file."""

    # Samples a second, mono.
    sample_rate: Literal[16000] = 16000
    mel_bins: Positive32
    vocab_size: Positive32
    # 1: English only; more: it also translates into English.
    languages: Positive32
    audio_layers: Positive32
    text_layers: Positive32
    width: Positive32


class GpuCode(Part):
    """Code for a GPU in addition to that for the CPU: the same functions, parameters and cache."""

    backend: CompiledGpu
    # The shared library; for iOS the folder of the object files that the app links in.
    library: RelativePath
    # What the kernels multiply in where the error allows it; sums are float32.
    arithmetic: Literal["float16", "float32"]


class Image(Part):
    """An image model's default sizes, in pixels, and sampling."""

    width: Pixels
    height: Pixels
    steps: Pixels
    # How closely the prompt is followed; 1: without a comparison to the negative prompt.
    cfg_scale: Annotated[float, Field(ge=0, le=100)]
    # The same for distilled models trained with it; 0: not used.
    guidance: Annotated[float, Field(ge=0, le=100)]
    # How far the schedule is shifted to noise; None: as the engine does it for the family.
    flow_shift: Annotated[float, Field(ge=_LEAST, le=100)] | None = None


class RopeSwitch(Part):
    """Another tensor takes the place of `parameter` for texts of more than `tokens` tokens."""

    tokens: Positive32
    parameter: str
    beyond: str


class Tvm(Part):
    """How the tvm engine calls `lib/model.so`; see docs/bundle.md, "The compiled module"."""

    # Names in the weights files, in the order in which the module's functions take them.
    parameters: Annotated[tuple[str, ...], Field(min_length=1)]
    cache: Annotated[tuple[CacheLayer, ...], Field(min_length=1)]
    # `prefill` takes 1..prefill_tokens tokens a call, `score` 1..score_tokens.
    prefill_tokens: Extent
    score_tokens: Extent
    # `decode_batch` takes one token each of 1..decode_sequences sequences; None: there is none.
    decode_sequences: Annotated[int, Field(ge=1, le=1 << 10)] | None = None
    # Numbers of a row of `embed`, which takes 1..prefill_tokens tokens; None: there is none.
    embedding_size: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    gpu: GpuCode | None = None
    rope_switch: RopeSwitch | None = None


class Memory(Part):
    """Predicted memory in bytes (sphere_edge.fit) at the bundle's context."""

    weights_bytes: Count
    kv_cache_bytes: Count
    workspace_bytes: Count
    peak_bytes: Count

    @property
    def gpu_bytes(self) -> int:
        """The part of the peak that is on the GPU when the model runs there."""
        return self.weights_bytes + self.kv_cache_bytes + self.workspace_bytes


class Quality(Part):
    """What the bundle loses against its reference, as `sphere-edge eval` measured it; in nats."""

    reference: str
    # How many predictions were compared, and on what.
    predictions: Positive
    text: str
    reference_perplexity: Annotated[float, Field(ge=_LEAST, le=1e30)]
    perplexity: Annotated[float, Field(ge=_LEAST, le=1e30)]
    kl_divergence: Annotated[float, Field(ge=0, le=1e30)]
    kl_divergence_p99: Annotated[float, Field(ge=0, le=1e30)]
    top1_agreement: Annotated[float, Field(ge=0, le=1)]


class Provenance(Part):
    """Where it came from. No clock and no machine: the same input gives the same bundle id."""

    source: str
    revision: str | None = None
    # Over the source's weights and config files, which distinguishes two local folders.
    source_sha256: Sha256
    tools: dict[str, str]


class ManifestDraft(Part):
    """An engine's part of a manifest; BundleWriter adds `files` and `id`."""

    schema_version: Literal[1] = SCHEMA_VERSION
    runtime_abi: Positive = RUNTIME_ABI
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,95}$")]
    task: Literal["text", "audio", "image"]
    engine: Literal["tvm", "llama", "whisper", "diffusion"]
    family: str
    quantization: str
    parameters: Positive
    profile: str
    target: Target
    text: Text | None = None
    tvm: Tvm | None = None
    audio: Audio | None = None
    image: Image | None = None
    memory: Memory
    quality: Quality | None = None
    provenance: Provenance

    @property
    def backends(self) -> tuple[str, ...]:
        """What it has code for, the first choice first; the CPU is always among them."""
        gpu = self.tvm.gpu if self.tvm is not None else None
        there = (self.target.backend, *((gpu.backend,) if gpu is not None else ()), "cpu")
        return tuple(dict.fromkeys(there))

    @property
    def ggml_gpu(self) -> str | None:
        """The backend of ggml that a runtime for this bundle should have, if it is a GGUF's.

        As `vulkan`, or as `cuda:sm_87` where the runtime's code is for one kind of GPU.
        """
        if self.engine != "llama" or self.target.backend == "cpu":
            return None
        of = self.target.gpu_architecture
        return self.target.backend if of is None else f"{self.target.backend}:{of}"


# Parts that came after the first bundles: a manifest that has none of one does not name it, so that
# what was a bundle's id stays its id.
LATER_PARTS = frozenset({"audio", "image", "quality"})
LATER_TARGET = frozenset({"gpu_architecture"})
LATER_TVM = frozenset({"decode_sequences", "embedding_size", "gpu", "rope_switch"})
LATER_IMAGE = frozenset({"flow_shift"})


class Manifest(ManifestDraft):
    """All of `bundle.json`; `id` is `bundle_id` of everything else."""

    id: Sha256
    files: tuple[File, ...]

    @model_validator(mode="after")
    def _each_path_is_there_once(self) -> Manifest:
        seen: set[str] = {"bundle.json", "bundle.sig.json"}
        for file in self.files:
            # Phones' shared storage and macOS ignore case.
            path = file.path.lower()
            if path in seen:
                message = f"duplicate path `{file.path}`"
                raise ValueError(message)
            seen.add(path)
        return self

    @model_validator(mode="after")
    def _has_the_part_of_its_task_and_engine(self) -> Manifest:
        for needed, part in (
            (self.task == "text", "text"),
            (self.engine == "tvm", "tvm"),
            (self.task == "image", "image"),
        ):
            if needed and getattr(self, part) is None:
                message = f"no `{part}`"
                raise ValueError(message)
        return self

    @property
    def total_bytes(self) -> int:
        """Size of all files, without bundle.json itself."""
        return sum(file.bytes for file in self.files)


def document_of(manifest: ManifestDraft) -> dict[str, Any]:
    """`manifest` as the JSON object that is hashed and written."""
    absent: dict[str, Any] = {name: True for name in LATER_PARTS if getattr(manifest, name) is None}
    absent["target"] = {name for name in LATER_TARGET if getattr(manifest.target, name) is None}
    if manifest.tvm is not None:
        absent["tvm"] = {name for name in LATER_TVM if getattr(manifest.tvm, name) is None}
    if manifest.image is not None:
        absent["image"] = {name for name in LATER_IMAGE if getattr(manifest.image, name) is None}
    return manifest.model_dump(mode="json", exclude=absent)


def bundle_id(document: dict[str, Any]) -> str:
    """The sha256 of the canonical JSON of `document` without its `id`.

    Canonical: keys sorted, no white space, UTF-8, numbers as Python's json writes them. Taken over
    the document as read, not over typed values, so that a field added later changes no old id.
    """
    rest = {key: value for key, value in document.items() if key != "id"}
    text = json.dumps(
        rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


def render(document: dict[str, Any]) -> bytes:
    """`bundle.json` as it is written: readable, and one form only for one document."""
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"
