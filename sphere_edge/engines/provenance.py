"""What a bundle says of where it came from."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

from sphere_edge import __version__
from sphere_edge.bundle.manifest import Provenance
from sphere_edge.console import Progress
from sphere_edge.formats.adapter import adapter_sha256
from sphere_edge.formats.source import ModelSource, source_sha256


def provenance(
    source: ModelSource, tools: tuple[str, ...], progress: Progress, adapter: Path | None = None
) -> Provenance:
    """Where the model came from. A local path says nothing to others and would change the id."""
    versions = {"sphere-edge": __version__, **{name: metadata.version(name) for name in tools}}
    with progress.step("hashing the model"):
        sha256 = source_sha256(source)
    made_from = Provenance(
        source=source.name if source.revision is None else source.reference,
        revision=source.revision,
        source_sha256=sha256,
        tools=versions,
    )
    if adapter is None:
        return made_from
    both = f"{sha256}\n{adapter_sha256(adapter)}\n"
    return made_from.model_copy(
        update={
            "source": f"{made_from.source} with {adapter.resolve().name}",
            # It is not the hub's model any more.
            "revision": None,
            "source_sha256": hashlib.sha256(both.encode()).hexdigest(),
        }
    )
