"""An authenticated SSH connection by ssh_config: jumps, proxies, host key, login."""

from __future__ import annotations

import logging
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko

from sphere_edge import errors
from sphere_edge.devices import host_certificate, known_hosts, ssh_config
from sphere_edge.devices.device import Ask
from sphere_edge.devices.ssh_config import SshHost

# It logs a traceback for every lost connection; we report it in one sentence.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

# Twice as fast in paramiko as its default (counter mode with a separate MAC).
_CIPHERS_FIRST = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
# A peer that stops acknowledging what was sent is gone after this long (the keepalive sends).
_GONE_AFTER_MS = 30_000


@dataclass
class Connection:
    """The transport to the host, and those below it: the jump hosts' transports or a proxy."""

    transport: paramiko.Transport
    below: Connection | None = None
    proxy: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """Closes all of it, the host first."""
        self.transport.close()
        if self.proxy is not None:
            self.proxy.terminate()
            self.proxy.wait()
        if self.below is not None:
            self.below.close()


def connect(host: SshHost, uri: str, ask: Ask | None) -> Connection:
    """Connects and logs in.

    Raises UnavailableError: no such host, no answer, host key unknown or changed, login refused.
    """
    below: Connection | None = None
    for jump in host.proxy_jumps:
        try:
            below = _jump(host, jump, below, ask)
        except BaseException:
            if below is not None:
                below.close()
            raise
    return _connect_over(below, host, uri, ask)


def _jump(host: SshHost, jump: str, below: Connection | None, ask: Ask | None) -> Connection:
    jump_host = ssh_config.jump_host(host, jump)
    uri = f"ssh://{jump_host.user}@{jump_host.alias}"
    # Only the first jump is reached by its own config; the next ones through the one before.
    return (
        connect(jump_host, uri, ask) if below is None else _connect_over(below, jump_host, uri, ask)
    )


def _connect_over(below: Connection | None, host: SshHost, uri: str, ask: Ask | None) -> Connection:
    sock, proxy = _socket(below, host, uri)
    try:
        transport = paramiko.Transport(sock)
    except paramiko.SSHException as error:
        message = f"{uri} does not answer: {error}"
        raise errors.UnavailableError(message) from error
    connection = Connection(transport, below, proxy)
    try:
        _handshake(transport, host, uri)
        _log_in(transport, host, uri, ask)
    except BaseException:
        connection.close()
        raise
    transport.set_keepalive(host.keepalive_s)
    return connection


def _socket(
    below: Connection | None, host: SshHost, uri: str
) -> tuple[Any, subprocess.Popen[bytes] | None]:
    """A socket, or paramiko's channel that acts as one, to the host; and the proxy behind it."""
    try:
        if below is not None:
            target = (host.hostname, host.port)
            channel = below.transport.open_channel(
                "direct-tcpip", target, ("127.0.0.1", 0), timeout=host.connect_timeout_s
            )
            return channel, None
        if host.proxy_command is not None:
            return _through_command(host)
        sock = socket.create_connection((host.hostname, host.port), timeout=host.connect_timeout_s)
    except socket.gaierror as error:
        message = f"no host named `{host.hostname}` can be found for {uri}"
        hint = "check the name, or give it a HostName in ~/.ssh/config"
        raise errors.UnavailableError(message, hint=hint) from error
    except (OSError, paramiko.SSHException) as error:
        message = f"cannot reach {uri} ({host.hostname} port {host.port}): {_reason(error)}"
        hint = "is the device on, in this network, and does an SSH server run there?"
        raise errors.UnavailableError(message, hint=hint) from error
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GONE_AFTER_MS)
    return sock, None


def _through_command(host: SshHost) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    tokens = {
        "%%": "%",
        "%h": host.hostname,
        "%n": host.alias,
        "%p": str(host.port),
        "%r": host.user,
    }
    line = re.sub("%[%hnpr]", lambda found: tokens[found[0]], host.proxy_command or "")
    ours, theirs = socket.socketpair()
    with theirs:
        # ssh_config(5): the command is run by the user's shell with `exec`.
        proxy = subprocess.Popen(
            [os.environ.get("SHELL") or "/bin/sh", "-c", f"exec {line}"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    return ours, proxy


def _handshake(transport: paramiko.Transport, host: SshHost, uri: str) -> None:
    known = known_hosts.lookup(
        host.host_key_alias or host.hostname,
        22 if host.host_key_alias else host.port,
        host.known_hosts_files,
    )
    options = transport.get_security_options()
    options.ciphers = _first(_CIPHERS_FIRST, options.ciphers)
    # Ask for a key of a type that we can compare, as OpenSSH does.
    kinds = {key.kind for key in known.keys}
    if "ssh-rsa" in kinds:
        kinds |= {"rsa-sha2-512", "rsa-sha2-256"}
    certified = host_certificate.KINDS if known.authorities else ()
    plain = [kind for kind in options.key_types if kind in kinds]
    options.key_types = [*certified, *_first(plain, options.key_types)]
    try:
        transport.start_client(timeout=host.connect_timeout_s)
    except (paramiko.SSHException, EOFError, OSError) as error:
        message = f"{uri} does not speak SSH as we do: {_reason(error)}"
        raise errors.UnavailableError(message) from error
    shown = transport.get_remote_server_key()
    key = known_hosts.HostKey(shown.get_name(), shown.get_base64())
    certificate = None
    if shown.public_blob is not None and key not in known.revoked:
        certificate = host_certificate.read(shown.public_blob.key_blob, known.authorities)
    if certificate is None:
        known.check(key, uri)
    else:
        certificate.check(host.host_key_alias or host.hostname, uri)


def _first(wanted: Any, offered: Any) -> list[str]:
    return [*(word for word in wanted if word in offered), *(w for w in offered if w not in wanted)]


def _log_in(transport: paramiko.Transport, host: SshHost, uri: str, ask: Ask | None) -> None:
    """Tries the agent's keys, the identity files, then a password if a person is there."""
    tried: list[str] = []
    try:
        try:
            transport.auth_none(host.user)
        except paramiko.BadAuthenticationType as refusal:
            allowed = refusal.allowed_types
        else:
            return
        if "publickey" in allowed:
            for name, key in _keys(host, ask, tried):
                if _is_accepted(transport, host.user, key):
                    return
                tried.append(f"{name}: refused")
        if ask is not None and {"password", "keyboard-interactive"} & set(allowed):
            password = ask(f"password of {host.user} on {uri}")
            transport.auth_password(host.user, password)
            return
    except (paramiko.SSHException, EOFError, OSError) as error:
        if not tried and not transport.is_active():
            # Nobody refused anything: it was cut off in the middle of it.
            message = f"lost the connection to {uri} while logging in"
            raise errors.UnavailableError(message) from error
        tried.append(_reason(error))
    message = f"{uri} refused to let `{host.user}` in"
    listed = "; ".join(tried) or "there is no key in the agent and none in ~/.ssh"
    hint = f"{listed}\nput your key there with: ssh-copy-id {_words_of(host)}"
    raise errors.UnavailableError(message, hint=hint)


def _words_of(host: SshHost) -> str:
    return f"-p {host.port} {host.user}@{host.hostname}"


def _is_accepted(transport: paramiko.Transport, user: str, key: paramiko.PKey) -> bool:
    try:
        return not transport.auth_publickey(user, key)
    except paramiko.SSHException:
        # Also "Invalid key", for a key of a type the server does not take. After too many of
        # them the server hangs up, and the next one cannot be tried.
        if not transport.is_active():
            raise
        return False


def _keys(host: SshHost, ask: Ask | None, tried: list[str]) -> Iterator[tuple[str, paramiko.PKey]]:
    public = {
        blob
        for path in host.identity_files
        for blob in _public_blob(path.with_name(path.name + ".pub"))
    }
    in_agent: set[bytes] = set()
    with _agent(host.agent_socket) as agent:
        for key in agent.get_keys() if agent is not None else ():
            if host.identities_only and key.blob not in public:
                continue
            in_agent.add(key.blob)
            yield f"agent key `{key.comment or key.get_name()}`", key
    for path in host.identity_files:
        if in_agent.intersection(_public_blob(path.with_name(path.name + ".pub"))):
            continue
        try:
            key = _load(path, ask)
        except paramiko.PasswordRequiredException:
            tried.append(f"`{path}` has a passphrase: add it to the agent with ssh-add")
        except (paramiko.SSHException, OSError, ValueError) as error:
            tried.append(f"`{path}` cannot be read: {_reason(error)}")
        else:
            yield f"`{path}`", key


def _load(path: Path, ask: Ask | None) -> paramiko.PKey:
    """The private key in `path` with its certificate, if there is one."""
    kinds = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
    passphrase: str | None = None
    failure: Exception | None = None
    for kind in kinds:
        try:
            try:
                key = kind.from_private_key_file(str(path), passphrase)
            except paramiko.PasswordRequiredException:
                if ask is None or passphrase is not None:
                    raise
                passphrase = ask(f"passphrase of {path}")
                key = kind.from_private_key_file(str(path), passphrase)
        except paramiko.PasswordRequiredException:
            raise
        except (paramiko.SSHException, ValueError) as error:
            failure = error
            continue
        certificate = path.with_name(path.name + "-cert.pub")
        if certificate.is_file():
            key.load_certificate(str(certificate))
        return key
    raise failure or paramiko.SSHException("unknown type of key")


def _public_blob(path: Path) -> list[bytes]:
    try:
        return [paramiko.PublicBlob.from_file(str(path)).key_blob]
    except (OSError, ValueError, IndexError):
        return []


class _AgentAt(paramiko.agent.AgentSSH):  # type: ignore[misc]  # paramiko has no types
    """The agent at a socket; paramiko's own class finds that in the environment only."""

    def __init__(self, path: str) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
            self._connect(connection)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        self._close()


@contextmanager
def _agent(path: str | None) -> Iterator[paramiko.Agent | _AgentAt | None]:
    """The agent at `path`, the one of the environment if that is empty, none if it is None."""
    if path is None:
        yield None
        return
    agent: paramiko.Agent | _AgentAt | None
    try:
        agent = _AgentAt(path) if path else paramiko.Agent()
    except (paramiko.SSHException, OSError):
        agent = None
    try:
        yield agent
    finally:
        if agent is not None:
            agent.close()


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text or type(error).__name__
