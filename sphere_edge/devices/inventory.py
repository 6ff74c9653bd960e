"""What a store holds, parsed from the device's listing of its folders, which is not trusted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sphere_edge.devices.probe import free_storage, parse_sections

_SHA256 = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,95}")


@dataclass(frozen=True)
class Inventory:
    """A store at one moment: blobs with their bytes, bundles, and per name (current, previous)."""

    free_bytes: int | None
    blobs: dict[str, int]
    incoming: dict[str, int]
    bundles: tuple[str, ...]
    current: dict[str, tuple[str, str | None]]


def parse(text: str) -> Inventory:
    """Reads what the action `inventory` of store.sh printed."""
    sections = parse_sections(text)
    current: dict[str, tuple[str, str | None]] = {}
    for line in sections.get("current", []):
        name, *ids = line.split()
        if NAME.fullmatch(name) and ids and all(_SHA256.fullmatch(one) for one in ids):
            current[name] = (ids[0], ids[1] if len(ids) > 1 else None)
    return Inventory(
        free_bytes=free_storage(sections.get("df", [])),
        blobs=files(sections.get("blobs", [])),
        incoming=files(sections.get("incoming", [])),
        bundles=tuple(
            name
            for line in sections.get("bundles", [])
            if line.startswith("d") and _SHA256.fullmatch(name := line.split()[-1])
        ),
        current=current,
    )


def files(lines: Sequence[str]) -> dict[str, int]:
    """Files named by a sha256, with their bytes, from the lines of `ls -ln`."""
    found: dict[str, int] = {}
    for line in lines:
        fields = line.split()
        if len(fields) < 6 or not line.startswith("-") or not _SHA256.fullmatch(fields[-1]):
            continue
        if re.fullmatch(r"\d{1,18}", fields[4], re.ASCII):
            found[fields[-1]] = int(fields[4])
    return found


def blobs_by_bundle(text: str) -> dict[str, set[str]]:
    """The blobs of each bundle, from what the action `listings` of store.sh printed."""
    return {
        bundle: {line[:64] for line in lines if _SHA256.fullmatch(line[:64])}
        for bundle, lines in parse_sections(text).items()
    }
