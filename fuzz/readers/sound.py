"""A recording: wav, flac, Ogg, mp3, and containers."""

from sphere_edge.runtime import sound


def read(data: bytes) -> None:
    """`data` as a file, heard to its end."""
    with sound.opened(data) as opened:
        for _ in opened:
            pass
