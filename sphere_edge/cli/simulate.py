"""The command that simulates a device on this machine: simulate adb, simulate ssh."""

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
    """How the phone's owner answers, for `--owner`."""

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
    kind: Annotated[Kind, typer.Argument(help="adb: a phone; ssh: a board with sshd.")],
    arm: Annotated[bool, typer.Option("--arm", help="Run a small ARM system, with qemu.")] = False,
    android: Annotated[
        bool, typer.Option("--android", help="With --arm: behave like an Android phone.")
    ] = False,
    root: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Existing folder that becomes the device's `/`."),
    ] = None,
    cpu: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Emulated CPU of ARM programs, as qemu names it."),
    ] = None,
    here: Annotated[
        bool, typer.Option("--here", help="Use this machine's own programs and files.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Loopback port; 0: any free one.")
    ] = 0,
    owner: Annotated[
        Owner,
        typer.Option(
            help="nobody, willing or unwilling: who answers the phone's USB debugging prompt."
        ),
    ] = Owner.willing,
    cut_after: Annotated[
        float | None,
        typer.Option("--cut-after-mib", min=0, help="Cut the connection after this many MiB."),
    ] = None,
    cuts: Annotated[int, typer.Option(min=1, help="Number of cuts.")] = 1,
    delay: Annotated[
        float, typer.Option("--delay-ms", min=0, help="Latency of the connection, one way.")
    ] = 0.0,
    speed: Annotated[
        float | None, typer.Option("--mib-per-second", min=0.001, help="Speed of the connection.")
    ] = None,
    loss: Annotated[
        float,
        typer.Option(
            "--loss-percent", min=0, max=50, help="Share of packets that arrive late, as if resent."
        ),
    ] = 0.0,
    json: Json = False,
) -> Action:
    """Simulate a phone or a board on this machine, until Ctrl-C."""

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
