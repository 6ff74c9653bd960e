"""Why the installed `ssh` did not get in, from what it says on stderr."""

from __future__ import annotations

import re
import tempfile
from contextlib import suppress
from pathlib import Path

from sphere_edge import errors
from sphere_edge.devices import known_hosts, ssh_folder
from sphere_edge.devices.known_hosts import HostKey
from sphere_edge.devices.ssh_config import SshHost
from sphere_edge.run import run

_LAST_LINES = 8
_UNREACHED = re.compile(r"ssh: connect to host (\S+) port (\d+): (.+)")
_UNKNOWN_NAME = re.compile(r"ssh: Could not resolve hostname (\S+?):")
_NO_SSH = re.compile(
    r"kex_exchange_identification|[Bb]anner exchange|Bad (packet length|remote protocol)"
    r"|no matching (host key|key exchange|cipher|MAC)|Unable to negotiate"
)


def failed_login(host: SshHost, uri: str, output: str) -> errors.SphereEdgeError:
    """What `output`, all that `ssh` printed, means to the user."""
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    shown = "\n".join(lines[-_LAST_LINES:])
    if "Host key verification failed" in output:
        return _unknown_host(host, uri, shown)
    if "Permission denied" in output or "Too many authentication failures" in output:
        message = f"{uri} refused to let `{host.user}` in"
        put = f"ssh-copy-id -p {host.port} {host.user}@{host.hostname}"
        hint = (
            f"ssh says:\n{shown}\nput your key there with: {put}\n"
            "a key with a passphrase has to be in the agent: ssh-add"
        )
        return errors.UnavailableError(message, hint=hint)
    if found := _UNKNOWN_NAME.search(output):
        message = f"no host named `{found[1]}` can be found for {uri}"
        hint = "check the name, or give it a HostName in ~/.ssh/config"
        return errors.UnavailableError(message, hint=hint)
    if found := _UNREACHED.search(output):
        message = f"cannot reach {uri} ({found[1]} port {found[2]}): {found[3]}"
        hint = "is the device on, in this network, and does an SSH server run there?"
        return errors.UnavailableError(message, hint=hint)
    if host.proxy_command is not None and _NO_SSH.search(output):
        message = f"cannot reach {uri} through its ProxyCommand"
        return errors.UnavailableError(message, hint=f"ssh says:\n{shown}")
    last = lines[-1] if lines else "it says nothing"
    if _NO_SSH.search(output):
        message = f"{uri} does not speak SSH as we do: {last}"
        return errors.UnavailableError(message, hint=f"ssh says:\n{shown}")
    message = f"`ssh` does not get into {uri}: {last}"
    return errors.UnavailableError(message, hint=f"ssh says:\n{shown}" if len(lines) > 1 else None)


def _unknown_host(host: SshHost, uri: str, output: str) -> errors.SphereEdgeError:
    """With the fingerprint, and the command that adds exactly this key, where it can be had."""
    key = _shown_key(host)
    if key is not None:
        known = known_hosts.lookup(
            host.host_key_alias or host.hostname,
            22 if host.host_key_alias else host.port,
            host.known_hosts_files,
        )
        try:
            known.check(key, uri)
        except errors.UnavailableError as error:
            if error.hint is not None and "ertificate" in output:
                error.hint += f"\nssh says:\n{output}"
            return error
    message = f"`ssh` does not trust the host key of {uri}"
    return errors.UnavailableError(message, hint=f"ssh says:\n{output}")


def _shown_key(host: SshHost) -> HostKey | None:
    """The key that the host shows, written by `ssh` itself before a login that cannot succeed."""
    with tempfile.TemporaryDirectory(prefix="se-", dir=ssh_folder.parent()) as folder:
        path = Path(folder) / "known"
        settings = (
            *("StrictHostKeyChecking=no", f"UserKnownHostsFile={path}", "LogLevel=QUIET"),
            *("GlobalKnownHostsFile=none", "PreferredAuthentications=none", "BatchMode=yes"),
            "RemoteCommand=none",
            *("ControlPath=none", f"ConnectTimeout={host.connect_timeout_s}", "HashKnownHosts=no"),
        )
        words = [word for setting in settings for word in ("-o", setting)]
        argv = ["ssh", *host.client_words, *words, "--", host.alias, "true"]
        # That it takes too long is no reason for the login's failure; without the key, say that.
        with suppress(errors.TimeoutError):
            run(argv, timeout_s=host.connect_timeout_s + 20, check=False)
        if not path.is_file():
            return None
        found = path.read_text("utf-8", errors="replace").split()
    return HostKey(found[1], found[2]) if len(found) == 3 else None
