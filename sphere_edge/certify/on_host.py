"""References and validation results on this machine; GGUF bundles get their reference here."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sphere_edge import resources
from sphere_edge.bundle import reference as references
from sphere_edge.bundle.read import Bundle
from sphere_edge.bundle.reference import Logits, Reference
from sphere_edge.bundle.reference_plan import REFERENCE_TEXT, Plan, PlanLimits, plan
from sphere_edge.bundle.verify import verify
from sphere_edge.certify.on_device import Installed
from sphere_edge.console import SILENT, Progress
from sphere_edge.devices.items import Item
from sphere_edge.devices.payload import item
from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.runtime.text import TextManager
from sphere_edge.toolchain import native, targets

# Tokens of one call of the engine that gives every row.
_SCORE_TOKENS = 32
_PREFILL_TOKENS = 512


def installed_here(bundle: Bundle, reference: Path) -> Installed:
    """The host's own runner with the bundle where it lies."""
    built = native.build_for(
        bundle.manifest.engine, targets.host(), SILENT, bundle.manifest.ggml_gpu
    )
    argv = (str(built.runner), "certify", str(bundle.folder.resolve()), "--json")
    return Installed(argv, str(reference.resolve()))


def reference_folder(bundle: Bundle, progress: Progress = SILENT) -> Path:
    """Where the bundle's reference lies; for a GGUF one that llama.cpp makes here, once.

    Raises UnsupportedError for a bundle that does not continue texts or holds no reference, and
    what verifying raises before a model is opened: the cache has references of sound files only.
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
        if verify(bundle.folder, progress).manifest.id != manifest.id:
            message = f"`{bundle.folder}` was changed while it was being used"
            raise ModelCorruptError(message, hint="repeat it when nobody writes to the bundle")
        with progress.step("computing the reference with llama.cpp"):
            references.write(*_by_llama(bundle), folder)
    return folder


def reference_items(bundle: Bundle, progress: Progress = SILENT) -> list[Item]:
    """What a device needs besides the bundle itself to be certified; nothing if it is in there."""
    folder = reference_folder(bundle, progress)
    if folder == bundle.folder / references.FOLDER:
        return []
    return [item(f"{references.FOLDER}/{path.name}", path) for path in sorted(folder.iterdir())]


def _by_llama(bundle: Bundle) -> tuple[Reference, Logits]:
    text = bundle.manifest.text
    assert text is not None
    limits = PlanLimits(
        parameters=bundle.manifest.parameters,
        context_tokens=text.context_tokens,
        prefill_tokens=_PREFILL_TOKENS,
        score_tokens=_SCORE_TOKENS,
        window=None,
    )
    with TextManager.open(bundle.folder, threads=1, backend="cpu") as model:
        planned = plan(model.tokenize(REFERENCE_TEXT), text.vocab_size, limits)
        return _rows(model, planned, text.vocab_size)


def _rows(model: TextManager, planned: Plan, vocabulary: int) -> tuple[Reference, Logits]:
    kept_rows, logits = [], []
    every = model.logits(planned.tokens)[:, :vocabulary].astype(np.float64)
    for position in planned.positions:
        row = every[position - 1]
        kept_rows.append(references.row_of(position, row))
        logits.append(row[list(planned.columns)])
    reference = Reference(
        made_by="llama.cpp",
        vocabulary=vocabulary,
        tokens=planned.tokens,
        detour=planned.detour,
        columns=planned.columns,
        rows=tuple(kept_rows),
        steps=planned.steps,
    )
    return reference, np.array(logits, np.float32)
