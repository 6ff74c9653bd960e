"""The verb that plays a device on this machine: simulate adb, simulate ssh."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from sphere_edge.cli.flags import Action, Json, example

app = typer.Typer()


class Kind(str, Enum):
    """How the device is reached."""

    adb = "adb"
    ssh = "ssh"


class Owner(str, Enum):
    """Who sits at the phone, for `--owner`."""

    nobody = "nobody"
    willing = "willing"
    unwilling = "unwilling"


@app.command(
    epilog=example(
        "sphere-edge simulate adb",
        "sphere-edge simulate adb --cut-after-mib 3 --cuts 2 --mib-per-second 5",
        "sphere-edge simulate adb --arm --android --cpu cortex-a76",
        "sphere-edge simulate ssh --arm --delay-ms 50",
    )
)
def simulate(
    kind: Annotated[Kind, typer.Argument(help="A phone that adb reaches, or a board with sshd.")],
    arm: Annotated[
        bool, typer.Option("--arm", help="Its programs are a small ARM system's, run by qemu.")
    ] = False,
    android: Annotated[
        bool, typer.Option("--android", help="With --arm: it answers as an Android phone does.")
    ] = False,
    root: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The device's `/`, which lies there already."),
    ] = None,
    cpu: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Emulated CPU of ARM programs, as qemu names it."),
    ] = None,
    here: Annotated[
        bool, typer.Option("--here", help="Its programs and files are this machine's own.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Loopback port; 0: any free one.")
    ] = 0,
    owner: Annotated[
        Owner, typer.Option(help="Who answers the phone's question about USB debugging.")
    ] = Owner.nobody,
    cut_after: Annotated[
        float | None,
        typer.Option("--cut-after-mib", min=0, help="Cut the link after so many MiB to it."),
    ] = None,
    cuts: Annotated[int, typer.Option(min=1, help="How often --cut-after-mib cuts.")] = 1,
    delay: Annotated[
        float, typer.Option("--delay-ms", min=0, help="Latency of the link, one way.")
    ] = 0.0,
    speed: Annotated[
        float | None, typer.Option("--mib-per-second", min=0.001, help="Speed of the link.")
    ] = None,
    loss: Annotated[
        float,
        typer.Option(
            "--loss-percent", min=0, max=50, help="So many packets come late, as if sent again."
        ),
    ] = 0.0,
    json: Json = False,
) -> Action:
    """Play a phone or a board on this machine, until Ctrl-C, for trying things out without one."""

    def action() -> None:
        from sphere_edge.commands import simulate as command
        from sphere_edge.simulate.simulated_device import Faults, Options

        options = Options(
            root=root,
            arm=arm,
            android=android,
            on_host=here,
            cpu=cpu,
            port=port,
            faults=Faults(_bytes(cut_after), cuts, delay, _bytes(speed), loss),
        )
        if kind is Kind.adb:
            command.simulate_adb(options, owner.value, as_json=json)
        else:
            command.simulate_ssh(options, as_json=json)

    return action


def _bytes(mebibytes: float | None) -> int | None:
    return None if mebibytes is None else round(mebibytes * (1 << 20))
