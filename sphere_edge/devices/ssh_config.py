"""How to reach an SSH host by ssh_config, read by OpenSSH itself where it is installed."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import errors
from sphere_edge.run import run

# Another file instead of ~/.ssh/config and /etc/ssh/ssh_config, as `ssh -F` takes it.
CONFIG_VARIABLE = "SPHERE_EDGE_SSH_CONFIG"
_KEEPALIVE_S = 15
_TIMEOUT_S = 20


@dataclass(frozen=True)
class SshHost:
    """The parts of ssh_config that matter here, for one host."""

    alias: str
    hostname: str
    port: int
    user: str
    identity_files: tuple[Path, ...]
    identities_only: bool
    # None: no agent; "": the one of SSH_AUTH_SOCK.
    agent_socket: str | None
    known_hosts_files: tuple[Path, ...]
    # The name under which known_hosts lists it, where that is not `hostname`.
    host_key_alias: str | None
    proxy_command: str | None
    proxy_jumps: tuple[str, ...]
    keepalive_s: int
    connect_timeout_s: int


def resolve(alias: str, *, user: str | None = None, port: int | None = None) -> SshHost:
    """What the config says about `alias`; `user` and `port` come before it.

    Raises InvalidArgumentError when the config itself cannot be read.
    """
    # OpenSSH is its config's only complete reader (Include, Match exec, token expansion,
    # canonical names); paramiko's is for machines without it.
    read = _read_with_openssh if shutil.which("ssh") else _read_with_paramiko
    settings = read(alias, user, port)
    return SshHost(
        alias=alias,
        hostname=_one(settings, "hostname") or alias,
        port=_number(settings, "port", 22),
        user=_one(settings, "user") or getpass.getuser(),
        identity_files=tuple(
            path for text in settings.get("identityfile", ()) if (path := _path(text)).is_file()
        ),
        identities_only=_one(settings, "identitiesonly") == "yes",
        agent_socket=_agent(_one(settings, "identityagent")),
        known_hosts_files=tuple(
            _path(text)
            for key in ("userknownhostsfile", "globalknownhostsfile")
            for value in settings.get(key, ())
            for text in _words(value)
        ),
        host_key_alias=_one(settings, "hostkeyalias"),
        proxy_command=_unless_none(_one(settings, "proxycommand")),
        proxy_jumps=tuple((_unless_none(_one(settings, "proxyjump")) or "").split(","))
        if _unless_none(_one(settings, "proxyjump"))
        else (),
        keepalive_s=_number(settings, "serveraliveinterval", 0) or _KEEPALIVE_S,
        connect_timeout_s=_number(settings, "connecttimeout", 0) or _TIMEOUT_S,
    )


def named_hosts() -> list[str]:
    """Hosts named, without wildcards, in the user's config file itself (not in its Includes)."""
    path = Path(os.environ.get(CONFIG_VARIABLE) or Path.home() / ".ssh" / "config")
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError:
        return []
    found: list[str] = []
    for line in text.splitlines():
        key, _, rest = line.strip().replace("=", " ", 1).partition(" ")
        if key.lower() == "host":
            found += [word for word in rest.split() if not re.search(r"[*?!\"]", word)]
    return list(dict.fromkeys(found))


def _read_with_openssh(alias: str, user: str | None, port: int | None) -> dict[str, list[str]]:
    argv = ["ssh", "-G"]
    if path := os.environ.get(CONFIG_VARIABLE):
        argv += ["-F", path]
    argv += ["-l", user] if user else []
    argv += ["-p", str(port)] if port else []
    completed = run([*argv, "--", alias], timeout_s=20, check=False)
    if completed.exit_code != 0:
        message = f"cannot read the SSH configuration for `{alias}`: {completed.last_lines}"
        raise errors.InvalidArgumentError(message)
    settings: dict[str, list[str]] = {}
    for line in completed.stdout.splitlines():
        key, _, value = line.partition(" ")
        settings.setdefault(key.lower(), []).append(value.strip())
    return settings


def _read_with_paramiko(alias: str, user: str | None, port: int | None) -> dict[str, list[str]]:
    import paramiko

    path = Path(os.environ.get(CONFIG_VARIABLE) or Path.home() / ".ssh" / "config")
    settings: dict[str, list[str]] = {
        "userknownhostsfile": ["~/.ssh/known_hosts"],
        "globalknownhostsfile": ["/etc/ssh/ssh_known_hosts"],
        "identityfile": [f"~/.ssh/id_{kind}" for kind in ("ed25519", "ecdsa", "rsa")],
    }
    if path.is_file():
        try:
            looked_up = paramiko.SSHConfig.from_path(str(path)).lookup(alias)
        except paramiko.ConfigParseError as error:
            message = f"cannot read `{path}`: {error}"
            raise errors.InvalidArgumentError(message) from error
        if "include" in looked_up:
            message = f"`{path}` uses Include, which only OpenSSH's own `ssh` can read"
            hint = "install OpenSSH's client"
            raise errors.InvalidArgumentError(message, hint=hint)
        for key, value in looked_up.items():
            settings[key] = [value] if isinstance(value, str) else list(value)
    if user:
        settings["user"] = [user]
    if port:
        settings["port"] = [str(port)]
    return settings


def _one(settings: dict[str, list[str]], key: str) -> str | None:
    return settings[key][0] if settings.get(key) else None


def _number(settings: dict[str, list[str]], key: str, default: int) -> int:
    text = _one(settings, key) or ""
    return int(text) if text.isdecimal() else default


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return [text]


def _path(text: str) -> Path:
    return Path(text.strip('"')).expanduser()


def _unless_none(text: str | None) -> str | None:
    return None if text is None or text.lower() == "none" else text


def _agent(text: str | None) -> str | None:
    if text is None or text == "SSH_AUTH_SOCK":
        return ""
    if text.lower() == "none":
        return None
    return os.path.expandvars(str(_path(text)))
