"""The best format of a speech or image model on each device, where text models have one choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sphere_edge import profiles
from sphere_edge.bundle.manifest import Memory
from sphere_edge.console import human_bytes
from sphere_edge.inspection.description import Table
from sphere_edge.profiles import DeviceProfile

# Devices, each with the best format that fits there; None: none does.
Fits = list[tuple[DeviceProfile, str | None]]


def fits(best: Callable[[DeviceProfile], str | None]) -> Fits:
    """What `best` says of each device of the catalogue."""
    return [(one, best(one)) for one in map(profiles.load, profiles.names())]


def table(found: Fits, memory: Callable[[str | None], Memory], needs: str) -> Table:
    """A row per device; `memory` of a format, or of the one to name where none fits."""
    rows = [
        (
            profile.name,
            human_bytes(memory(best).peak_bytes),
            human_bytes(profile.memory.usable_bytes),
            best or "no",
        )
        for profile, best in found
    ]
    return Table(("PROFILE", needs, "MAY USE →", "FITS"), rows)


def as_json(found: Fits, memory: Callable[[str | None], Memory]) -> list[dict[str, Any]]:
    """The same with all figures."""
    return [
        {
            "profile": profile.name,
            "usable_bytes": profile.memory.usable_bytes,
            "fits": best is not None,
            "quantization": best,
            "memory": memory(best).model_dump(mode="json"),
        }
        for profile, best in found
    ]
