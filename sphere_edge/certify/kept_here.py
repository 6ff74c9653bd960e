"""The validation results of this machine, kept in its cache; the bundles stay as they are."""

from __future__ import annotations

from pathlib import Path

from sphere_edge import resources
from sphere_edge.bundle.read import Bundle, is_bundle
from sphere_edge.certify.validation_result import (
    ValidationResult,
    ValidationResults,
    as_text,
    read_results,
)
from sphere_edge.files import atomic_write


def keep(bundle: Bundle, result: ValidationResult) -> None:
    """Keeps a result for this machine; the bundle itself stays as it is."""
    path = _results_path(bundle)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as beside:
        beside.write_text(as_text(kept(bundle).with_one(result)), encoding="utf-8")


def kept(bundle: Bundle) -> ValidationResults:
    """The results for this machine."""
    path = _results_path(bundle)
    return read_results(path.read_text(encoding="utf-8")) if path.is_file() else ValidationResults()


def certified_backend(path: Path, backend: str | None) -> tuple[str | None, str]:
    """The backend to open the model at `path` with, and why it is not the bundle's first choice.

    `backend`, if it is one; None and no reason: whatever the runtime chooses.
    """
    if backend is not None or not is_bundle(path):
        return backend, ""
    bundle = Bundle.open(path)
    first, *others = bundle.manifest.backends
    results = kept(bundle)
    failed = results.on(first)
    if failed is None or failed.certified or not others:
        return None, ""
    for other in others:
        result = results.on(other)
        if result is None or result.certified:
            return other, f"`{first}` {failed.summary}"
    return None, ""


def _results_path(bundle: Bundle) -> Path:
    return resources.cache_folder() / "verdicts" / f"{bundle.manifest.id}.json"
