"""What a device answers to the probe, and the profile that is made of it."""

from sphere_edge.devices import described, probe


def read(data: bytes) -> None:
    """`data` as what probe.sh printed."""
    found = probe.parse(data.decode(errors="replace"), "ssh://fuzzed")
    described.profile_of(found, "ssh://fuzzed")
