"""Describes a bundle or a model of any kind by its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sphere_edge import packaging
from sphere_edge.bundle import archive
from sphere_edge.bundle.read import is_bundle, read_manifest
from sphere_edge.console import SILENT, Progress
from sphere_edge.engines.options import check_context
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.fit.memory import MAX_SEQUENCES
from sphere_edge.formats.wanted import Kind, Wanted
from sphere_edge.inspection import bundles, images, speech, text
from sphere_edge.inspection.description import Description


@dataclass(frozen=True)
class InspectionRequest:
    """A bundle, or a model with the context in tokens that it should have (None: the usual).

    `sequences`: conversations at once that there should be memory for; `draft_model`: the hub id,
    folder or GGUF of a model beside it, which drafts.
    """

    model: str
    context_tokens: int | None = None
    format: Kind | None = None
    revision: str | None = None
    sequences: int = 1
    draft_model: str | None = None


def describe(request: InspectionRequest, progress: Progress = SILENT) -> Description:
    """A bundle's manifest, or a model's sizes and how it fits each profile.

    Of weights on the hub only the headers are fetched. Raises what finding and reading them raise.
    """
    check_context(request.context_tokens)
    if not 1 <= request.sequences <= MAX_SEQUENCES:
        message = f"invalid value `{request.sequences}` for --sequences"
        hint = f"it takes the number of conversations at once, at most {MAX_SEQUENCES}"
        raise InvalidArgumentError(message, hint=hint)
    path = Path(request.model)
    if is_bundle(path) or (path.suffix == archive.SUFFIX and path.is_file()):
        if request.draft_model is not None:
            message = f"`{request.model}` is a bundle: --draft-model counts beside a model"
            raise InvalidArgumentError(message, hint="inspect what the bundle was made of")
        return bundles.describe(read_manifest(path))
    source = packaging.find(
        request.model,
        Wanted(request.format, request.revision),
        headers_only=True,
        progress=progress,
    )
    if source.kind == "whisper":
        return speech.describe(source)
    if source.kind == "diffusion":
        return images.describe(source)
    draft = None
    if request.draft_model is not None:
        draft = packaging.find(request.draft_model, Wanted(), headers_only=True, progress=progress)
        if draft.kind not in ("gguf", "safetensors"):
            message = f"`{request.draft_model}` cannot draft: it is not a text model"
            raise InvalidArgumentError(message)
    return text.describe(source, text.Use(request.context_tokens, request.sequences, draft))
