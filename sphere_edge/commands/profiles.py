"""`sphere-edge profiles`: lists, shows, compares, makes and checks what is known of devices."""

from __future__ import annotations

from pathlib import Path

from sphere_edge import console, profiles
from sphere_edge.devices import matching
from sphere_edge.devices.described import profile_of
from sphere_edge.devices.open import opened
from sphere_edge.devices.probe import probe
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.profiles import figures, new, selection


def list_profiles(wanted: selection.Filter, *, as_json: bool) -> None:
    """One line per device that matches."""
    found = selection.matching(wanted)
    if as_json:
        console.write_json([profile.model_dump(mode="json") for profile in found])
        return
    if not found:
        console.say("no profile matches")
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
                figures.shown("bytes", profile.gpu.memory_bytes if profile.gpu else None),
                figures.shown("per_s", profile.memory.bandwidth_bytes_per_s),
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
    console.write_table(("FIGURE", *(name.upper() for name in names)), figures.compared(known))
    console.say("* differs")


def new_profile(uri: str | None, like: str | None, name: str | None, output: Path | None) -> None:
    """Writes a profile for a person to complete: of the device at `uri`, or a copy of `like`.

    Raises InvalidArgumentError unless exactly one of the two is given.
    """
    if like is not None and uri is None:
        made = new.copied(like, name)
    elif uri is not None and like is None:
        with opened(uri) as device:
            made = profile_of(probe(device), uri, name=name)
    else:
        message = "a new profile is made from a device or from another profile"
        raise InvalidArgumentError(message, hint="give either --from-device or --from")
    path = new.write(made, output)
    if uri is not None:
        console.say("figures that the device does not report are left out: bandwidth, API limits")
    console.write(str(path))


def show_profile(name: str, *, as_json: bool) -> None:
    """Every figure with its source."""
    profile = profiles.load(name)
    if as_json:
        console.write_json(profile.model_dump(mode="json"))
        return
    console.write_table(("FIGURE", "VALUE", "SOURCE"), figures.figures(profile))


def validate_profiles(files: list[Path], *, as_json: bool) -> None:
    """Raises InvalidArgumentError for the first file that is not a profile."""
    read = [profiles.read(path) for path in files]
    if as_json:
        console.write_json([profile.model_dump(mode="json") for profile in read])
        return
    for profile in read:
        console.write(f"{profile.name}: {profile.title}")


def match_profile(uri: str, *, as_json: bool) -> None:
    """The profile that suits a device best, what differs from it, and the next ones."""
    with opened(uri) as device:
        found = matching.of_device(device)
    if as_json:
        console.write_json({"device": uri, "matches": [one.as_json() for one in found]})
        return
    best, *others = matching.runnable(found, uri)
    console.say(f"{uri} is nearest to `{best.profile.name}`, {best.profile.title}")
    if best.differences:
        console.write_table(
            ("FIGURE", best.profile.name.upper(), "DEVICE", "WHY IT MATTERS"),
            [(one.figure, one.profile, one.device, one.matters) for one in best.differences],
        )
    if others:
        console.say(f"next: {', '.join(one.profile.name for one in others[:3])}")
    console.say(f"exactly this device: `sphere-edge package MODEL --profile auto --device {uri}`")
    console.write(best.profile.name)
