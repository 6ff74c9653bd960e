"""What a bundle says of where it came from."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

from sphere_edge import __version__
from sphere_edge.bundle.files import sha256_of
from sphere_edge.bundle.manifest import Provenance
from sphere_edge.console import Progress
from sphere_edge.engines.options import PackageOptions
from sphere_edge.formats.adapter import adapter_sha256
from sphere_edge.formats.source import ModelSource, source_sha256


def provenance(
    source: ModelSource,
    tools: tuple[str, ...],
    progress: Progress,
    options: PackageOptions | None = None,
) -> Provenance:
    """Where the model came from. A local path says nothing to others and would change the id.

    With the adapter and the image encoder of `options`.
    """
    versions = {"sphere-edge": __version__, **{name: metadata.version(name) for name in tools}}
    with progress.step("hashing the model"):
        sha256 = source_sha256(source)
    made_from = Provenance(
        source=source.name if source.revision is None else source.reference,
        revision=source.revision,
        source_sha256=sha256,
        tools=versions,
    )
    more: list[tuple[Path, str]] = []
    if options is not None and options.adapter is not None:
        more.append((options.adapter, adapter_sha256(options.adapter)))
    if options is not None and options.mmproj is not None:
        more.append((options.mmproj, _file_sha256(options.mmproj)))
    for path, its_sha256 in more:
        both = f"{made_from.source_sha256}\n{its_sha256}\n"
        made_from = made_from.model_copy(
            update={
                "source": f"{made_from.source} with {path.resolve().name}",
                # It is not the hub's model any more.
                "revision": None,
                "source_sha256": hashlib.sha256(both.encode()).hexdigest(),
            }
        )
    return made_from


def _file_sha256(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        return sha256_of(file, lambda _: None)
