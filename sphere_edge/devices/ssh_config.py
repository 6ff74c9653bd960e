"""How to reach an SSH host by ssh_config, read by OpenSSH itself where it is installed."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import errors, whole_number
from sphere_edge.run import run

# Another file instead of ~/.ssh/config and /etc/ssh/ssh_config, as `ssh -F` takes it.
CONFIG_VARIABLE = "SPHERE_EDGE_SSH_CONFIG"
_KEEPALIVE_S = 15
_TIMEOUT_S = 20
# More hosts behind each other than this are a loop of another kind.
_MOST_JUMPS = 16
_JUMP = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^\s]+)@)?(?P<host>\[[^\]]+\]|[^:\s@]+)(?::(?P<port>\d{1,5}))?"
)


@dataclass(frozen=True)
class SshHost:
    """The parts of ssh_config that matter here, for one host.

    `client_words`: what tells the program `ssh` the same before the alias.
    """

    alias: str
    client_words: tuple[str, ...]
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
    # The socket of an `ssh` to this host that the user may have running.
    control_path: str | None
    # Whether this OpenSSH can be told to go to the background by its config.
    may_fork: bool


def resolve(alias: str, *, user: str | None = None, port: int | None = None) -> SshHost:
    """What the config says about `alias`; `user` and `port` come before it.

    Raises InvalidArgumentError when the config itself cannot be read.
    """
    # OpenSSH is its config's only complete reader (Include, Match exec, token expansion,
    # canonical names); paramiko's is for machines without it.
    read = _read_with_openssh if has_client() else _read_with_paramiko
    settings = read(alias, user, port)
    return SshHost(
        alias=alias,
        client_words=_client_words(user, port),
        hostname=_one(settings, "hostname") or alias,
        port=_number(settings, "port", 22),
        user=_one(settings, "user") or getpass.getuser(),
        identity_files=tuple(
            path for text in settings.get("identityfile", ()) if _is_file(path := _path(text))
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
        control_path=_unless_none(_one(settings, "controlpath")),
        may_fork="forkafterauthentication" in settings,
    )


def has_client() -> bool:
    """Whether OpenSSH's `ssh` is installed."""
    return shutil.which("ssh") is not None


def first_jump(host: SshHost) -> SshHost | None:
    """The host through which `host` is reached first, by its own config. None: there is none.

    Raises InvalidArgumentError.
    """
    return jump_host(host, host.proxy_jumps[0]) if host.proxy_jumps else None


def jump_host(host: SshHost, jump: str) -> SshHost:
    """What the config says about `jump`, one word of the ProxyJump of `host`.

    Raises InvalidArgumentError.
    """
    tokens = {"%%": "%", "%h": host.hostname, "%n": host.alias, "%p": str(host.port)}
    tokens["%r"] = host.user
    text = re.sub("%[%hnpr]", lambda found: tokens[found[0]], jump.strip())
    found = _JUMP.fullmatch(text)
    if found is None or text.startswith("-") or found["host"].startswith("-"):
        message = f"cannot read ProxyJump `{jump}`"
        raise errors.InvalidArgumentError(message)
    port = int(found["port"]) if found["port"] else None
    return resolve(found["host"].strip("[]"), user=found["user"], port=port)


def require_end_of_jumps(host: SshHost) -> None:
    """Raises InvalidArgumentError if the jump hosts of `host` lead back to one of them.

    OpenSSH itself sees only a host that jumps to itself, and starts programs without end.
    """
    # By name, not by address: two names of one machine may have different settings.
    seen = {(host.alias, host.client_words)}
    jump = first_jump(host)
    while jump is not None:
        name = (jump.alias, jump.client_words)
        if name in seen or len(seen) > _MOST_JUMPS:
            message = f"the ProxyJump of `{host.alias}` comes back to `{jump.alias}` without end"
            hint = "see the ProxyJump lines of both in ~/.ssh/config"
            raise errors.InvalidArgumentError(message, hint=hint)
        seen.add(name)
        jump = first_jump(jump)


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
    argv = ["ssh", "-G", *_client_words(user, port), "--", alias]
    completed = run(argv, timeout_s=20, check=False)
    if completed.exit_code != 0:
        message = f"cannot read the SSH configuration for `{alias}`: {completed.last_lines}"
        raise errors.InvalidArgumentError(message)
    settings: dict[str, list[str]] = {}
    for line in completed.stdout.splitlines():
        key, _, value = line.partition(" ")
        settings.setdefault(key.lower(), []).append(value.strip())
    return settings


def _client_words(user: str | None, port: int | None) -> tuple[str, ...]:
    path = os.environ.get(CONFIG_VARIABLE)
    return (
        *(("-F", path) if path else ()),
        *(("-l", user) if user else ()),
        *(("-p", str(port)) if port else ()),
    )


def _read_with_paramiko(alias: str, user: str | None, port: int | None) -> dict[str, list[str]]:
    import paramiko

    # Beside its own errors it lets through what shlex, int and empty lists raise.
    own = (paramiko.ConfigParseError, paramiko.CouldNotCanonicalize)
    path = Path(os.environ.get(CONFIG_VARIABLE) or Path.home() / ".ssh" / "config")
    settings: dict[str, list[str]] = {
        "userknownhostsfile": ["~/.ssh/known_hosts"],
        "globalknownhostsfile": ["/etc/ssh/ssh_known_hosts"],
        "identityfile": [f"~/.ssh/id_{kind}" for kind in ("ed25519", "ecdsa", "rsa")],
    }
    if path.is_file():
        try:
            # OpenSSH takes any bytes in comments, too.
            text = path.read_text("utf-8", errors="replace")
            looked_up = paramiko.SSHConfig.from_text(text).lookup(alias)
        except (*own, LookupError, OSError, ValueError) as error:
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
    number = whole_number.parse(_one(settings, key) or "")
    return default if number is None else number


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return [text]


def _path(text: str) -> Path:
    # As it stands where nobody has that home; Path.expanduser raises RuntimeError then.
    return Path(os.path.expanduser(text.strip('"')))  # noqa: PTH111


def _is_file(path: Path) -> bool:
    # Path.is_file raises OSError where a name is too long for one.
    return os.path.isfile(path)  # noqa: PTH113


def _unless_none(text: str | None) -> str | None:
    return None if text is None or text.lower() == "none" else text


def _agent(text: str | None) -> str | None:
    if text is None or text == "SSH_AUTH_SOCK":
        return ""
    if text.lower() == "none":
        return None
    return os.path.expandvars(str(_path(text)))
