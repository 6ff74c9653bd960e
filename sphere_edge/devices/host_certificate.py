"""Certificates that an authority signed for a host's key, checked as OpenSSH checks them.

Format: OpenSSH, PROTOCOL.certkeys. paramiko proves only that the host owns the key inside.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Collection
from dataclasses import dataclass

import paramiko

from sphere_edge import errors
from sphere_edge.devices.known_hosts import HostKey

_HOST = 2
_NUMBERS_OF = {"ssh-ed25519": 1, "ssh-rsa": 2, "ecdsa-sha2": 2}
_KEYS: dict[str, type[paramiko.PKey]] = {
    "ssh-ed25519": paramiko.Ed25519Key,
    "ssh-rsa": paramiko.RSAKey,
    "ecdsa-sha2-nistp256": paramiko.ECDSAKey,
    "ecdsa-sha2-nistp384": paramiko.ECDSAKey,
    "ecdsa-sha2-nistp521": paramiko.ECDSAKey,
}
# In the order in which we ask for them.
KINDS = (
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
)


@dataclass(frozen=True)
class HostCertificate:
    """An authority's statement on a host's key; only its signature has been verified."""

    authority: HostKey
    is_for_host: bool
    names: tuple[str, ...]
    valid_after: int
    valid_before: int
    critical_options: bytes

    def check(self, host: str, device_uri: str) -> None:
        """Raises UnavailableError unless it is valid for `host` now."""
        if not self.is_for_host:
            reason = "it is a user's, not a host's"
        elif self.critical_options:
            reason = "it has critical options that are not supported"
        elif not self.valid_after <= time.time() < self.valid_before:
            reason = f"it is valid {_span(self.valid_after, self.valid_before)}"
        # A certificate without names would be one for every host.
        elif host.lower() not in {name.lower() for name in self.names}:
            reason = f"it is for {', '.join(self.names) or 'no host'}, not for `{host}`"
        else:
            return
        message = f"the host certificate of {device_uri} is refused: {reason}"
        hint = (
            "have it reissued (`ssh-keygen -s AUTHORITY -h -n NAMES …`) or set the clock here; "
            "HostKeyAlias gives a host another name"
        )
        raise errors.UnavailableError(message, hint=hint)


def read(blob: bytes, authorities: Collection[HostKey]) -> HostCertificate | None:
    """The certificate in `blob` if one of `authorities` signed it.

    Raises UnavailableError for one that none of them can have written as it is.
    """
    message = paramiko.Message(blob)
    try:
        kind = message.get_text()
        message.get_binary()
        for _ in range(next(n for name, n in _NUMBERS_OF.items() if kind.startswith(name))):
            message.get_binary()
        message.get_int64()
        is_for_host = message.get_int() == _HOST
        message.get_binary()
        names = _strings(message.get_binary())
        after, before = message.get_int64(), message.get_int64()
        critical = message.get_binary()
        message.get_binary()
        message.get_binary()
        signer = message.get_binary()
        signed = message.get_so_far()
        signature = message.get_binary()
        signer_kind = paramiko.Message(signer).get_text()
        authority = HostKey(signer_kind, base64.b64encode(signer).decode())
        if authority not in authorities:
            return None
        key = _KEYS[signer_kind](data=signer)
        is_genuine = key.verify_ssh_sig(signed, paramiko.Message(signature))
    except (paramiko.SSHException, StopIteration, KeyError, ValueError, IndexError) as error:
        text = f"the host shows a certificate that cannot be read: {error}"
        raise errors.UnavailableError(text) from error
    if not is_genuine:
        text = "the host shows a certificate whose signature is forged"
        raise errors.UnavailableError(text, hint="someone may stand between you and the device")
    return HostCertificate(authority, is_for_host, names, after, before, critical)


def _strings(packed: bytes) -> tuple[str, ...]:
    message = paramiko.Message(packed)
    found = []
    while message.get_remainder():
        found.append(message.get_binary().decode("utf-8", errors="replace"))
        if len(found) > len(packed):
            break
    return tuple(name for name in found if name)


def _span(after: int, before: int) -> str:
    return f"from {_date(after)} to {_date(before)}"


def _date(seconds: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OverflowError, OSError, ValueError):
        return "ever"
