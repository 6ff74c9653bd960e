"""`sphere-edge simulate adb|ssh`: a device on this machine; actions typed there break its link."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from sphere_edge import console
from sphere_edge.simulate.adb_daemon import Owner
from sphere_edge.simulate.simulated_device import Options, SimulatedDevice, adb_phone, ssh_board


def simulate_adb(options: Options, owner: Owner, *, as_json: bool) -> None:
    """A phone for adb; raises what `adb_phone` raises."""
    with adb_phone(options, owner, console.progress()) as device:
        _serve(device, as_json=as_json)


def simulate_ssh(options: Options, *, as_json: bool) -> None:
    """A board with an SSH server; raises what `ssh_board` raises."""
    with ssh_board(options, console.progress()) as device:
        _serve(device, as_json=as_json)


def _serve(device: SimulatedDevice, *, as_json: bool) -> None:
    """Prints how to reach the device, then runs the actions typed until Ctrl-C or SIGTERM."""
    if as_json:
        console.write_json({"uri": device.uri, "environment": device.variables})
    else:
        for command in device.commands:
            console.write(command)
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    actions = device.actions
    console.say(f"{device.uri} is up until Ctrl-C; type {', '.join(actions)} to break its link")
    threading.Thread(target=_run_typed, args=(actions,), daemon=True).start()
    try:
        # A wait without a timeout would block signals on some systems.
        while not ended.wait(1):
            pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    sent = console.human_bytes(device.link.sent_bytes)
    console.say(f"{device.uri} has stopped; {sent} were sent to it")


def _run_typed(actions: dict[str, Callable[[], None]]) -> None:
    for line in sys.stdin:
        name = line.strip()
        if name in actions:
            actions[name]()
            console.say(f"{name}: done")
        elif name:
            console.warn(f"`{name}` is not one of {', '.join(actions)}")
