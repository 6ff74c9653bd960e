"""`sphere-edge profiles`: lists, shows and checks what is known of devices."""

from __future__ import annotations

from pathlib import Path

from sphere_edge import console, profiles
from sphere_edge.profiles import DeviceProfile


def list_profiles(*, as_json: bool) -> None:
    """One line per device."""
    known = [profiles.load(name) for name in profiles.names()]
    if as_json:
        console.write_json([profile.model_dump(mode="json") for profile in known])
        return
    console.write_table(
        ("NAME", "DEVICE", "SYSTEM", "CPU FEATURES", "GPU", "MEMORY →", "FOR AN APP →"),
        [
            (
                profile.name,
                profile.title,
                profile.os,
                " ".join(profile.cpu.features),
                profile.gpu.api if profile.gpu else "-",
                console.human_bytes(profile.memory.total_bytes),
                console.human_bytes(profile.memory.usable_bytes),
            )
            for profile in known
        ],
    )


def show_profile(name: str, *, as_json: bool) -> None:
    """Every figure with its source."""
    profile = profiles.load(name)
    if as_json:
        console.write_json(profile.model_dump(mode="json"))
        return
    console.write_table(("FIGURE", "VALUE", "SOURCE"), list(_figures(profile)))


def validate_profiles(files: list[Path], *, as_json: bool) -> None:
    """Raises InvalidArgumentError for the first file that is no profile."""
    read = [profiles.read(path) for path in files]
    if as_json:
        console.write_json([profile.model_dump(mode="json") for profile in read])
        return
    for profile in read:
        console.write(f"{profile.name}: {profile.title}")


def _figures(profile: DeviceProfile) -> list[tuple[str, str, str]]:
    rows = []
    for key, value in profile.model_dump(mode="json", exclude_none=True).items():
        if key == "sources":
            continue
        if not isinstance(value, dict):
            rows.append((key, str(value), ""))
            continue
        for figure, content in value.items():
            name = f"{key}.{figure}"
            source = profile.sources.get(name, profile.sources.get(key, ""))
            rows.append((name, _shown(figure, content), source))
    return rows


def _shown(figure: str, value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, int) and "bytes" in figure:
        shown = console.human_bytes(value)
        return f"{shown}/s" if figure.endswith("per_s") else shown
    return str(value)
