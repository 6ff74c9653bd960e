"""Whether a bundle is still what packaging its model again would make."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from sphere_edge import __version__, profiles
from sphere_edge.bundle.manifest import Manifest
from sphere_edge.bundle.read import Bundle, check_runs_on
from sphere_edge.errors import SphereEdgeError
from sphere_edge.formats.source import ModelSource, source_sha256


def is_current(output: Path, source: ModelSource) -> bool:
    """Whether the bundle at `output` is sound, for this machine, and of this model and tools."""
    try:
        manifest = Bundle.open(output).manifest
        check_runs_on(manifest, profiles.host())
    except SphereEdgeError:
        return False
    return manifest.provenance.source_sha256 == source_sha256(source) and _same_tools(manifest)


def _same_tools(manifest: Manifest) -> bool:
    try:
        return all(
            version == (__version__ if name == "sphere-edge" else metadata.version(name))
            for name, version in manifest.provenance.tools.items()
        )
    except metadata.PackageNotFoundError:
        return False
