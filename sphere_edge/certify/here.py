"""References and verdicts on this machine: what bundles of GGUF files lack, and local verdicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sphere_edge import resources
from sphere_edge.bundle import reference as references
from sphere_edge.bundle.read import Bundle, is_bundle
from sphere_edge.bundle.reference import Logits, Reference
from sphere_edge.bundle.reference_plan import PASSAGE, Plan, plan
from sphere_edge.certify.on_device import Place
from sphere_edge.certify.verdict import Verdict, Verdicts, as_text, read_verdicts
from sphere_edge.console import SILENT, Progress
from sphere_edge.devices.items import Item
from sphere_edge.devices.payload import item
from sphere_edge.errors import UnsupportedError
from sphere_edge.files import atomic_write
from sphere_edge.runtime.text import TextManager
from sphere_edge.toolchain import native, targets

# Tokens of one call of the engine that gives every row.
_SCORE_TOKENS = 32
_PREFILL_TOKENS = 512


def in_place(bundle: Bundle, reference: Path) -> Place:
    """The host's own runner with the bundle where it lies."""
    built = native.build_for("text", targets.host(), SILENT, bundle.manifest.ggml_gpu)
    argv = (str(built.runner), "certify", str(bundle.folder.resolve()), "--json")
    return Place(argv, str(reference.resolve()))


def reference_folder(bundle: Bundle, progress: Progress = SILENT) -> Path:
    """Where the bundle's reference lies; for a GGUF one that llama.cpp makes here, once.

    Raises UnsupportedError for a bundle that does not continue texts or holds no reference.
    """
    manifest = bundle.manifest
    if manifest.text is None:
        message = f"a bundle for {manifest.task} cannot be certified"
        raise UnsupportedError(message, hint="text bundles can")
    inside = bundle.folder / references.FOLDER
    if any(file.role == "reference" for file in manifest.files):
        return inside
    if manifest.engine != "llama":
        message = f"`{manifest.name}` holds no reference"
        raise UnsupportedError(message, hint="package the model again")
    folder = resources.cache_folder() / "references" / manifest.id
    if references.read(folder) is None:
        with progress.step("computing the reference with llama.cpp"):
            references.write(*_by_llama(bundle), folder)
    return folder


def reference_items(bundle: Bundle, progress: Progress = SILENT) -> list[Item]:
    """What a device needs besides the bundle itself to be certified; nothing if it is in there."""
    folder = reference_folder(bundle, progress)
    if folder == bundle.folder / references.FOLDER:
        return []
    return [item(f"{references.FOLDER}/{path.name}", path) for path in sorted(folder.iterdir())]


def keep(bundle: Bundle, verdict: Verdict) -> None:
    """Keeps a verdict about this machine; the bundle itself stays as it is."""
    path = _verdict_path(bundle)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        partial.write_text(as_text(kept(bundle).with_one(verdict)), encoding="utf-8")


def kept(bundle: Bundle) -> Verdicts:
    """The verdicts about this machine."""
    path = _verdict_path(bundle)
    return read_verdicts(path.read_text(encoding="utf-8")) if path.is_file() else Verdicts()


def trusted(path: Path, asked: str | None) -> tuple[str | None, str]:
    """The backend to open the model at `path` with, and why it is not the bundle's first choice.

    `asked`, if that is one; None and no reason: whatever the runtime takes.
    """
    if asked is not None or not is_bundle(path):
        return asked, ""
    bundle = Bundle.open(path)
    first, *others = bundle.manifest.backends
    verdicts = kept(bundle)
    refused = verdicts.on(first)
    if refused is None or refused.certified or not others:
        return None, ""
    for other in others:
        verdict = verdicts.on(other)
        if verdict is None or verdict.certified:
            return other, f"`{first}` was {refused.summary}"
    return None, ""


def _verdict_path(bundle: Bundle) -> Path:
    return resources.cache_folder() / "verdicts" / f"{bundle.manifest.id}.json"


def _by_llama(bundle: Bundle) -> tuple[Reference, Logits]:
    text = bundle.manifest.text
    assert text is not None
    with TextManager.open(bundle.folder, threads=1, backend="cpu") as model:
        passage = model.tokenize(PASSAGE)
        chosen = plan(
            passage,
            text.vocab_size,
            parameters=bundle.manifest.parameters,
            context_tokens=text.context_tokens,
            prefill_tokens=_PREFILL_TOKENS,
            score_tokens=_SCORE_TOKENS,
            window=None,
        )
        return _rows(model, chosen, text.vocab_size)


def _rows(model: TextManager, chosen: Plan, vocabulary: int) -> tuple[Reference, Logits]:
    kept_rows, logits = [], []
    every = model.logits(chosen.tokens)[:, :vocabulary].astype(np.float64)
    for position in chosen.positions:
        row = every[position - 1]
        kept_rows.append(references.row_of(position, row))
        logits.append(row[list(chosen.columns)])
    reference = Reference(
        made_by="llama.cpp",
        vocabulary=vocabulary,
        tokens=chosen.tokens,
        detour=chosen.detour,
        columns=chosen.columns,
        rows=tuple(kept_rows),
        steps=chosen.steps,
    )
    return reference, np.array(logits, np.float32)
