"""Bundles and files of trusted keys that Python and the core judge alike."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sphere_edge.bundle.ed25519 import SIGNATURE_BYTES
from sphere_edge.bundle.files import SIGNATURES
from sphere_edge.bundle.read import read_manifest
from sphere_edge.bundle.sign import sign
from sphere_edge.bundle.trust import TrustedKeys, signed_bundle
from sphere_edge.bundle.verify import verify
from sphere_edge.errors import SphereEdgeError, Status
from tests.golden_bundle import make, rewrite
from tests.signing import key, public_line, trust_file, with_statement, write_envelope

RELEASE, SPARE, STRANGER = (key(name) for name in ("release", "spare", "stranger"))
# The order of the base point, RFC 8032, section 5.1.
ORDER = 2**252 + 27742317777372353535851937790883648493
PEM = f"-----BEGIN PUBLIC KEY-----\n{public_line(RELEASE.public.raw)}\n-----END PUBLIC KEY-----\n"


@dataclass(frozen=True)
class Case:
    """A bundle, made by `change` from a signed one; a file of trusted keys; what comes of it."""

    status: Status
    trusted: bytes = trust_file(RELEASE)
    change: Callable[[Path], object] = lambda bundle: None


def _edited(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    def edit(bundle: Path) -> None:
        path = bundle / SIGNATURES
        path.write_bytes(change(path.read_bytes()))

    return edit


def _signature(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    def edit(content: bytes) -> bytes:
        envelope = json.loads(content)
        entry = envelope["signatures"][0]
        entry["sig"] = base64.b64encode(change(base64.b64decode(entry["sig"]))).decode()
        return json.dumps(envelope).encode()

    return _edited(edit)


def _greater(signature: bytes) -> bytes:
    greater = int.from_bytes(signature[32:], "little") + ORDER
    return signature[:32] + greater.to_bytes(32, "little")


def _without(bundle: Path) -> None:
    (bundle / SIGNATURES).unlink()


def _of_another(bundle: Path) -> None:
    other = make(bundle.parent / "other").folder
    rewrite(other, name="other")
    sign(other, RELEASE)
    shutil.copy(other / SIGNATURES, bundle)
    shutil.rmtree(other)


def _by_stranger(bundle: Path) -> None:
    _without(bundle)
    sign(bundle, STRANGER)


def _tampered(bundle: Path) -> None:
    content = bytearray((bundle / "lib/model.so").read_bytes())
    content[0] ^= 1
    (bundle / "lib/model.so").write_bytes(content)


def _subject(*digests: str) -> Callable[[Path], object]:
    subjects = [{"name": "bundle.json", "digest": {"sha256": digest}} for digest in digests]
    return lambda bundle: with_statement(bundle, RELEASE, subject=subjects)


def _keys(**changes: object) -> bytes:
    return json.dumps({**json.loads(trust_file(RELEASE)), **changes}).encode()


def _one_key(**changes: object) -> bytes:
    return _keys(keys=[{"public_key": public_line(RELEASE.public.raw), **changes}])


OK, UNTRUSTED, CORRUPT = Status.OK, Status.UNTRUSTED, Status.MODEL_CORRUPT
BAD_KEYS = Status.INVALID_ARGUMENT
TWO = trust_file(RELEASE, SPARE)

CASES = {
    "signed": Case(OK),
    "key as PEM": Case(OK, PEM.encode()),
    "named key": Case(OK, _one_key(name="Schlüssel 2026")),
    "several signatures": Case(OK, trust_file(SPARE), lambda bundle: sign(bundle, SPARE)),
    "a stranger signed it, too": Case(OK, change=lambda bundle: sign(bundle, STRANGER)),
    "nothing revoked": Case(OK, _keys(revoked_keys=[], revoked_bundles=["0" * 64])),
    "not signed": Case(UNTRUSTED, change=_without),
    "not signed, two keys": Case(UNTRUSTED, TWO, _without),
    "signed by a stranger": Case(UNTRUSTED, change=_by_stranger),
    "key revoked": Case(UNTRUSTED, trust_file(RELEASE, revoked_keys=[RELEASE.public.key_id])),
    "one key of two revoked": Case(
        UNTRUSTED, trust_file(RELEASE, SPARE, revoked_keys=[RELEASE.public.key_id])
    ),
    "key of the past": Case(UNTRUSTED, trust_file(RELEASE, valid_until="2020-12-31")),
    "key of the future": Case(UNTRUSTED, _one_key(valid_from="2999-01-01", name="next")),
    "signature of another bundle": Case(UNTRUSTED, change=_of_another),
    "manifest exchanged": Case(UNTRUSTED, change=lambda bundle: rewrite(bundle, quantization="q8")),
    "greater S": Case(UNTRUSTED, change=_signature(_greater)),
    "flipped bit": Case(UNTRUSTED, change=_signature(lambda sig: bytes([sig[0] ^ 1]) + sig[1:])),
    "zeros": Case(UNTRUSTED, change=_signature(lambda sig: bytes(SIGNATURE_BYTES))),
    "another statement type": Case(
        UNTRUSTED, change=lambda bundle: with_statement(bundle, RELEASE, _type="x")
    ),
    "no subject": Case(UNTRUSTED, change=_subject()),
    "subject is null": Case(
        UNTRUSTED, change=lambda bundle: with_statement(bundle, RELEASE, subject=None)
    ),
    "subject is an object": Case(
        UNTRUSTED, change=lambda bundle: with_statement(bundle, RELEASE, subject={"name": "x"})
    ),
    "two subjects": Case(UNTRUSTED, change=_subject("0" * 64, "0" * 64)),
    "another subject": Case(UNTRUSTED, change=_subject("0" * 64)),
    "file exchanged": Case(CORRUPT, change=_tampered),
    "empty": Case(CORRUPT, change=_edited(lambda text: b"")),
    "no object": Case(CORRUPT, change=_edited(lambda text: b"[]")),
    "nested": Case(CORRUPT, change=_edited(lambda text: b"[" * 100_000)),
    "another payload type": Case(
        CORRUPT, change=_edited(lambda text: text.replace(b"in-toto", b"other"))
    ),
    "duplicate key": Case(
        CORRUPT, change=_edited(lambda text: text.replace(b"{", b'{"payload": "",', 1))
    ),
    "unknown key": Case(CORRUPT, change=_edited(lambda text: text.replace(b"{", b'{"x": 1,', 1))),
    "no signatures": Case(
        CORRUPT,
        change=_edited(lambda text: json.dumps({**json.loads(text), "signatures": []}).encode()),
    ),
    "short signature": Case(CORRUPT, change=_signature(lambda sig: sig[:63])),
    "statement is not JSON": Case(
        CORRUPT, change=lambda bundle: write_envelope(bundle, RELEASE, b"bundle")
    ),
    "statement of a stranger is not JSON": Case(
        UNTRUSTED, change=lambda bundle: write_envelope(bundle, STRANGER, b"bundle")
    ),
    "too long": Case(CORRUPT, change=_edited(lambda text: text + b" " * 2**20)),
    "no keys": Case(BAD_KEYS, _keys(keys=[])),
    "empty file of keys": Case(BAD_KEYS, b""),
    "keys nested": Case(BAD_KEYS, b"[" * 100_000),
    "unknown key in the keys": Case(BAD_KEYS, _keys(revoked=[])),
    "key is not base64": Case(BAD_KEYS, _one_key(public_key="?")),
    "key of small order": Case(BAD_KEYS, _one_key(public_key=public_line(bytes(32)))),
    "day is no day": Case(BAD_KEYS, _one_key(valid_from="2026-1-1")),
    "month 13": Case(BAD_KEYS, _one_key(valid_until="2026-13-01")),
    "short id": Case(BAD_KEYS, _keys(revoked_keys=["00"])),
    "name with escape": Case(BAD_KEYS, _one_key(name="\x1b[31m")),
    "key twice": Case(BAD_KEYS, trust_file(RELEASE, RELEASE)),
    "half a PEM": Case(BAD_KEYS, PEM.encode()[:60]),
}


def place(case: Case, folder: Path) -> tuple[Path, Path]:
    """The bundle of a case and its file of trusted keys, in the empty `folder`."""
    bundle, trusted = make(folder / "bundle").folder, folder / "trusted.json"
    sign(bundle, RELEASE)
    case.change(bundle)
    trusted.write_bytes(case.trusted)
    return bundle, trusted


def revoked(folder: Path) -> tuple[Path, Path]:
    """A signed bundle whose own id is revoked."""
    bundle, trusted = place(CASES["signed"], folder)
    trusted.write_bytes(trust_file(RELEASE, revoked_bundles=[read_manifest(bundle).id]))
    return bundle, trusted


def judged(bundle: Path, trusted: Path) -> tuple[Status, str]:
    """What Python says: the status, and the message."""
    try:
        keys = TrustedKeys.read(trusted)
        keys.check(signed_bundle(bundle))
        verify(bundle)
    except SphereEdgeError as error:
        return Status(error.code), error.message
    return Status.OK, ""
