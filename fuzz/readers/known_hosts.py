"""The host keys that the user's ssh knows."""

from fuzz.file_with import file_with
from sphere_edge.devices import known_hosts


def read(data: bytes) -> None:
    """`data` as a file."""
    for host, port in (("board.local", 22), ("2001:db8::1", 2222)):
        known_hosts.lookup(host, port, [file_with(data, "known_hosts")])
