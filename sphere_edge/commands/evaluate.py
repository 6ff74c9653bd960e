"""`sphere-edge eval`: says what a bundle's quantization costs against its source."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sphere_edge import console, packaging, profiles, resources
from sphere_edge.bundle.amend import record_quality
from sphere_edge.bundle.manifest import Manifest
from sphere_edge.bundle.read import is_bundle, read_manifest, runnable
from sphere_edge.engines.options import PackageOptions
from sphere_edge.errors import (
    FormatMismatchError,
    InvalidArgumentError,
    NotFoundError,
)
from sphere_edge.evaluation import passages, report
from sphere_edge.evaluation.comparison import compare, same_tokens
from sphere_edge.evaluation.passages import Chat, Message
from sphere_edge.evaluation.predictor import Subject
from sphere_edge.formats.source import ModelSource, source_sha256

_TEXT_LIMIT_BYTES = 64 * 2**20


def evaluate(
    model: Path,
    *,
    against: str | None,
    text: Path | None,
    window: int | None,
    threads: int,
    plot: Path | None,
    record: bool,
    as_json: bool,
) -> None:
    """Prints perplexity of both, KL divergence and agreement; see docs/quality.md."""
    if plot is not None:
        report.check(plot)
    if record and not (model.is_dir() and is_bundle(model)):
        message = f"nothing can be recorded in `{model}`"
        raise InvalidArgumentError(message, hint="--record needs the folder of a bundle")
    content = None if text is None else _read(text)
    chats = None
    if text is not None and text.suffix == ".jsonl":
        chats = passages.parse_chats(content or "")
    elif text is None and is_bundle(model) and _is_tiny(read_manifest(model)):
        # It knows nothing but what it can talk of.
        chats = _tiny_chats()
    candidate = runnable(model, profiles.host(), console.progress())
    with (
        tempfile.TemporaryDirectory(prefix="sphere-edge-eval-") as folder,
        _open(_reference(model, against, Path(folder)), threads) as reference,
        _open(candidate, threads, name=model.name) as tried,
    ):
        largest = passages.largest_window(reference, tried)
        ids = same_tokens(reference, tried, content or resources.evaluation_text())
        read = (
            passages.of_text(ids, window, largest)
            if chats is None
            else passages.of_chats(reference, chats, largest)
        )
        compared = compare(reference, tried, read, progress=console.progress())
    if plot is not None:
        report.plot(compared, plot)
        console.say(f"plot: {plot}")
    if record:
        of = text.name if text is not None else "built-in text" if chats is None else "own chats"
        manifest = record_quality(model, compared.summary(of))
        console.say(f"recorded: the bundle's id is now {manifest.id}")
    if as_json:
        console.write_json(compared.as_json())
        return
    count = len(compared.each.divergence)
    console.say(f"{compared.candidate} against {compared.reference}, {count} predictions")
    console.write_table(report.COLUMNS, report.rows(compared))


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
    return manifest.provenance.source_sha256 == source_sha256(
        packaging.find(str(resources.tiny_model()))
    )


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
def _open(path: Path, threads: int, name: str | None = None) -> Iterator[Subject]:
    from sphere_edge.runtime.text import TextManager

    with TextManager.open(path, threads=threads) as text:
        info = text.info
        yield Subject(name or info.name, text, info.vocab_size, info.context_tokens)


def _reference(model: Path, against: str | None, scratch: Path) -> Path:
    """What the runtime opens as the reference: a bundle, a .gguf, or a float32 build in `scratch`.

    Kept there no longer than the comparison: float32 is eight times the size of 4 bits.
    """
    if against is not None and (is_bundle(Path(against)) or Path(against).suffix == ".gguf"):
        return runnable(Path(against), profiles.host(), console.progress())
    manifest = read_manifest(model) if is_bundle(model) else None
    source = packaging.find(against) if against is not None else _source_of(manifest)
    if source.kind == "gguf":
        return source.path
    if source.kind != "safetensors":
        message = f"`{source.reference}` is not a language model"
        raise FormatMismatchError(message, hint="only text bundles can be evaluated for now")
    if manifest is not None and manifest.provenance.source_sha256 != source_sha256(source):
        console.warn(f"`{model}` was not made from `{source.reference}` as it is now")
    options = PackageOptions(
        quantization="f32",
        context_tokens=manifest.text.context_tokens if manifest and manifest.text else None,
        # The comparison itself shows whether the tokens are the same.
        allow_tokenizer_mismatch=True,
    )
    output = scratch / f"{source.name}.f32"
    source = dataclasses.replace(source, name=f"{source.name}-f32")
    packaging.package(source, profiles.host(), options, output, progress=console.progress())
    return output


def _source_of(manifest: Manifest | None) -> ModelSource:
    """The source that the bundle names, where it can be found again without being told."""
    if manifest is not None:
        made_from = manifest.provenance
        if made_from.revision is not None:
            return packaging.find(made_from.source, revision=made_from.revision)
        if _is_tiny(manifest):
            return packaging.find(str(resources.tiny_model()))
    message = "what to compare with is not known: the source was a local path"
    hint = "name it: --against FOLDER, FILE.gguf or another BUNDLE"
    raise InvalidArgumentError(message, hint=hint)
