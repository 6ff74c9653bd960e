"""Pushes over links that drop packets: a network namespace whose loopback the kernel thins."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_PUSH = """
import hashlib, json, os, pathlib, sys
from sphere_edge.devices.items import Item
from sphere_edge.devices.open import open_device
from sphere_edge.devices.store import Store
from benchmarks import kill_push
transport, folder = sys.argv[1], pathlib.Path(sys.argv[2])
source = folder / "source"
content = os.urandom(12 << 20)
source.write_bytes(content)
digest = hashlib.sha256(content).hexdigest()
with kill_push.TRANSPORTS[transport](folder) as reached:
    store = Store(open_device(reached.uri), str(folder / "store"))
    deployed = store.deploy("demo", [Item("weights", source, len(content), digest)])
    arrived = (pathlib.Path(deployed.folder) / "weights").read_bytes()
    print(json.dumps({"sent": deployed.sent_bytes, "whole": arrived == content}))
"""
# $1 the link's nature, as tc takes it; then the program. 99: this kernel has no such nature.
_THIN = """
nature=$1; shift
ip link set lo mtu 1500 up && tc qdisc add dev lo root $nature || exit 99
"$@" || exit 1
tc -s qdisc show dev lo
"""
# A short queue in front of a slow link drops what does not fit into it, as a radio does.
_QUEUE = "tbf rate 120mbit burst 32kb latency 5ms"
_NETEM = "netem delay 10ms loss 1% limit 10000"


@pytest.mark.parametrize("nature", [_QUEUE, _NETEM], ids=["queue", "netem"])
@pytest.mark.parametrize("transport", ["ssh", "adb"])
def test_a_push_over_a_link_that_loses_packets_arrives_whole_and_once(
    transport: str, nature: str, tmp_path: Path
) -> None:
    if os.geteuid() != 0 or not (shutil.which("tc") and shutil.which("unshare")):
        pytest.skip("a link that loses packets needs root, unshare and tc (apt install iproute2)")
    program = [sys.executable, "-c", _PUSH, transport, str(tmp_path)]
    ended = subprocess.run(
        ["unshare", "--net", "sh", "-c", _THIN, "sh", nature, *program],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        cwd=Path(__file__).parents[3],
    )
    if ended.returncode == 99:
        pytest.skip(f"this kernel does not know `{nature.split()[0]}`: {ended.stderr.strip()}")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout.splitlines()[0])
    assert told == {"sent": 12 << 20, "whole": True}
    counted = re.search(r"Sent \d+ bytes (\d+) pkt \(dropped (\d+)", ended.stdout)
    assert counted is not None
    sent, dropped = int(counted[1]), int(counted[2])
    print(f"{transport}, {nature}: {dropped} of {sent} packets dropped")
    assert dropped >= 0.002 * sent
