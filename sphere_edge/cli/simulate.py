"""Verbs that play a device on this machine: simulate adb, simulate ssh."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from sphere_edge.cli.flags import Action, Json, example, help_unless_invoked

app = typer.Typer(invoke_without_command=True)


class Owner(str, Enum):
    """Who sits at the phone, for `--owner`."""

    nobody = "nobody"
    willing = "willing"
    unwilling = "unwilling"


Arm = Annotated[
    bool, typer.Option("--arm", help="Its programs are a small ARM system's, emulated by qemu.")
]
Root = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="The device's `/`, which lies there already."),
]
Cpu = Annotated[
    str | None, typer.Option(metavar="NAME", help="Emulated CPU of ARM programs, as qemu names it.")
]
Here = Annotated[
    bool, typer.Option("--here", help="The device's programs and files are this machine's own.")
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Loopback port; 0: any free one.")]
CutAfter = Annotated[
    float | None,
    typer.Option("--cut-after-mib", min=0, help="Cut the link after so many MiB to the device."),
]
Cuts = Annotated[int, typer.Option(min=1, help="How often --cut-after-mib cuts.")]
Delay = Annotated[float, typer.Option("--delay-ms", min=0, help="Latency of the link, one way.")]
Speed = Annotated[
    float | None, typer.Option("--mib-per-second", min=0.001, help="Speed of the link.")
]


@app.callback()
def simulate(context: typer.Context) -> None:
    """Play a phone or a board on this machine, for trying things out without one."""
    help_unless_invoked(context)


@app.command(
    epilog=example(
        "sphere-edge simulate adb",
        "sphere-edge simulate adb --cut-after-mib 3 --cuts 2 --mib-per-second 5",
        "sphere-edge simulate adb --arm --cpu cortex-a76",
    )
)
def adb(
    arm: Arm = False,
    root: Root = None,
    cpu: Cpu = None,
    here: Here = False,
    port: Port = 0,
    owner: Annotated[
        Owner, typer.Option(help="Who answers the phone's question about USB debugging.")
    ] = Owner.nobody,
    cut_after: CutAfter = None,
    cuts: Cuts = 1,
    delay: Delay = 0.0,
    speed: Speed = None,
    json: Json = False,
) -> Action:
    """Play a phone that adb reaches, until Ctrl-C."""

    def action() -> None:
        from sphere_edge.commands import simulate as command

        command.simulate_adb(
            command.Where(root, arm, cpu, here, port),
            command.Faults(_bytes(cut_after), cuts, delay, _bytes(speed)),
            owner.value,
            as_json=json,
        )

    return action


@app.command(
    epilog=example(
        "sphere-edge simulate ssh",
        "sphere-edge simulate ssh --arm --delay-ms 50",
    )
)
def ssh(
    arm: Arm = False,
    root: Root = None,
    cpu: Cpu = None,
    here: Here = False,
    port: Port = 0,
    cut_after: CutAfter = None,
    cuts: Cuts = 1,
    delay: Delay = 0.0,
    speed: Speed = None,
    json: Json = False,
) -> Action:
    """Play a board with an SSH server, until Ctrl-C."""

    def action() -> None:
        from sphere_edge.commands import simulate as command

        command.simulate_ssh(
            command.Where(root, arm, cpu, here, port),
            command.Faults(_bytes(cut_after), cuts, delay, _bytes(speed)),
            as_json=json,
        )

    return action


def _bytes(mebibytes: float | None) -> int | None:
    return None if mebibytes is None else round(mebibytes * (1 << 20))
