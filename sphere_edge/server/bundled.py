"""What a bundle's manifest says of a model before it is opened: its name, task and memory."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

from sphere_edge.bundle.manifest import Manifest
from sphere_edge.server.models import Served
from sphere_edge.server.settings import Settings

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._:/-]+")


def of_bundle(name: str | None, path: Path, manifest: Manifest, settings: Settings) -> Served:
    """The row of the table for the bundle at `path`; `name` None: the bundle's own."""
    memory, context = manifest.memory, None
    peak = memory.peak_bytes
    if manifest.text is not None:
        made_for = manifest.text.context_tokens
        context = settings.context_tokens or made_for
        caches = memory.kv_cache_bytes * context * settings.parallel // made_for
        peak += caches - memory.kv_cache_bytes
    return replace(
        row(name or manifest.name, path, manifest.task, peak),
        context_tokens=context,
        reads_images=any(file.role == "mmproj" for file in manifest.files),
    )


def row(name: str, path: Path, task: str, memory_bytes: int) -> Served:
    """A row of the table; `name` loses what no client can ask for."""
    return Served(
        name=_NOT_IN_NAMES.sub("-", name),
        path=path,
        task=task,  # type: ignore[arg-type]
        created=int(path.stat().st_mtime if path.exists() else time.time()),
        memory_bytes=memory_bytes,
    )
