"""Kills pushes at random moments and looks at what is left: `python benchmarks/kill_push.py`.

Per transport (local, ssh, adb) a bundle is deployed again and again while something is killed: the
deploying program, the link, the device's server, or the whole device (its programs end, `/tmp` is
empty, what was not yet on the flash is lost). After each kill the bundle in use on the device must
be the old or the new one, with every hash right; and the next deploy must complete. Printed:
bytes sent again, on average per kill; running totals while it works, which `--json` keeps, so that
a run that is ended early was not for nothing. Exit code 1 if anything ever broke.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import adbutils

from sphere_edge import errors
from sphere_edge.devices.device import FilePart, Sent
from sphere_edge.devices.items import Item, bundle_id
from sphere_edge.devices.local import LocalDevice
from sphere_edge.devices.open import open_device
from sphere_edge.devices.store import Store
from sphere_edge.simulate.adb_daemon import AdbDaemon
from sphere_edge.simulate.link import Link
from sphere_edge.simulate.programs import kill_tree
from sphere_edge.simulate.sshd import Sshd

MIB = 1 << 20
# A large one of more than one part, and small ones, as bundles have.
SIZES = {"weights/a": 20 * MIB, "weights/b": 2 * MIB, "tokenizer": 200_000, "bundle.json": 900}
# How long a deploy may take that was disturbed once.
LIMIT_S = 90.0
# Kills between two lines that tell the totals.
SAY_EVERY = 20
PATIENCE_S = (0.0, 0.1, 0.3, 1.0, 2.0, 4.0, 8.0)
# Exit codes of the deploying process that are expected after a kill.
GAVE_UP = errors.Status.UNAVAILABLE

# A fresh process per deploy, without importing everything each time.
PROCESSES = multiprocessing.get_context("forkserver")


@dataclass
class Transport:
    """How a device is reached (`uri`), and how it and the link to it are killed."""

    name: str
    uri: str
    kinds: dict[str, Callable[[], object]]
    # The device's own end, where it has one besides this machine.
    server: AdbDaemon | Sshd | None = None


@dataclass
class Result:
    """What was seen on one transport."""

    transport: str
    kills: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    # The kill came when nothing was under way any more; not among `kills`.
    too_late: int = 0
    deploys: int = 0
    went_on_by_itself: int = 0
    new_bytes: int = 0
    sent_bytes: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    @property
    def resent_bytes_per_kill(self) -> float:
        """Bytes sent beyond those that were new, per kill."""
        return (self.sent_bytes - self.new_bytes) / max(1, self.kills)


def main() -> None:
    """Kills, looks, tells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="per transport")
    parser.add_argument("--transports", default="local,ssh,adb")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="keep the totals there, after every deploy")
    given = parser.parse_args()
    PROCESSES.set_forkserver_preload(["__main__"])
    done: list[Result] = []

    def report(result: Result) -> None:
        if given.json:
            keep(given.json, [*done, result])
        if result.kills // SAY_EVERY > reported.get(result.transport, 0):
            reported[result.transport] = result.kills // SAY_EVERY
            say(result)

    reported: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="kill-push-") as folder:
        for name in given.transports.split(","):
            with TRANSPORTS[name](Path(folder)) as transport:
                chance = random.Random(f"{given.seed} {name}")
                done.append(torment(transport, Path(folder) / name, given.kills, chance, report))
            print("the end:", end=" ", file=sys.stderr)
            say(done[-1])
    sys.exit(any(one.failures for one in done))


def keep(path: Path, results: list[Result]) -> None:
    """Writes the totals to `path`, so that whoever reads it never finds half a file."""
    whole = [asdict(one) | {"resent_bytes_per_kill": one.resent_bytes_per_kill} for one in results]
    beside = path.with_name(f"{path.name}.part")
    beside.write_text(json.dumps(whole, indent=2), "utf-8")
    beside.replace(path)


def say(result: Result) -> None:
    """One transport's totals for people, on stderr."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(result.by_kind.items()))
    print(
        f"{result.transport}: {result.kills} kills ({kinds}), {result.too_late} too late; "
        f"{result.deploys} deploys came to their "
        f"end, {result.went_on_by_itself} of them by themselves; "
        f"{result.resent_bytes_per_kill / MIB:.1f} MiB sent again per kill; "
        f"{result.seconds:.0f} s; "
        f"{len(result.failures)} failures",
        file=sys.stderr,
    )
    for failure in result.failures:
        print(f"  {failure}", file=sys.stderr)


@contextmanager
def local(folder: Path) -> Iterator[Transport]:
    """The machine we run on."""
    yield Transport("local", "local", {})


@contextmanager
def ssh(folder: Path) -> Iterator[Transport]:
    """A real sshd behind a link."""
    server = Sshd(folder / "sshd")
    server.start()
    link = Link(server.port)
    os.environ["SPHERE_EDGE_SSH_CONFIG"] = str(server.config(link.port))
    kinds = {"link cut": link.cut, "server killed": server.restart}
    try:
        yield Transport("ssh", "ssh://board", kinds, server)
    finally:
        link.take_down()
        server.stop()


@contextmanager
def adb(folder: Path) -> Iterator[Transport]:
    """A simulated phone behind the real adb server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    os.environ.update(ANDROID_ADB_SERVER_PORT=port, ADB_MDNS="0")
    program = [adbutils.adb_path(), "-P", port]
    daemon = AdbDaemon()
    daemon.start()
    link = Link(daemon.port)
    subprocess.run([*program, "start-server"], check=True, capture_output=True)
    restart_adb = [*program, "kill-server"]
    kinds: dict[str, Callable[[], object]] = {
        "link cut": link.cut,
        "server killed": daemon.restart,
        "adb server killed": lambda: subprocess.run(restart_adb, capture_output=True, check=False),
    }
    try:
        yield Transport("adb", f"adb:127.0.0.1:{link.port}", kinds, daemon)
    finally:
        link.take_down()
        daemon.stop()
        subprocess.run([*program, "kill-server"], check=False, capture_output=True)


TRANSPORTS = {"local": local, "ssh": ssh, "adb": adb}


def torment(
    transport: Transport,
    folder: Path,
    kills: int,
    chance: random.Random,
    report: Callable[[Result], object] = lambda _: None,
) -> Result:
    """Deploys and kills until `kills` were made; `report` gets the totals after each deploy."""
    folder.mkdir()
    root = folder / "store"
    result = Result(transport.name)
    version = 0
    old = make(folder, version, chance)
    began = time.monotonic()
    if deploy(transport, root, old, result).exitcode != 0:
        result.failures.append("the undisturbed first deploy failed")
        return result
    # Of an undisturbed deploy that sends everything: kills fall anywhere in there, or just after.
    whole_s = time.monotonic() - began
    while result.kills < kills and len(result.failures) < 10:
        version += 1
        new = make(folder, version, chance)
        result.new_bytes += sum(item.bytes for item in new)
        while True:
            kind = chance.choice(["program killed", "device restarted", *transport.kinds])
            process = start(transport, root, new, result)
            time.sleep(chance.uniform(0, 1.1 * whole_s))
            kill(kind, transport, root, process, result, chance)
            finish(process, kind, result)
            current = check(root, old, new, f"{kind}, kill {result.kills}", result)
            if current == bundle_id(new):
                result.went_on_by_itself += process.exitcode == 0
                break
            # Three disturbed ones in a row are enough; then it has to get there.
            if chance.random() < 0.3 or result.kills >= kills:
                if deploy(transport, root, new, result).exitcode != 0:
                    result.failures.append(f"did not go on after {kind}, kill {result.kills}")
                    break
                check(root, new, new, f"after {kind}, kill {result.kills}", result)
                break
        result.deploys += 1
        result.seconds = time.monotonic() - began
        report(result)
        Store(LocalDevice(), str(root)).gc()
        remove(old)
        old = new
    return result


def make(folder: Path, version: int, chance: random.Random) -> list[Item]:
    """A bundle that shares nothing with those before."""
    items = []
    for path, size in SIZES.items():
        content = chance.randbytes(size)
        digest = hashlib.sha256(content).hexdigest()
        source = folder / f"{version}-{digest[:16]}"
        source.write_bytes(content)
        items.append(Item(path, source, size, digest))
    return items


def remove(items: list[Item]) -> None:
    """Forgets a bundle's sources."""
    for item in items:
        item.source.unlink()


@dataclass
class Deploying:
    """A deploying process; `sent` is how much it has handed to the transport."""

    process: Any
    sent: Any
    result: Result

    @property
    def exitcode(self) -> int | None:
        """As of the process; its bytes are counted once it has one."""
        code: int | None = self.process.exitcode
        return code


def start(transport: Transport, root: Path, items: list[Item], result: Result) -> Deploying:
    """A deploy in a process of its own."""
    sent = PROCESSES.Value("q", 0)
    names = ("SPHERE_EDGE_SSH_CONFIG", "ANDROID_ADB_SERVER_PORT", "ADB_MDNS")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    words = (transport.uri, str(root), items, sent, environment)
    process = PROCESSES.Process(target=child, args=words, daemon=True)
    process.start()
    return Deploying(process, sent, result)


def deploy(transport: Transport, root: Path, items: list[Item], result: Result) -> Deploying:
    """An undisturbed deploy, to its end."""
    deploying = start(transport, root, items, result)
    finish(deploying, "nothing", result)
    return deploying


def child(uri: str, root: str, items: list[Item], sent: Any, environment: dict[str, str]) -> None:
    """What the deploying process does."""
    os.environ.update(environment)
    # Ctrl-C is for the one who started us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        device = open_device(uri)
        push, total = device.push, sent

        def counted(
            source: Path, remote: str, part: FilePart | None = None, sent: Sent | None = None
        ) -> None:
            def report(count: int) -> None:
                total.value += count
                if sent is not None:
                    sent(count)

            push(source, remote, part, report)

        device.push = counted  # type: ignore[method-assign]
        Store(device, root, patience_s=PATIENCE_S).deploy("demo", items)
    except errors.SphereEdgeError as error:
        print(f"    {error.message}", file=sys.stderr)
        sys.exit(int(error.code))


def kill(
    kind: str,
    transport: Transport,
    root: Path,
    deploying: Deploying,
    result: Result,
    chance: random.Random,
) -> None:
    """Kills what `kind` says; it counts only if the deploy was still under way."""
    if deploying.process.is_alive():
        result.kills += 1
        result.by_kind[kind] = result.by_kind.get(kind, 0) + 1
    else:
        result.too_late += 1
    if kind == "program killed":
        deploying.process.kill()
    elif kind == "device restarted":
        if transport.server is None:
            # Here the deploying program is one of the device's programs.
            kill_tree(deploying.process.pid)
        else:
            transport.server.stop()
        lose_what_was_not_written(root, chance)
        if transport.server is not None:
            transport.server.start()
    else:
        transport.kinds[kind]()


def lose_what_was_not_written(root: Path, chance: random.Random) -> None:
    """A power cut: the last pages of files that were not synced are empty or gone."""
    incoming = root / "incoming"
    for path in incoming.iterdir() if incoming.is_dir() else ():
        try:
            size = path.stat().st_size
            with path.open("r+b") as file:
                file.truncate(max(0, size - chance.randrange(4 * MIB)))
                if chance.random() < 0.5:
                    file.truncate(size)
        except OSError:
            # A last program has taken it away.
            continue


def finish(deploying: Deploying, kind: str, result: Result) -> None:
    """Waits for the end of a disturbed deploy; counts what it sent."""
    deploying.process.join(LIMIT_S)
    if deploying.process.is_alive():
        result.failures.append(f"hangs after {kind}, kill {result.kills}")
        deploying.process.kill()
        deploying.process.join()
    elif deploying.exitcode not in (0, -signal.SIGKILL, GAVE_UP):
        result.failures.append(f"ended with {deploying.exitcode} after {kind}, {result.kills}")
    if kind != "nothing" or result.kills:
        result.sent_bytes += deploying.sent.value


def check(root: Path, old: list[Item], new: list[Item], moment: str, result: Result) -> str:
    """The id of the bundle in use, which has to be `old` or `new` and whole."""
    store = Store(LocalDevice(), str(root))
    current = store.find("demo").bundle
    expected = {bundle_id(items): items for items in (old, new)}
    if current not in expected:
        result.failures.append(f"another bundle is in use after {moment}")
        return current
    for item in expected[current]:
        path = root / "bundles" / current / item.path
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != item.sha256:
            result.failures.append(f"`{item.path}` of the bundle in use is broken after {moment}")
    return current


if __name__ == "__main__":
    main()
