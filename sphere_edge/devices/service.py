"""A deployed bundle as a systemd user service on a Linux device: installed, shown, removed.

The service is the runner's health check: it starts with the device (or the user's session),
generates one token with the bundle in use, and is `active` if that worked, `failed` if not.
"""

from __future__ import annotations

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

# $0 the store, $1 the name. It reads the current bundle each time, so it follows a rollback.
_CHECK = (
    'read -r id <"$0/current/$1" && cd "$0/bundles/$id" && '
    "LD_LIBRARY_PATH=$PWD/runtime/lib exec runtime/bin/sphere-edge-run "
    "generate bundle Hello --temperature 0 --max-tokens 1 --json"
)


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

    @property
    def summary(self) -> str:
        """One sentence, with what the user can do about it."""
        when = "" if self.since is None else f" since {self.since}"
        alone = (
            "; it starts when you log in there, with the device after `loginctl enable-linger`"
            if self.lingers is False
            else ""
        )
        return f"the service `{self.unit}` is {self.active}{when}, {self.enabled}{alone}"


def unit_name(name: str) -> str:
    """The unit of the deployed bundle `name`, as in `systemctl --user status UNIT`."""
    return f"sphere-edge-{name}.service"


def unit_file(root: str, name: str) -> str:
    """The text of the unit for `name` in the store `root` (systemd.service(5), systemd.exec(5))."""
    words = " ".join(_word(word) for word in ("/bin/sh", "-c", _CHECK, root, name))
    return (
        "[Unit]\n"
        f"Description=sphere-edge: health check of {name}\n"
        "\n"
        "[Service]\n"
        "Type=oneshot\n"
        "RemainAfterExit=yes\n"
        f"TimeoutStartSec={_TIMEOUT_S:.0f}\n"
        f"ExecStart={words}\n"
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
    if _call(device, "ready", "-").exit_code != 0:
        message = f"{device.uri} has no systemd that runs services for this user"
        hint = "deploy without --service; services need a Linux device with systemd, over SSH"
        raise errors.UnsupportedError(message, hint=hint)


def install(device: Device, root: str, name: str) -> ServiceStatus:
    """Installs, enables and starts the service; its status then, `failed` included.

    Raises StorageError, UnsupportedError.
    """
    unit = unit_name(name)
    completed = _call(device, "install", unit, unit_file(root, name))
    found = None if completed.exit_code == _CANNOT_WRITE else status(device, name)
    if found is None:
        raise storage_error(device.uri, f"~/.config/systemd/user/{unit}", completed.last_lines)
    if completed.exit_code != 0 and found.active != "failed":
        message = f"the service `{unit}` on {device.uri} does not start: {completed.last_lines}"
        raise errors.LoadFailedError(message)
    return found


def status(device: Device, name: str) -> ServiceStatus:
    """The state now. Raises NotFoundError."""
    unit = unit_name(name)
    found = parse_sections(_require(device, name, _call(device, "status", unit)).stdout)
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
    )


def is_installed(device: Device, name: str) -> bool:
    """Whether there is a service for `name`, running or not."""
    return _call(device, "there", unit_name(name)).exit_code == 0


def remove(device: Device, name: str) -> None:
    """Stops, disables and deletes it. Raises NotFoundError, StorageError."""
    _require(device, name, _call(device, "remove", unit_name(name)))


def remove_deployed(device: Device, store: Store, name: str) -> int:
    """Removes `name` and its service from the device; the bytes freed. Raises NotFoundError."""
    store.find(name)
    if is_installed(device, name):
        remove(device, name)
    return store.remove(name)


def _call(device: Device, action: str, *words: str) -> Completed:
    argv = ["sh", "-s", "--", action, *words]
    return device.run(argv, stdin=_SCRIPT, timeout_s=_TIMEOUT_S)


def _require(device: Device, name: str, completed: Completed) -> Completed:
    if completed.exit_code == _NO_SERVICE:
        message = f"there is no service for `{name}` on {device.uri}"
        hint = "`sphere-edge deploy BUNDLE --device URI --service` installs one"
        raise errors.NotFoundError(message, hint=hint)
    if completed.exit_code != 0:
        raise storage_error(device.uri, unit_name(name), completed.last_lines)
    return completed


def _shown(text: str | None) -> str | None:
    """Text from a device, fit for a terminal; None if nothing is left."""
    clean = "".join(char for char in text or "" if char.isprintable()).strip()
    return clean[:_LINE_LIMIT] or None
