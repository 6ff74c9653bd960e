"""Compares a model with what it was made from: opens both, reads a text, compares predictions."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import packaging, profiles, resources
from sphere_edge.bundle.manifest import Manifest
from sphere_edge.bundle.read import is_bundle, is_gguf, read_manifest, runnable
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.console import SILENT, Progress
from sphere_edge.engines.options import PackageOptions
from sphere_edge.errors import FormatMismatchError, InvalidArgumentError, NotFoundError
from sphere_edge.evaluation import windows
from sphere_edge.evaluation.comparison import Comparison, compare, same_tokens
from sphere_edge.evaluation.predictor import Subject
from sphere_edge.evaluation.windows import Chat, Message
from sphere_edge.formats.source import ModelSource, source_sha256
from sphere_edge.formats.wanted import Wanted

_TEXT_LIMIT_BYTES = 64 * 2**20


@dataclass(frozen=True)
class EvaluationRequest:
    """What to compare with what, on which text.

    `model`: a bundle or a .gguf. `against`: its reference, a source or a bundle; None: what the
    bundle was made from. `text`: a file, chats if it ends in .jsonl; None: the built-in one.
    `window`: how many tokens are read at once; None: 512. `threads` 0: the runtime's usual.
    """

    model: Path
    against: str | None = None
    text: Path | None = None
    window: int | None = None
    threads: int = 0


@dataclass(frozen=True)
class Evaluation:
    """A comparison, and on what: a file's name, `built-in text` or `own chats`."""

    comparison: Comparison
    text: str


def evaluate(request: EvaluationRequest, progress: Progress = SILENT) -> Evaluation:
    """Opens both models, packaging a float32 reference if need be, and compares them.

    Raises what packaging and opening raise, and what `compare` and the text's checks raise.
    """
    model, text = request.model, request.text
    content = resources.evaluation_text() if text is None else _read(text)
    chats = None
    if text is not None and text.suffix == ".jsonl":
        chats = windows.parse_chats(content)
    elif text is None and is_bundle(model) and _is_tiny(read_manifest(model)):
        # It knows nothing but what it can talk of.
        chats = _tiny_chats()
    candidate = runnable(model, profiles.host(), progress)
    with (
        tempfile.TemporaryDirectory(prefix="sphere-edge-eval-") as folder,
        _opened(_reference(request, Path(folder), progress), request.threads) as reference,
        _opened(candidate, request.threads, name=model.name) as tried,
    ):
        largest = windows.largest_window(reference, tried)
        ids = same_tokens(reference, tried, content)
        read = (
            windows.of_text(ids, request.window, largest)
            if chats is None
            else windows.of_chats(reference, chats, largest)
        )
        compared = compare(reference, tried, read, progress=progress)
    name = text.name if text is not None else "built-in text" if chats is None else "own chats"
    return Evaluation(compared, name)


def _tiny_chats() -> list[Chat]:
    """Every fourth of the built-in model's held-out questions, with the right answer."""
    held_out = json.loads((resources.tiny_model() / "held_out.json").read_text(encoding="utf-8"))
    return [
        Chat(
            messages=(
                Message(role="user", content=one["question"]),
                Message(role="assistant", content=one["accepted"][0]),
            )
        )
        for one in held_out[::4]
    ]


def _is_tiny(manifest: Manifest) -> bool:
    return manifest.provenance.source_sha256 == source_sha256(packaging.built_in(packaging.TINY))


def _read(text: Path) -> str:
    if not text.is_file():
        message = f"there is no text at `{text}`"
        raise NotFoundError(message, hint="--text takes a file of plain UTF-8 text")
    content = text.read_bytes()[: _TEXT_LIMIT_BYTES + 1]
    if len(content) > _TEXT_LIMIT_BYTES:
        message = f"`{text}` is longer than 64 MiB"
        raise InvalidArgumentError(message, hint="a few thousand words say as much")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"`{text}` is not UTF-8 text"
        raise InvalidArgumentError(message, hint="convert it, for example with iconv") from error


@contextmanager
def _opened(path: Path, threads: int, name: str | None = None) -> Iterator[Subject]:
    from sphere_edge.runtime.text import TextManager

    with TextManager.open(path, threads=threads) as text:
        info = text.info
        yield Subject(name or info.name, text, info.vocab_size, info.context_tokens)


def _reference(request: EvaluationRequest, scratch: Path, progress: Progress) -> Path:
    """What the runtime opens as the reference: a bundle, a .gguf, or a float32 build in `scratch`.

    Kept there no longer than the comparison: float32 is eight times the size of 4 bits.
    """
    model, against = request.model, request.against
    if against is not None and (is_bundle(Path(against)) or is_gguf(Path(against))):
        return runnable(Path(against), profiles.host(), progress)
    manifest = read_manifest(model) if is_bundle(model) else None
    source = packaging.find(against) if against is not None else _source_of(manifest)
    if source.kind == "gguf":
        return source.path
    if source.kind != "safetensors":
        message = f"`{source.reference}` is not a language model"
        raise FormatMismatchError(message, hint="only text bundles can be evaluated for now")
    if manifest is not None and manifest.provenance.source_sha256 != source_sha256(source):
        progress.warn(f"`{model}` was not made from `{source.reference}` as it is now")
    options = PackageOptions(
        quantization="f32",
        context_tokens=manifest.text.context_tokens if manifest and manifest.text else None,
        # The comparison itself shows whether the tokens are the same.
        allow_tokenizer_mismatch=True,
    )
    output = scratch / f"{source.name}.f32"
    source = dataclasses.replace(source, name=f"{source.name}-f32")
    writer = BundleWriter(output, progress=progress)
    packaging.package(source, profiles.host(), options, writer)
    return output


def _source_of(manifest: Manifest | None) -> ModelSource:
    """The source that the bundle names, where it can be found again."""
    if manifest is not None:
        made_from = manifest.provenance
        if made_from.revision is not None:
            return packaging.find(made_from.source, Wanted(revision=made_from.revision))
        if _is_tiny(manifest):
            return packaging.built_in(packaging.TINY)
    message = "what to compare with is not known: the source was a local path"
    hint = "name it: --against FOLDER, FILE.gguf or another BUNDLE"
    raise InvalidArgumentError(message, hint=hint)
