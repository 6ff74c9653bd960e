"""Keys for tests, the same in each run, and what an attacker would do with them."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from sphere_edge.bundle import signatures, trust
from sphere_edge.bundle.ed25519 import PrivateKey
from sphere_edge.bundle.read import Bundle
from sphere_edge.bundle.trust import TrustedKeys

SECRETS = {
    name: Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
    for name in ("release", "spare", "stranger")
}
_DER = bytes.fromhex("302a300506032b6570032100")


def key(name: str) -> PrivateKey:
    return PrivateKey(SECRETS[name])


def key_file(path: Path, secret: Ed25519PrivateKey) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def public_line(raw: bytes) -> str:
    """The one line of base64 in a public key's PEM file."""
    return base64.b64encode(_DER + raw).decode()


def trust_file(*keys: PrivateKey, **more: Any) -> bytes:
    """The keys' days, and what is revoked, are `more`."""
    days = {name: more.pop(name) for name in ("valid_from", "valid_until") if name in more}
    entries = [{"public_key": public_line(one.public.raw), **days} for one in keys]
    return json.dumps({"keys": entries, **more}).encode()


def trusted(*keys: PrivateKey, **more: Any) -> TrustedKeys:
    return trust.parse(trust_file(*keys, **more))


def with_statement(folder: Path, signer: PrivateKey, **changes: Any) -> None:
    """Signs the bundle's statement with `changes` in it."""
    manifest = Bundle.open(folder).manifest
    content = (folder / "bundle.json").read_bytes()
    statement = json.loads(signatures.statement_of(manifest, content))
    payload = json.dumps({**statement, **changes}).encode()
    write_envelope(folder, signer, payload)


def write_envelope(folder: Path, signer: PrivateKey, payload: bytes) -> None:
    """bundle.sig.json with `payload` as the signed statement, whatever it is."""
    sig = signer.sign(signatures.pre_authentication_encoding(payload))
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": signatures.PAYLOAD_TYPE,
        "signatures": [
            {"keyid": signer.public.key_id, "sig": base64.b64encode(sig).decode()},
        ],
    }
    (folder / "bundle.sig.json").write_text(json.dumps(envelope))
