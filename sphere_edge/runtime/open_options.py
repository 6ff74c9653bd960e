"""OpenOptions: how a text model is opened, and the one function that puts it into the C struct."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from sphere_edge.runtime import arguments, binding


@dataclass(frozen=True)
class OpenOptions:
    """How a text model is opened; None: as the bundle or file has it.

    `threads` 0: as many as there are performance cores, of a .gguf fewer while other programs use
    them. `context_tokens` None or 0: what the bundle was made for; min(4096, the model's own) for a
    .gguf. `backend` (cpu, opencl, cuda, metal,
    vulkan) None: the bundle's first choice, or the next one where that does not work; `info` says
    which and why. `sequences`: conversations at once, each with the whole context and memory for
    it. `code_folder`: where the compiled code of a bundle lies instead of its own `lib/`, checked
    by size and hash. `draft_model`: a smaller bundle or .gguf file with the same tokenizer, for
    speculative decoding. `mmproj`: the file with which a .gguf sees images. `trusted_keys`: a file
    of public keys (docs/signing.md), one of which must have signed the bundle, and that of the
    draft model; every file is hashed then. A .gguf is refused with it.
    """

    threads: int = 0
    context_tokens: int | None = None
    backend: str | None = None
    sequences: int = 1
    code_folder: str | os.PathLike[str] | None = None
    draft_model: str | os.PathLike[str] | None = None
    mmproj: str | os.PathLike[str] | None = None
    trusted_keys: str | os.PathLike[str] | None = None


class OpenKeywords(TypedDict, total=False):
    """The fields of OpenOptions as keywords."""

    threads: int
    context_tokens: int | None
    backend: str | None
    sequences: int
    code_folder: str | os.PathLike[str] | None
    draft_model: str | os.PathLike[str] | None
    mmproj: str | os.PathLike[str] | None
    trusted_keys: str | os.PathLike[str] | None


def as_struct(options: OpenOptions) -> binding.OpenOptions:
    """The C struct. Raises InvalidArgumentError, naming the field."""

    def path(given: str | os.PathLike[str] | None) -> bytes | None:
        return None if given is None else arguments.model_path(Path(given))

    context = options.context_tokens or 0
    return binding.OpenOptions(
        size=ctypes.sizeof(binding.OpenOptions),
        threads=arguments.count("threads", options.threads, arguments.MAX_THREADS),
        context_tokens=arguments.count("context_tokens", context, arguments.INT32),
        backend=arguments.optional_string("backend", options.backend),
        sequences=arguments.count("sequences", options.sequences, arguments.INT32),
        code_folder=path(options.code_folder),
        draft_model=path(options.draft_model),
        mmproj=path(options.mmproj),
        trusted_keys=arguments.trusted_keys(options.trusted_keys),
    )
