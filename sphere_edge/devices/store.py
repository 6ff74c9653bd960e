"""The store on a device: blobs named by content, bundles made of links to them, a pointer each.

    blobs/SHA256          a file's content, read-only
    incoming/SHA256       a blob on its way; a deploy that was cut off goes on at its end
    bundles/ID/…          links to blobs; `files.sha256` lists them (`sha256sum -c` proves them)
    current/NAME          two lines: the ID in use, and the ID before it
    lock                  a link that names who is deploying

Everything becomes visible by one rename, so a reader sees the old state or the new one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sphere_edge import console, errors
from sphere_edge.devices import inventory, store_script
from sphere_edge.devices.device import Device
from sphere_edge.devices.inventory import Inventory
from sphere_edge.devices.items import Item, bundle_id, check, listing
from sphere_edge.devices.lock import Lock, release
from sphere_edge.devices.probe import parse_sections
from sphere_edge.devices.transfer import PATIENCE_S, Blob, Link, send_blob

# Room for the part on its way, links and pointers.
_SPARE_BYTES = 32 << 20
# No device hashes slower than this.
_HASH_BYTES_PER_S = 10 << 20
# `sync` before a switch writes out all that was sent.
_SWITCH_TIMEOUT_S = 600
_WORDS_PER_CALL = 200
_MEASURE_BYTES = 4 << 20

# Tries the bundle in this folder on the device; raises if it does not work.
Smoke = Callable[[str], None]


@dataclass(frozen=True)
class Installed:
    """One name in the store."""

    name: str
    bundle: str
    bytes: int
    previous: str | None


@dataclass(frozen=True)
class Plan:
    """What a deploy would send; `seconds` None where that was not measured."""

    bundle: str
    missing: tuple[Item, ...]
    send_bytes: int
    total_bytes: int
    free_bytes: int | None
    seconds: float | None = None


@dataclass(frozen=True)
class Deployed:
    """A finished deploy; `sent_bytes` counts also what was sent again after a cut."""

    bundle: str
    folder: str
    sent_bytes: int
    total_bytes: int


class Store:
    """The store in the folder `root` of `device` (by default the device's own)."""

    def __init__(
        self,
        device: Device,
        root: str | None = None,
        *,
        patience_s: Sequence[float] = PATIENCE_S,
    ) -> None:
        self.device = device
        self._patience_s = patience_s
        self.root = _absolute(device, root or device.default_store)
        self.script = store_script.StoreScript(device, self.root)

    def plan(self, items: Sequence[Item], *, measure: bool = False) -> Plan:
        """What is missing there. Changes nothing; `measure` times the link for an estimate."""
        check(items)
        plan = self._plan(items)
        return replace(plan, seconds=self._seconds_for(plan.send_bytes)) if measure else plan

    def deploy(
        self,
        name: str,
        items: Sequence[Item],
        *,
        smoke: Smoke | None = None,
        progress: console.Progress = console.SILENT,
    ) -> Deployed:
        """Sends what is missing, proves it there, tries it with `smoke(folder)`, then switches.

        Until the switch `name` stays what it was, whatever fails; a later call goes on with what
        has arrived. Raises what `smoke` raises, StorageError (no room, read-only, programs not
        allowed), UnavailableError (device gone for good, another deploy under way).
        """
        check(items)
        if not inventory.NAME.fullmatch(name):
            message = f"invalid bundle name `{name}`"
            raise errors.InvalidArgumentError(message)
        with self._locked() as lock:
            self.script.call("prepare")
            plan = self._plan(items)
            self.require_room(plan)
            if any(item.is_program for item in items):
                self.script.call("executable")
            sent_bytes = self._send(plan, lock, progress)
            self._link(plan.bundle, items, lock)
            folder = f"{self.root}/bundles/{plan.bundle}"
            if smoke is not None:
                smoke(folder)
            self.script.call("switch", name, plan.bundle, lock=lock, timeout_s=_SWITCH_TIMEOUT_S)
        return Deployed(plan.bundle, folder, sent_bytes, plan.total_bytes)

    @contextmanager
    def staged(
        self, items: Sequence[Item], progress: console.Progress = console.SILENT
    ) -> Iterator[str]:
        """A folder with `items`, under no name; at the end what was not there before is deleted.

        Until then the store is locked: another block, or gc, would delete it. Raises what deploy
        raises.
        """
        check(items)
        with self._locked() as lock:
            self.script.call("prepare")
            plan = self._plan(items)
            self.require_room(plan)
            self.script.call("executable")
            self._send(plan, lock, progress)
            self._link(plan.bundle, items, lock)
            try:
                yield f"{self.root}/bundles/{plan.bundle}"
            finally:
                # What cannot be deleted now, gc deletes; it must not hide why we end.
                with suppress(errors.SphereEdgeError):
                    self._unstage(plan, lock)

    def rollback(self, name: str) -> Installed:
        """Makes the bundle before the current one; a second rollback undoes the first.

        Raises NotFoundError: no such name, or nothing before it.
        """
        known = self.find(name)
        if known.previous is None:
            message = f"`{name}` on {self.device.uri} has no bundle before this one"
            raise errors.NotFoundError(message)
        with self._locked() as lock:
            self.script.call("back", name, lock=lock, timeout_s=_SWITCH_TIMEOUT_S)
        return self.find(name)

    def installed(self) -> list[Installed]:
        """Every name with what it uses now. A pointer that cannot be read counts as none."""
        found = self._inventory()
        current = [bundle for bundle, _ in found.current.values() if bundle in found.bundles]
        blobs = self._blobs_of(current)
        return [
            Installed(
                name,
                bundle,
                sum(found.blobs.get(blob, 0) for blob in blobs.get(bundle, ())),
                previous,
            )
            for name, (bundle, previous) in sorted(found.current.items())
        ]

    def find(self, name: str) -> Installed:
        """What `name` uses now. Raises NotFoundError."""
        installed = self.installed()
        for one in installed:
            if one.name == name:
                return one
        names = ", ".join(one.name for one in installed) or "nothing"
        message = f"there is no `{name}` on {self.device.uri}"
        raise errors.NotFoundError(message, hint=f"deployed there: {names}")

    def folder(self, name: str) -> str:
        """The folder of the current bundle of `name` on the device. Raises NotFoundError."""
        return f"{self.root}/bundles/{self.find(name).bundle}"

    def remove(self, name: str) -> int:
        """Forgets `name` and frees what only it used; the bytes freed. Raises NotFoundError."""
        self.find(name)
        with self._locked() as lock:
            self.script.call("forget", name, lock=lock)
            return self._collect(lock)

    def gc(self) -> int:
        """Deletes what neither a current nor a previous bundle needs; the bytes freed."""
        found = self._inventory()
        if not (found.bundles or found.blobs or found.incoming):
            return 0
        with self._locked() as lock:
            return self._collect(lock)

    def require_room(self, plan: Plan) -> None:
        """Raises StorageError if what is to be sent cannot fit."""
        needed = plan.send_bytes + _SPARE_BYTES
        if plan.missing and plan.free_bytes is not None and plan.free_bytes < needed:
            message = (
                f"not enough space in `{self.root}` on {self.device.uri}: "
                f"{console.human_bytes(needed)} needed, {console.human_bytes(plan.free_bytes)} free"
            )
            hint = f"`sphere-edge device gc --device {self.device.uri}` frees what is not in use"
            raise errors.StorageError(message, hint=hint)

    @contextmanager
    def _locked(self) -> Iterator[Lock]:
        lock = Lock(self.device, self.root)
        try:
            yield lock
        finally:
            release(lock)

    def _inventory(self) -> Inventory:
        return inventory.parse(self.script.call("inventory").stdout)

    def _plan(self, items: Sequence[Item]) -> Plan:
        found = self._inventory()
        wanted = {item.sha256: item for item in items}
        there = [item for item in wanted.values() if found.blobs.get(item.sha256) == item.bytes]
        # A blob that is there may have been damaged since: it is proved before it counts.
        whole = self.proved(there)
        missing = tuple(item for item in wanted.values() if item.sha256 not in whole)
        partly = sum(min(found.incoming.get(item.sha256, 0), item.bytes) for item in missing)
        send_bytes = sum(item.bytes for item in missing) - partly
        total = sum(item.bytes for item in items)
        return Plan(bundle_id(items), missing, send_bytes, total, found.free_bytes)

    def proved(self, items: Sequence[Item]) -> set[str]:
        """Those of `items` whose blob on the device really has that content."""
        whole: set[str] = set()
        for some in _chunks(items):
            timeout_s = 60 + sum(item.bytes for item in some) / _HASH_BYTES_PER_S
            words = [item.sha256 for item in some]
            completed = self.script.attempt("hash", *words, timeout_s=timeout_s)
            if completed.exit_code == store_script.NO_SHA256:
                self.script.require(completed)
            for line in completed.stdout.splitlines():
                pair = line.split()
                if len(pair) == 2 and pair[0] == pair[1]:
                    whole.add(pair[0])
        return whole

    def _seconds_for(self, send_bytes: int) -> float:
        if send_bytes == 0:
            return 0.0
        started = time.monotonic()
        self.device.run(["true"])
        reached = time.monotonic()
        self.device.run(["sh", "-c", "cat >/dev/null"], stdin=bytes(_MEASURE_BYTES), timeout_s=120)
        latency = reached - started
        moving = max(time.monotonic() - reached - latency, 1e-3)
        return latency + send_bytes * moving / _MEASURE_BYTES

    def _send(self, plan: Plan, lock: Lock, progress: console.Progress) -> int:
        """Sends what is missing; the bytes that went over the link."""
        if not plan.missing:
            return 0
        sent_bytes, link = 0, Link(self.device, lock, self._patience_s)
        with progress.step("sending", sum(item.bytes for item in plan.missing), "bytes") as step:
            for item in plan.missing:
                blob = Blob(item.source, f"{self.root}/incoming/{item.sha256}", item.bytes)
                arrival = _Arrival(self, item, lock)
                sent_bytes += send_blob(link, blob, arrival, advance=step.advance)
        return sent_bytes

    def _link(self, bundle: str, items: Sequence[Item], lock: Lock) -> None:
        # A blob that was there already as a plain file may be a program in this bundle.
        programs = sorted({item.sha256 for item in items if item.is_program})
        for words in _chunks(programs):
            self.script.call("mode", "555", *words)
        with TemporaryDirectory(prefix="sphere-edge-") as folder:
            written = Path(folder) / "files.sha256"
            written.write_bytes(listing(items))
            self.device.push(written, f"{self.root}/incoming/{bundle}.files")
        self.script.call("link", bundle, lock=lock)

    def _blobs_of(self, bundles: Sequence[str]) -> dict[str, set[str]]:
        """The blobs that each of `bundles` is made of; none for one whose list is lost."""
        found: dict[str, set[str]] = {}
        for some in _chunks(list(dict.fromkeys(bundles))):
            found |= inventory.blobs_by_bundle(self.script.call("listings", *some).stdout)
        return {bundle: found.get(bundle, set()) for bundle in bundles}

    def _unstage(self, plan: Plan, lock: Lock) -> None:
        found = self._inventory()
        if any(plan.bundle in pair for pair in found.current.values()):
            return
        others = self._blobs_of([bundle for bundle in found.bundles if bundle != plan.bundle])
        needed = {blob for blobs in others.values() for blob in blobs}
        sent = [item.sha256 for item in plan.missing if item.sha256 not in needed]
        self.script.call("delete", "bundles", plan.bundle, lock=lock)
        for words in _chunks(sent):
            self.script.call("delete", "blobs", *words, lock=lock)

    def _collect(self, lock: Lock) -> int:
        found = self._inventory()
        pointed = {one for pair in found.current.values() for one in pair if one}
        # Read before anything is deleted: what cannot be read stops here, with everything whole.
        kept = self._blobs_of([bundle for bundle in found.bundles if bundle in pointed])
        for bundle, blobs in kept.items():
            if not blobs:
                message = f"the bundle `{bundle}` on {self.device.uri} has lost its list of files"
                raise errors.StorageError(message, hint="deploy it again, then repeat this")
        needed = {blob for blobs in kept.values() for blob in blobs}
        unused = [blob for blob in found.blobs if blob not in needed]
        for kind, names in (
            ("bundles", [bundle for bundle in found.bundles if bundle not in pointed]),
            ("blobs", unused),
            ("incoming", list(found.incoming)),
        ):
            for words in _chunks(names):
                self.script.call("delete", kind, *words, lock=lock)
        self.script.call("sweep", lock=lock)
        return sum(found.blobs[blob] for blob in unused) + sum(found.incoming.values())


class _Arrival:
    """What the store knows of one item on its way."""

    def __init__(self, store: Store, item: Item, lock: Lock) -> None:
        self._store, self._item, self._lock = store, item, lock

    def is_there(self) -> bool:
        return self._item.sha256 in self._store.proved([self._item])

    def arrived_bytes(self) -> int:
        completed = self._store.script.call("size", self._item.sha256)
        return inventory.files(completed.stdout.splitlines()).get(self._item.sha256, 0)

    def finish(self) -> bool:
        mode = "555" if self._item.is_program else "444"
        finished = self._store.script.attempt(
            "finish",
            self._item.sha256,
            mode,
            lock=self._lock,
            timeout_s=60 + self._item.bytes / _HASH_BYTES_PER_S,
        )
        if finished.exit_code == store_script.DAMAGED:
            return False
        self._store.script.require(finished)
        return True


def _absolute(device: Device, root: str) -> str:
    if root == "~" or root.startswith("~/"):
        output = device.run(["sh", "-c", 'printf "== home\n%s\n" "$HOME"']).stdout
        home = "".join(parse_sections(output).get("home", [])[:1])
        if not home.startswith("/"):
            message = f"the user on {device.uri} has no home folder"
            raise errors.StorageError(message, hint="name a folder with --store")
        root = home + root[1:]
    if not root.startswith("/") or not root.isprintable():
        message = f"the store `{root}` on {device.uri} is not an absolute path"
        raise errors.InvalidArgumentError(message)
    return root.rstrip("/") or "/"


def _chunks(words: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(words), _WORDS_PER_CALL):
        yield words[start : start + _WORDS_PER_CALL]
