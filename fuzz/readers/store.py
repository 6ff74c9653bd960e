"""What the store on a device says that it holds."""

from sphere_edge.devices import inventory


def read(data: bytes) -> None:
    """`data` as what store.sh printed."""
    text = data.decode(errors="replace")
    inventory.parse(text)
    inventory.blobs_by_bundle(text)
