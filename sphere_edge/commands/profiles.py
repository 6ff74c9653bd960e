"""`sphere-edge profiles`: lists, shows, compares, makes and checks what is known of devices."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from sphere_edge import console, profiles
from sphere_edge.devices.described import profile_of
from sphere_edge.devices.matching import Match, matches
from sphere_edge.devices.open import opened
from sphere_edge.devices.probe import probe
from sphere_edge.errors import InvalidArgumentError, NotFoundError, StorageError
from sphere_edge.files import atomic_write
from sphere_edge.profiles import DeviceProfile, toml_file


def list_profiles(
    *,
    os: str | None = None,
    gpu: str | None = None,
    soc: str | None = None,
    memory: str | None = None,
    as_json: bool,
) -> None:
    """One line per device that all filters let through; `memory`: at least so much RAM."""
    least = _bytes(memory) if memory is not None else 0
    known = [profiles.load(name) for name in profiles.names()]
    for flag, value, offered in (
        ("--os", os, {profile.os for profile in known}),
        ("--gpu", gpu, {profile.gpu.api if profile.gpu else "none" for profile in known}),
    ):
        if value is not None and value not in offered:
            message = f"{flag} cannot be `{value}`"
            raise InvalidArgumentError(message, hint=f"choose one of: {', '.join(sorted(offered))}")
    found = [
        profile
        for profile in known
        if os in (None, profile.os)
        and gpu in (None, profile.gpu.api if profile.gpu else "none")
        and (soc or "").lower() in (profile.soc or "").lower()
        and profile.memory.total_bytes >= least
    ]
    if as_json:
        console.write_json([profile.model_dump(mode="json") for profile in found])
        return
    if not found:
        console.say("no profile is like that")
        return
    console.write_table(
        (
            "NAME",
            "DEVICE",
            "SYSTEM",
            "GPU",
            "BACKENDS",
            "MEMORY →",
            "FOR AN APP →",
            "GPU'S OWN →",
            "BANDWIDTH →",
        ),
        [
            (
                profile.name,
                profile.title,
                profile.os,
                profile.gpu.name if profile.gpu else "-",
                " ".join(profile.backends),
                console.human_bytes(profile.memory.total_bytes),
                console.human_bytes(profile.memory.usable_bytes),
                _shown("bytes", profile.gpu.memory_bytes if profile.gpu else None),
                _shown("per_s", profile.memory.bandwidth_bytes_per_s),
            )
            for profile in found
        ],
    )


def compare_profiles(names: list[str], *, as_json: bool) -> None:
    """The figures of several devices side by side, those in which they differ marked."""
    known = [profiles.load(name) for name in names]
    if as_json:
        console.write_json([profile.model_dump(mode="json") for profile in known])
        return
    told = [{figure: value for figure, value, _ in _figures(profile)} for profile in known]
    rows = []
    for figure in _order(told):
        values = [one.get(figure, "-") for one in told]
        rows.append((figure if len(set(values)) == 1 else f"{figure} *", *values))
    console.write_table(("FIGURE", *(name.upper() for name in names)), rows)
    console.say("* they differ")


def new_profile(uri: str | None, like: str | None, name: str | None, output: Path | None) -> None:
    """Writes a profile for a person to complete: of what the device at `uri` tells, or as `like`.

    Raises InvalidArgumentError unless exactly one of the two is given.
    """
    if like is not None and uri is None:
        copied = profiles.load(like)
        made = copied.model_copy(update={"name": name or f"my-{copied.name}"})
    elif uri is not None and like is None:
        with opened(uri) as device:
            made = profile_of(probe(device), uri, name=name)
    else:
        message = "a new profile is made from a device or from another profile"
        raise InvalidArgumentError(message, hint="give either --from-device or --from")
    path = output or Path(f"{made.name}.toml")
    if path.stem != made.name:
        made = made.model_copy(update={"name": path.stem})
    if path.exists():
        message = f"`{path}` exists"
        raise StorageError(message, hint="choose another file with --output")
    text = toml_file.render(made)
    profiles.parse(text, f"{path.stem}.toml")
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")
    if uri is not None:
        console.say("what it does not tell is left out: bandwidth, API limits, what apps may use")
    console.write(str(path))


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


def _bytes(text: str) -> int:
    """`8GB`, `8 GiB` or `8` (GiB) in bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(?:GiB|GB|G)?", text)
    if match is None:
        message = f"--memory cannot be `{text}`"
        raise InvalidArgumentError(message, hint="give the least in GiB: --memory 8")
    return int(float(match[1]) * 2**30)


def _match_as_json(one: Match) -> dict[str, object]:
    return {
        "profile": one.profile.name,
        "runs": one.runs,
        "likeness": round(one.likeness, 3),
        "differences": [dataclasses.asdict(difference) for difference in one.differences],
    }


def _figures(profile: DeviceProfile) -> list[tuple[str, str, str]]:
    fields = profile.model_dump(mode="json", exclude_none=True, exclude={"sources"})
    rows = [
        (figure, _shown(figure, value), profile.source(figure) or "")
        for figure, value in _flat(fields, "")
    ]
    after = [figure for figure, *_ in rows].index("triple") + 1
    return [*rows[:after], ("oldest system", profile.oldest_system, ""), *rows[after:]]


def _flat(fields: dict[str, object], group: str) -> Iterator[tuple[str, object]]:
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{group}{name}.")
        else:
            yield f"{group}{name}", value


def _order(told: list[dict[str, str]]) -> list[str]:
    """All figures of several devices; one that the first does not have follows its neighbour."""
    order: list[str] = []
    for figures in told:
        at = 0
        for figure in figures:
            if figure not in order:
                order.insert(at, figure)
            at = order.index(figure) + 1
    return order


def _shown(figure: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int):
        return str(value)
    # Bandwidth and arithmetic are told in decimal units everywhere, memory in binary ones.
    if figure.endswith("flops_per_s"):
        return f"{value / 1e12:.2f} TFLOPS"
    if figure.endswith("per_s"):
        return f"{value / 1e9:.1f} GB/s"
    return console.human_bytes(value) if "bytes" in figure else str(value)
