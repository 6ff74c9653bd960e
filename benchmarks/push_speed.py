"""How fast we push one large blob, beside `scp` and `adb push`: `python benchmarks/push_speed.py`.

Both sides send the same file to the same simulated device on this machine, in turns, so that they
meet the same load; medians count. Ours includes the whole transaction for that blob: lock, parts,
the hash on the device and the switch. What a bare push takes is shown, too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import adbutils

from sphere_edge.devices.device import Device, FilePart
from sphere_edge.devices.items import Item
from sphere_edge.devices.open import open_device
from sphere_edge.devices.store import Store
from sphere_edge.simulate.adb_daemon import AdbDaemon
from sphere_edge.simulate.sshd import Sshd

MIB = 1 << 20
Way = Callable[[], object]


def main() -> None:
    """Measures, prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=500, help="size of the blob")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--transports", default="ssh,adb")
    parser.add_argument("--json", type=Path, help="also write all samples there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="push-speed-") as folder:
        source = Path(folder) / "blob"
        item = make_blob(source, given.mib * MIB)
        measured = {
            transport: TRANSPORTS[transport](Path(folder) / transport, item, given.rounds)
            for transport in given.transports.split(",")
        }
    for transport, ways in measured.items():
        peer = next(iter(ways))
        for way, seconds in ways.items():
            speed = given.mib / statistics.median(seconds)
            ratio = statistics.median(ways[peer]) / statistics.median(seconds)
            print(
                f"{transport:4} {way:18} {speed:7.0f} MiB/s  {ratio:5.2f}x of {peer}  "
                f"(median of {len(seconds)}: {', '.join(f'{one:.2f}' for one in seconds)} s)"
            )
    if given.json:
        given.json.write_text(json.dumps({"mib": given.mib, "seconds": measured}, indent=2))


def make_blob(path: Path, size: int) -> Item:
    """A file of random bytes: nothing on the way can compress it."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(size // MIB):
            piece = os.urandom(MIB)
            file.write(piece)
            digest.update(piece)
    return Item("blob", path, size, digest.hexdigest())


def over_ssh(folder: Path, item: Item, rounds: int) -> dict[str, list[float]]:
    """scp, our bare push and our deploy to a real sshd."""
    server = Sshd(folder)
    server.start()
    os.environ["SPHERE_EDGE_SSH_CONFIG"] = config = str(server.config(server.port))
    device = open_device("ssh://board")
    # The cipher that we ask for first, so that the programs are compared and not the ciphers.
    words = ["scp", "-q", "-F", config, "-c", "aes128-gcm@openssh.com", str(item.source)]
    try:
        return take_turns(
            device,
            folder / "there",
            item,
            rounds,
            ("scp", lambda: subprocess.run([*words, f"board:{folder}/there/peer"], check=True)),
        )
    finally:
        device.close()
        server.stop()


def over_adb(folder: Path, item: Item, rounds: int) -> dict[str, list[float]]:
    """`adb push`, our bare push and our deploy to a simulated phone behind the real adb server."""
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    os.environ.update(ANDROID_ADB_SERVER_PORT=port, ADB_MDNS="0")
    daemon = AdbDaemon()
    daemon.start()
    device = open_device(f"adb:127.0.0.1:{daemon.port}")
    # Without compression, which random bytes only slow down and this phone does not offer.
    words = [adbutils.adb_path(), "-P", port, "-s", device.uri[4:], "push", "-Z"]
    peer = [*words, str(item.source), f"{folder}/there/peer"]
    try:
        return take_turns(
            device,
            folder / "there",
            item,
            rounds,
            ("adb push", lambda: subprocess.run(peer, check=True, capture_output=True)),
        )
    finally:
        device.close()
        daemon.stop()
        subprocess.run([adbutils.adb_path(), "-P", port, "kill-server"], check=False)


TRANSPORTS = {"ssh": over_ssh, "adb": over_adb}


def take_turns(
    device: Device, there: Path, item: Item, rounds: int, peer: tuple[str, Way]
) -> dict[str, list[float]]:
    """Seconds of each way, round by round."""
    there.mkdir()
    ways: dict[str, Way] = {
        peer[0]: peer[1],
        "bare push": lambda: device.push(item.source, f"{there}/ours", FilePart(0, item.bytes)),
        "deploy": lambda: Store(device, f"{there}/store").deploy("blob", [item]),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name, way in ways.items():
            device.run(["sh", "-c", f"rm -rf {there}/*; sync"], timeout_s=300)
            started = time.monotonic()
            way()
            seconds[name].append(time.monotonic() - started)
            print(f"round {turn + 1}, {name}: {seconds[name][-1]:.2f} s", file=sys.stderr)
    return seconds


if __name__ == "__main__":
    main()
