"""One blob on its way to a device: after a cut it goes on, until it has arrived intact."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sphere_edge import errors
from sphere_edge.devices.device import PART_BYTES, Device, FilePart, Sent
from sphere_edge.devices.lock import Lock

# Waits before each attempt to come back; one that moves bytes again starts over. Together about
# as long as a phone takes to restart its adb, or a board its network.
PATIENCE_S = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0)
# A blob that arrives damaged this often is not bad luck.
_DAMAGED_LIMIT = 2


@dataclass(frozen=True)
class Blob:
    """What is sent: `bytes` of the file `source` to the file `remote`."""

    source: Path
    remote: str
    bytes: int


class Arrival(Protocol):
    """What the device says of a blob on its way."""

    def is_there(self) -> bool:
        """Whether it has arrived and been proved."""

    def arrived_bytes(self) -> int:
        """How many bytes of it are there."""

    def finish(self) -> bool:
        """Proves it and takes it in; False if it is damaged, and then it is gone."""


@dataclass(frozen=True)
class Link:
    """A device whose store is locked, and the waits before each attempt to reach it again."""

    device: Device
    lock: Lock
    patience_s: Sequence[float] = PATIENCE_S


def send_blob(link: Link, blob: Blob, arrival: Arrival, *, advance: Sent) -> int:
    """Sends `blob` until it has arrived intact; the bytes that went over the link.

    `advance` gets the progress in bytes (negative when a part is sent again). When the device
    goes away it is waited for.
    Raises UnavailableError (it stays away), StorageError.
    """
    device, patience_s = link.device, link.patience_s
    sent_bytes = 0
    position = 0

    def moved(count: int) -> None:
        nonlocal sent_bytes, position
        sent_bytes += count
        position += count
        advance(count)

    damaged = 0
    attempts = 0
    was_away = False
    while True:
        before = sent_bytes
        try:
            # A connection may be cut after the last byte, too.
            if was_away and arrival.is_there():
                return sent_bytes
            offset = _resume_at(arrival.arrived_bytes(), blob.bytes)
            advance(offset - position)
            position = offset
            _push(device, blob, offset, moved)
            if arrival.finish():
                return sent_bytes
        except (errors.UnavailableError, errors.TimeoutError) as error:
            # A link may be dead without an error: no answer in time counts as dead.
            attempts = 0 if sent_bytes > before else attempts
            attempts += _come_back(link, patience_s[attempts:], error)
            was_away = True
            continue
        damaged += 1
        if damaged >= _DAMAGED_LIMIT:
            message = f"`{blob.source.name}` arrives damaged on {device.uri}, {damaged} times now"
            hint = "run `sphere-edge verify` on the bundle; else the cable, memory or flash is bad"
            raise errors.StorageError(message, hint=hint)


def _resume_at(arrived: int, size: int) -> int:
    """Where to go on: whole parts count; a whole file is verified; one too long starts over."""
    if arrived == size:
        return size
    return arrived // PART_BYTES * PART_BYTES if arrived < size else 0


def _push(device: Device, blob: Blob, offset: int, sent: Sent) -> None:
    if offset == 0 and blob.bytes <= PART_BYTES:
        device.push(blob.source, blob.remote, sent=sent)
        return
    if offset == 0:
        # What a longer file of another time left there would stay beyond the end of this one.
        device.run(["rm", "-f", blob.remote])
    if offset < blob.bytes:
        rest = FilePart(offset, blob.bytes - offset)
        device.push(blob.source, blob.remote, rest, sent)


def _come_back(link: Link, waits_s: Sequence[float], reason: errors.SphereEdgeError) -> int:
    """Waits for the device and takes the lock again; how many attempts that took."""
    for attempt, wait_s in enumerate(waits_s, start=1):
        time.sleep(wait_s)
        try:
            link.device.reconnect()
            link.lock.take()
        except (errors.UnavailableError, errors.TimeoutError) as error:
            reason = error
            continue
        return attempt
    hint = "run the same command again when it is back: it goes on where it stopped"
    raise errors.UnavailableError(reason.message, hint=hint) from reason
