"""`sphere-edge profiles`: lists, shows and checks what is known of devices."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from sphere_edge import console, profiles
from sphere_edge.devices.matching import Match, matches
from sphere_edge.devices.open import opened
from sphere_edge.devices.probe import probe
from sphere_edge.errors import NotFoundError
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


def match_profile(uri: str, *, as_json: bool) -> None:
    """The profile that suits a device best, what differs from it, and the next ones."""
    with opened(uri) as device:
        there = probe(device)
    names = [name for name in profiles.names() if name != "host" or uri == "local"]
    found = matches(there, uri, map(profiles.load, names))
    if as_json:
        console.write_json({"device": uri, "matches": [_match_as_json(one) for one in found]})
        return
    best = next((one for one in found if one.runs), None)
    if best is None:
        message = f"no profile suits {uri}"
        raise NotFoundError(message, hint=f"`package --profile auto --device {uri}` makes one")
    console.say(f"{uri} is nearest to `{best.profile.name}`, {best.profile.title}")
    if best.differences:
        console.write_table(
            ("FIGURE", best.profile.name.upper(), "DEVICE", "WHY IT MATTERS"),
            [(one.figure, one.profile, one.device, one.matters) for one in best.differences],
        )
    others = [one.profile.name for one in found if one.runs and one is not best][:3]
    if others:
        console.say(f"next: {', '.join(others)}")
    console.say(f"exactly this device: `sphere-edge package MODEL --profile auto --device {uri}`")
    console.write(best.profile.name)


def _match_as_json(one: Match) -> dict[str, object]:
    return {
        "profile": one.profile.name,
        "runs": one.runs,
        "likeness": round(one.likeness, 3),
        "differences": [dataclasses.asdict(difference) for difference in one.differences],
    }


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
