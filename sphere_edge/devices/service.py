"""A server as a systemd user service on a Linux device: installed, shown, restarted, removed.

Beside the store's folders there is one for each service:

    services/NAME/start            starts the server for the bundle in use, or asks it (a script)
    services/NAME/settings.json    what it is started with
    services/NAME/key              the key that it asks its clients for, readable by its owner
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import errors
from sphere_edge.devices.device import Device, storage_error
from sphere_edge.devices.probe import parse_sections
from sphere_edge.devices.store import Store
from sphere_edge.run import Completed

_SCRIPT = Path(__file__).with_name("service.sh").read_bytes()
_CANNOT_WRITE, _NO_SYSTEMD, _NO_SERVICE = 20, 27, 28
_TIMEOUT_S = 600.0
_LINE_LIMIT = 200
# In the store, `tiny.server` is what serves `tiny`.
SUFFIX = ".server"

# The store, the name, and the words before the server's file. The bundles in use are looked up each
# time, so that the service follows a rollback.
_START = """\
# Made by `sphere-edge deploy --service`. $1: serve, or ready to ask whether it takes requests.
root={root} name={name}
read -r model <"$root/current/$name" && read -r server <"$root/current/$name{suffix}" || exit 66
cd "$root/services/$name" || exit 66
set -- "$1" settings.json "$name=$root/bundles/$model/bundle"
exec {python} -IS "$root/bundles/$server/{file}" "$@"
"""
# What starting again does not change: damaged, unsupported, made for another, does not load, wrong
# arguments, missing (sphere_edge/errors.py), and 66, nothing deployed.
_FINAL_CODES = "3 6 8 9 10 11 66"


@dataclass(frozen=True)
class Address:
    """Where the service listens on the device."""

    host: str = "127.0.0.1"
    port: int = 8080


@dataclass(frozen=True)
class Service:
    """What serves the deployed bundle `name` of the store `root`.

    `file`: the server's, in the bundle `name` + SUFFIX of the same store; `python` starts it.
    """

    root: str
    name: str
    file: str
    python: str
    settings: str

    @property
    def folder(self) -> str:
        """Its folder on the device."""
        return own_folder(self.root, self.name)


@dataclass(frozen=True)
class ServiceStatus:
    """The state of the service, in systemd's own words."""

    unit: str
    # `active` (it was checked and works), `failed`, `inactive`, `activating`.
    active: str
    enabled: str
    result: str
    since: str | None
    # Whether it also runs when the user is not logged in; None: unknown.
    lingers: bool | None
    # The last lines that it printed.
    output: tuple[str, ...]
    # Whether it takes requests.
    ready: bool = False

    @property
    def summary(self) -> str:
        """One sentence, with what the user can do about it."""
        when = "" if self.since is None else f" since {self.since}"
        alone = (
            "; it starts when you log in there, with the device after `loginctl enable-linger`"
            if self.lingers is False
            else ""
        )
        takes = " and takes requests" if self.ready else ""
        return f"the service `{self.unit}` is {self.active}{when}{takes}, {self.enabled}{alone}"


def unit_name(name: str) -> str:
    """The unit of the deployed bundle `name`, as in `systemctl --user status UNIT`."""
    return f"sphere-edge-{name}.service"


def own_folder(root: str, name: str) -> str:
    """Where the service of `name` has its files."""
    return f"{root}/services/{name}"


def start_script(service: Service) -> str:
    """The text of the script that starts the server."""
    return _START.format(
        root=shlex.quote(service.root),
        name=shlex.quote(service.name),
        suffix=SUFFIX,
        python=shlex.quote(service.python),
        file=service.file,
    )


def unit_file(root: str, name: str) -> str:
    """The text of the unit for `name` in the store `root` (systemd.service(5), systemd.exec(5)).

    Of the options that protect the system, those that a user's systemd can grant everywhere.
    """
    words = " ".join(
        _word(word) for word in ("/bin/sh", f"{own_folder(root, name)}/start", "serve")
    )
    return (
        "[Unit]\n"
        f"Description=sphere-edge: serves {name}\n"
        "StartLimitIntervalSec=600\n"
        "StartLimitBurst=5\n"
        "\n"
        "[Service]\n"
        "Type=notify\n"
        f"TimeoutStartSec={_TIMEOUT_S:.0f}\n"
        "TimeoutStopSec=60\n"
        f"ExecStart={words}\n"
        "Restart=on-failure\n"
        "RestartSec=5\n"
        f"RestartPreventExitStatus={_FINAL_CODES}\n"
        "UMask=0077\n"
        "NoNewPrivileges=yes\n"
        "LockPersonality=yes\n"
        "RestrictRealtime=yes\n"
        "RestrictSUIDSGID=yes\n"
        "\n"
        "[Install]\n"
        "WantedBy=default.target\n"
    )


def _word(word: str) -> str:
    """`word` as systemd reads it unchanged: quoted, without its specifiers and variables."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def require_systemd(device: Device) -> None:
    """Raises UnsupportedError unless the user's systemd answers on `device`."""
    if _call(device, "ready", "-", "-").exit_code != 0:
        message = f"{device.uri} has no systemd that runs services for this user"
        hint = "deploy without --service; services need a Linux device with systemd, over SSH"
        raise errors.UnsupportedError(message, hint=hint)


def install(device: Device, service: Service) -> ServiceStatus:
    """Installs, enables and starts the service; its status then, `failed` included.

    Raises StorageError, LoadFailedError.
    """
    unit = unit_name(service.name)
    texts = (unit_file(service.root, service.name), start_script(service), service.settings)
    completed = _call(device, "install", unit, service.folder, *texts)
    if completed.exit_code == _CANNOT_WRITE:
        raise storage_error(device.uri, f"~/.config/systemd/user/{unit}", completed.last_lines)
    found = status(device, service.root, service.name)
    if completed.exit_code != 0 and found.active not in ("failed", "activating"):
        message = f"the service `{unit}` on {device.uri} does not start: {completed.last_lines}"
        raise errors.LoadFailedError(message)
    return found


def status(device: Device, root: str, name: str) -> ServiceStatus:
    """The state now. Raises NotFoundError."""
    unit = unit_name(name)
    completed = _call(device, "status", unit, own_folder(root, name))
    found = parse_sections(_require(device, name, completed).stdout)
    values = dict(
        line.split("=", 1)
        for line in found.get("unit", []) + found.get("linger", [])
        if "=" in line
    )
    return ServiceStatus(
        unit,
        active=_shown(values.get("ActiveState")) or "unknown",
        enabled=_shown(values.get("UnitFileState")) or "unknown",
        result=_shown(values.get("Result")) or "unknown",
        since=_shown(values.get("ActiveEnterTimestamp")),
        lingers={"yes": True, "no": False}.get(values.get("Linger", "")),
        output=tuple(text for line in found.get("output", []) if (text := _shown(line))),
        ready="ready" in found.get("ready", []),
    )


def is_installed(device: Device, name: str) -> bool:
    """Whether there is a service for `name`, running or not."""
    return _call(device, "there", unit_name(name), "-").exit_code == 0


def restart(device: Device, root: str, name: str) -> ServiceStatus:
    """Starts it again, with the bundle that is in use now; its status then."""
    _require(device, name, _call(device, "restart", unit_name(name), "-"))
    return status(device, root, name)


def remove(device: Device, store: Store, name: str) -> None:
    """Stops, disables and deletes it, and its server. Raises NotFoundError, StorageError."""
    _require(device, name, _call(device, "remove", unit_name(name), own_folder(store.root, name)))
    if any(one.name == f"{name}{SUFFIX}" for one in store.installed()):
        store.remove(f"{name}{SUFFIX}")


def remove_deployed(device: Device, store: Store, name: str) -> int:
    """Removes `name` and its service from the device; the bytes freed. Raises NotFoundError."""
    store.find(name)
    if is_installed(device, name):
        remove(device, store, name)
    return store.remove(name)


def _call(device: Device, action: str, *words: str) -> Completed:
    argv = ["sh", "-s", "--", action, *words]
    return device.run(argv, stdin=_SCRIPT, timeout_s=_TIMEOUT_S)


def _require(device: Device, name: str, completed: Completed) -> Completed:
    if completed.exit_code == _NO_SERVICE:
        message = f"there is no service for `{name}` on {device.uri}"
        hint = "`sphere-edge deploy BUNDLE --device URI --service` installs one"
        raise errors.NotFoundError(message, hint=hint)
    if completed.exit_code == _CANNOT_WRITE:
        raise storage_error(device.uri, unit_name(name), completed.last_lines)
    return completed


def _shown(text: str | None) -> str | None:
    """Text from a device, fit for a terminal; None if nothing is left."""
    clean = "".join(char for char in text or "" if char.isprintable()).strip()
    return clean[:_LINE_LIMIT] or None
