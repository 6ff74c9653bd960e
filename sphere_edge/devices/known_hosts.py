"""The host keys a user trusts: reads OpenSSH's known_hosts files; never writes them.

Format: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". paramiko's own reader raises on `@cert-authority`
lines and does not match wildcards, so it cannot read files that OpenSSH can.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import errors

_DEFAULT_PORT = 22
_KEY_TYPE = re.compile(r"[a-z0-9][a-z0-9@.\-]{0,63}")


@dataclass(frozen=True)
class HostKey:
    """A public key as OpenSSH writes it: its type and the key blob in base64."""

    kind: str
    blob: str

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, the form that `ssh-keygen -l` prints on the device."""
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True)
class KnownHosts:
    """The entries for one host: the keys it may show, and those it must never show."""

    name: str
    keys: frozenset[HostKey]
    revoked: frozenset[HostKey]
    # Of the first file with a key of this host: where `ssh-keygen -R` has to look.
    found_in: Path | None
    # Where a new key would be added.
    first_file: Path
    # Keys that may sign certificates for this host.
    authorities: frozenset[HostKey] = frozenset()

    def check(self, shown: HostKey, device_uri: str) -> None:
        """Raises UnavailableError unless `shown` is a key of this host."""
        if shown in self.revoked:
            message = f"{device_uri} shows a host key that known_hosts marks as revoked"
            raise errors.UnavailableError(message, hint=f"the key is {shown.fingerprint}")
        if shown in self.keys:
            return
        seen = f"{shown.kind} {shown.fingerprint}"
        if self.keys:
            message = (
                f"the host key of {device_uri} has CHANGED; it now shows {seen}. "
                "Either the device was reinstalled or someone intercepts the connection"
            )
            path = shlex.quote(str(self.found_in))
            hint = (
                "compare the fingerprint on the device itself; only if it was reinstalled:\n"
                f"  ssh-keygen -R {shlex.quote(self.name)} -f {path}\n"
                "and then add the new key"
            )
            raise errors.UnavailableError(message, hint=hint)
        line = shlex.quote(f"{self.name} {shown.kind} {shown.blob}")
        message = f"the host key of {device_uri} is not known yet: {seen}"
        if self.authorities:
            message += "; it shows no certificate of an authority that known_hosts trusts for it"
        hint = (
            "compare it with what this prints on the device:\n"
            "  for f in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $f; done\n"
            "and if it is the same, add exactly this key:\n"
            f"  printf '%s\\n' {line} >> {shlex.quote(str(self.first_file))}"
        )
        raise errors.UnavailableError(message, hint=hint)


def lookup(host: str, port: int, files: Iterable[Path]) -> KnownHosts:
    """The entries for `host` in those of `files` that exist."""
    name = host if port == _DEFAULT_PORT else f"[{host}]:{port}"
    keys: set[HostKey] = set()
    revoked: set[HostKey] = set()
    authorities: set[HostKey] = set()
    found_in: Path | None = None
    ordered = tuple(files)
    for path in ordered:
        for marker, patterns, key in _entries(path):
            if not _matches(name, patterns):
                continue
            if marker == "@revoked":
                revoked.add(key)
            elif marker == "@cert-authority":
                authorities.add(key)
            elif marker == "":
                keys.add(key)
                found_in = found_in or path
    first = ordered[0] if ordered else Path.home() / ".ssh" / "known_hosts"
    return KnownHosts(
        name,
        frozenset(keys - revoked),
        frozenset(revoked),
        found_in,
        first,
        frozenset(authorities - revoked),
    )


def _entries(path: Path) -> Iterable[tuple[str, str, HostKey]]:
    try:
        text = path.read_text("utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        message = f"cannot read `{path}`: {error.strerror}"
        raise errors.UnavailableError(message) from error
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        marker = words.pop(0) if words[0].startswith("@") else ""
        if len(words) < 3 or not _KEY_TYPE.fullmatch(words[1]):
            continue
        try:
            base64.b64decode(words[2], validate=True)
        # Letters that are not ASCII are no binascii.Error.
        except ValueError:
            continue
        yield marker, words[0], HostKey(words[1], words[2])


def _matches(name: str, patterns: str) -> bool:
    if patterns.startswith("|1|"):
        return _matches_hashed(name, patterns)
    found = False
    for pattern in patterns.lower().split(","):
        negated = pattern.startswith("!")
        # In OpenSSH only `*` and `?` are special; fnmatch would also read `[host]:port` as a set.
        escaped = pattern.removeprefix("!").replace("[", "[[]")
        if fnmatch.fnmatchcase(name.lower(), escaped):
            if negated:
                return False
            found = True
    return found


def _matches_hashed(name: str, entry: str) -> bool:
    try:
        _, _, salt, digest = entry.split("|")
        expected = base64.b64decode(digest, validate=True)
        key = base64.b64decode(salt, validate=True)
    except ValueError:
        return False
    # HMAC-SHA1 is OpenSSH's format here; it hides names, it does not protect keys.
    return hmac.compare_digest(hmac.new(key, name.encode(), hashlib.sha1).digest(), expected)
