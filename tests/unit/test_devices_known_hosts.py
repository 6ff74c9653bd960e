"""known_hosts as OpenSSH reads it: names, wildcards, hashes, ports, markers."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from sphere_edge import errors
from sphere_edge.devices.known_hosts import HostKey, KnownHosts, lookup

KEY = HostKey("ssh-ed25519", base64.b64encode(b"one").decode())
OTHER = HostKey("ssh-ed25519", base64.b64encode(b"two").decode())


def known(tmp_path: Path, *lines: str, host: str = "orin", port: int = 22) -> KnownHosts:
    path = tmp_path / "known_hosts"
    path.write_text("\n".join(lines))
    return lookup(host, port, [tmp_path / "missing", path])


def line(patterns: str, key: HostKey = KEY) -> str:
    return f"{patterns} {key.kind} {key.blob} a comment"


def hashed(name: str) -> str:
    digest = hmac.new(b"salt", name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(b'salt').decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("patterns", "host", "port"),
    [
        ("orin", "orin", 22),
        ("ORIN,10.0.0.1", "orin", 22),
        ("x,10.0.0.?", "10.0.0.7", 22),
        ("*.lan,!bad.lan", "orin.lan", 22),
        ("[orin]:2222", "orin", 2222),
        ("[10.0.*]:2222", "10.0.0.1", 2222),
        (hashed("orin"), "orin", 22),
        (hashed("[orin]:2222"), "orin", 2222),
    ],
)
def test_a_known_host_passes(tmp_path: Path, patterns: str, host: str, port: int) -> None:
    known(tmp_path, "# comment", line(patterns), host=host, port=port).check(KEY, "ssh://x")


@pytest.mark.parametrize(
    ("patterns", "host", "port"),
    [
        ("orin", "other", 22),
        ("orin", "orin", 2222),
        ("*.lan,!bad.lan", "bad.lan", 22),
        (hashed("orin"), "other", 22),
        ("|1|broken", "orin", 22),
        ("@cert-authority *", "orin", 22),
        ("[o]rin", "orin", 22),
    ],
)
def test_another_host_is_unknown(tmp_path: Path, patterns: str, host: str, port: int) -> None:
    found = known(tmp_path, line(patterns), host=host, port=port)
    with pytest.raises(errors.UnavailableError, match="not known yet") as caught:
        found.check(KEY, "ssh://x")
    assert KEY.fingerprint in caught.value.message
    assert f"{found.name} {KEY.kind} {KEY.blob}" in (caught.value.hint or "")


def test_a_changed_key_is_refused_with_the_way_to_forget_the_old_one(tmp_path: Path) -> None:
    found = known(tmp_path, line("orin", OTHER))
    with pytest.raises(errors.UnavailableError, match="CHANGED") as caught:
        found.check(KEY, "ssh://orin")
    assert "ssh-keygen -R orin -f" in (caught.value.hint or "")


def test_a_revoked_key_is_refused_even_if_it_is_also_known(tmp_path: Path) -> None:
    found = known(tmp_path, line("orin"), line("@revoked *"))
    with pytest.raises(errors.UnavailableError, match="revoked"):
        found.check(KEY, "ssh://orin")


def test_lines_that_are_no_keys_are_passed_over(tmp_path: Path) -> None:
    broken = ["orin", "orin ssh-ed25519", "orin ssh-ed25519 %%%", "orin !! AAAA", "\0\0"]
    known(tmp_path, *broken, line("orin")).check(KEY, "ssh://orin")
