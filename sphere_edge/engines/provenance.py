"""What a bundle says of where it came from."""

from __future__ import annotations

from importlib import metadata

from sphere_edge import __version__
from sphere_edge.bundle.manifest import Provenance
from sphere_edge.console import Progress
from sphere_edge.formats.source import ModelSource, source_sha256


def provenance(source: ModelSource, tools: tuple[str, ...], progress: Progress) -> Provenance:
    """Where the model came from. A local path says nothing to others and would change the id."""
    versions = {"sphere-edge": __version__, **{name: metadata.version(name) for name in tools}}
    with progress.step("hashing the model"):
        sha256 = source_sha256(source)
    return Provenance(
        source=source.name if source.revision is None else source.reference,
        revision=source.revision,
        source_sha256=sha256,
        tools=versions,
    )
