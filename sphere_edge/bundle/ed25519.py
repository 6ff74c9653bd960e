"""Ed25519 keys in PEM files, as `openssl genpkey -algorithm ed25519` writes them."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sphere_edge.bundle import named_file
from sphere_edge.errors import InvalidArgumentError, UnsupportedError

if TYPE_CHECKING:
    # At run time only what signs or checks imports it: that is a tenth of a second.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNATURE_BYTES = 64
_KEY_BYTES = 32
_LARGEST_FILE = 64 * 1024
# SubjectPublicKeyInfo of an Ed25519 key, before its 32 bytes (RFC 8410, section 4).
_DER = bytes.fromhex("302a300506032b6570032100")
_PEM = ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----")
_MAKE_ONE = "`openssl genpkey -algorithm ed25519 -out key.pem` makes one"
# The points of order 1, 2, 4 and 8, in each way to write them, without the sign bit: with one of
# these as the key anybody can make signatures. The same list as in libsodium's ed25519_ref10.c.
_SMALL_ORDER = frozenset(
    bytes.fromhex(text)
    for text in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)


@dataclass(frozen=True)
class PublicKey:
    """The 32 bytes of a public key (RFC 8032)."""

    raw: bytes

    @staticmethod
    def parse(text: str) -> PublicKey:
        """The key of a PEM file's text, or of the one line of base64 in it. Raises ValueError."""
        body = text.strip()
        if body.startswith(_PEM[0]):
            body = body.removeprefix(_PEM[0]).removesuffix(_PEM[1]).strip()
        der = strict_base64(body)
        if len(der) != len(_DER) + _KEY_BYTES or not der.startswith(_DER):
            message = "it is not the public key of an Ed25519 key"
            raise ValueError(message)
        raw = der.removeprefix(_DER)
        if raw[:-1] + bytes([raw[-1] & 0x7F]) in _SMALL_ORDER:
            message = "it is a key of small order, with which anybody can sign"
            raise ValueError(message)
        return PublicKey(raw)

    @property
    def key_id(self) -> str:
        """The sha256 of the key's DER, in hexadecimal digits."""
        return hashlib.sha256(_DER + self.raw).hexdigest()

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` (64 bytes) is this key's for `message`."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


class PrivateKey:
    """A key that signs. It is never shown, logged or written."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes_raw())

    @staticmethod
    def read(path: Path) -> PrivateKey:
        """The key in the PEM file (PKCS #8) at `path`.

        Raises NotFoundError, StorageError, UnsupportedError (another kind of key, or one with a
        passphrase) and InvalidArgumentError (no key, or one that other users can read).
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        content = _private(path)
        try:
            key = load_pem_private_key(content, password=None)
        except TypeError as error:
            message = f"the key `{path}` is protected by a passphrase"
            hint = "`openssl pkey -in KEY -out PLAIN` writes one without"
            raise UnsupportedError(message, hint=hint) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            message = f"`{path}` is not a private key in PEM form"
            raise InvalidArgumentError(message, hint=_MAKE_ONE) from error
        if not isinstance(key, Ed25519PrivateKey):
            message = f"`{path}` is not an Ed25519 key"
            raise UnsupportedError(message, hint=_MAKE_ONE)
        return PrivateKey(key)

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature of `message`."""
        return self._key.sign(message)


def strict_base64(text: str) -> bytes:
    """The bytes of base64 with padding and nothing else in it. Raises ValueError."""
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError as error:
        message = "it is not base64"
        raise ValueError(message) from error
    # Bits that mean nothing would let one signature be written in several ways.
    if base64.b64encode(content).decode() != text:
        message = "it is not base64"
        raise ValueError(message)
    return content


def _private(path: Path) -> bytes:
    with named_file.opened(path, "key", _MAKE_ONE) as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            message = f"other users can read the key `{path}`"
            raise InvalidArgumentError(message, hint=f"chmod 600 {path}")
        return file.read(_LARGEST_FILE)
