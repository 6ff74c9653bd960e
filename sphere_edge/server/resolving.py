"""What the words after `serve` mean: each one's file or bundle, name, task and memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sphere_edge.bundle.read import is_bundle, is_gguf, read_manifest
from sphere_edge.console import SILENT, Progress
from sphere_edge.engines import llama, whisper_fit
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.fit.memory import Choice, predict
from sphere_edge.formats import gguf
from sphere_edge.packaging.built_in_models import TINY_WHISPER, path_of
from sphere_edge.packaging.cached import bundle_of
from sphere_edge.server.bundled import of_bundle, row
from sphere_edge.server.models import Served
from sphere_edge.server.settings import Settings
from sphere_edge.toolchain import native, targets

# NAME=MODEL, the name being what clients ask for.
_NAMED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._:/-]{0,127})=(.+)$")
# What a .gguf file is opened with where nothing is said.
_GGUF_CONTEXT = 4096
# Of a folder's config.json, where its architecture is.
_CONFIG_BYTES = 64 * 1024


def resolve(words: Sequence[str], settings: Settings, progress: Progress = SILENT) -> list[Served]:
    """The models that `words` name; what is not a bundle yet is packaged for this machine.

    Raises InvalidArgumentError for a name that comes again, and what finding and packaging raise.
    """
    served: list[Served] = []
    for word in words:
        one = _resolve(word, settings, progress)
        if any(other.name == one.name for other in served):
            message = f"two models are named `{one.name}`"
            raise InvalidArgumentError(message, hint=f"give one another name: NAME={word}")
        served.append(one)
    for word in settings.draft_models:
        at, draft = _draft(word, served, settings, progress)
        memory_bytes = served[at].memory_bytes + draft.memory_bytes
        served[at] = replace(served[at], memory_bytes=memory_bytes, draft_model=draft.path)
    return served


def _draft(
    word: str, served: Sequence[Served], settings: Settings, progress: Progress
) -> tuple[int, Served]:
    """Which model `word` is to draft for, and the model that drafts."""
    texts = [at for at, one in enumerate(served) if one.task == "text"]
    named = None if Path(word).exists() else _NAMED.match(word)
    if named is not None:
        texts = [at for at in texts if served[at].name == named[1]]
    if len(texts) != 1:
        message = f"`{word}` is to draft, and it is not clear for which model"
        raise InvalidArgumentError(message, hint="name the served one: --draft-model NAME=MODEL")
    draft = _resolve(named[2] if named else word, settings, progress)
    if draft.task != "text":
        message = f"`{word}` is a model for {draft.task}, which cannot draft"
        raise InvalidArgumentError(message)
    if served[texts[0]].draft_model is not None:
        message = f"two models are to draft for `{served[texts[0]].name}`"
        raise InvalidArgumentError(message)
    return texts[0], draft


def named(word: str) -> tuple[str | None, Path]:
    """The name and the rest of `NAME=MODEL`, or no name and all of it."""
    found = None if Path(word).exists() else _NAMED.match(word)
    return (found[1], Path(found[2])) if found else (None, Path(word))


def _resolve(word: str, settings: Settings, progress: Progress) -> Served:
    name, path = named(word)
    reference = str(path) if name is not None else word
    if path.exists() or path_of(reference) is not None:
        found = path
    else:
        # A model on the hub; reading models is half a second of imports.
        from sphere_edge.packaging.finding import find

        found = find(reference, progress=progress).path
    if str(found) == TINY_WHISPER or found.suffix == ".bin":
        file = path_of(TINY_WHISPER) if str(found) == TINY_WHISPER else found
        assert file is not None  # it is built in
        sizes = whisper_fit.sizes(file)
        peak = max(sizes.memory(format).peak_bytes for format in sizes.weights_bytes)
        return row(name or found.stem, file, "audio", peak)
    if _may_be_text(path_of(str(found)) or found):
        # What parses tool calls, which compiled models alone do without. First: packaging loads the
        # runtime that is there, and a process keeps the one that it has loaded.
        native.build_for("llama", targets.host(), progress)
    bundle = bundle_of(found, progress)
    if is_bundle(bundle):
        return of_bundle(name, bundle, read_manifest(bundle), settings)
    if is_gguf(bundle):
        return _of_gguf(name, bundle, settings)
    message = f"`{reference}` is not a model that can be served"
    raise InvalidArgumentError(message, hint="give a bundle, a model folder or a .gguf file")


def _may_be_text(path: Path) -> bool:
    """Whether it is not known to be a model of speech or images before it is packaged."""
    config = path / "config.json"
    if not path.is_dir():
        return is_gguf(path) or is_bundle(path)
    if is_bundle(path):
        return read_manifest(path).task == "text"
    return config.is_file() and b"Whisper" not in config.read_bytes()[:_CONFIG_BYTES]


def _of_gguf(name: str | None, path: Path, settings: Settings) -> Served:
    file = gguf.read(path)
    spec = llama.model_spec(path.stem, file)
    context = settings.context_tokens or min(_GGUF_CONTEXT, spec.context_tokens)
    memory = predict(spec, Choice(file.quantization, context, "float16"))
    peak = memory.peak_bytes + memory.kv_cache_bytes * (settings.parallel - 1)
    return replace(row(name or path.stem, path, "text", peak), context_tokens=context)
