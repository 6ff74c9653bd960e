"""Whose signatures count: a file of trusted keys, checked against the signatures of a bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from sphere_edge.bundle import named_file, read, signatures, strict_json
from sphere_edge.bundle.ed25519 import PublicKey
from sphere_edge.bundle.manifest import Part, Sha256
from sphere_edge.errors import InvalidArgumentError, UntrustedError
from sphere_edge.profiles import describe

_LARGEST_FILE = 2**20
_PEM = b"-----BEGIN PUBLIC KEY-----"
# Of the calendar in UTC. As text, in which the earlier day is the lesser one.
Day = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")]


class TrustedKey(Part):
    """A public key; its signatures count from its first to its last day, both included.

    `public_key`: the one line of base64 in its PEM file.
    """

    public_key: str
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    valid_from: Day | None = None
    valid_until: Day | None = None


class TrustFile(Part):
    """A file of trusted keys; what is revoked counts for nothing, whoever signed it."""

    keys: Annotated[tuple[TrustedKey, ...], Field(min_length=1)]
    revoked_keys: tuple[Sha256, ...] = ()
    revoked_bundles: tuple[Sha256, ...] = ()


@dataclass(frozen=True)
class SignedBundle:
    """What is checked of a bundle; `path` is only for messages, `signature` bundle.sig.json."""

    path: Path
    id: str
    manifest: bytes
    signature: bytes | None


def signed_bundle(path: Path) -> SignedBundle:
    """The bundle at `path`, a folder or a `.sphere` file, as it is checked.

    Raises what reading a manifest raises.
    """
    content = read.manifest_bytes(path)
    return SignedBundle(path, read.parse(content, path).id, content, read.signature_bytes(path))


@dataclass(frozen=True)
class TrustedKeys:
    """Trusted keys by their ids, and what is revoked."""

    keys: Mapping[str, tuple[PublicKey, TrustedKey]]
    revoked_keys: frozenset[str] = frozenset()
    revoked_bundles: frozenset[str] = frozenset()

    @staticmethod
    def read(path: Path) -> TrustedKeys:
        """The keys in the file at `path`: JSON as TrustFile has it, or one public key as PEM.

        Raises NotFoundError, StorageError and InvalidArgumentError.
        """
        content = content_of(path)
        try:
            return parse(content)
        except ValueError as error:
            why = describe(error) if isinstance(error, ValidationError) else str(error)
            message = f"`{path}` is not a file of trusted keys: {why}"
            hint = "give the public key as PEM, or a JSON file as docs/signing.md shows"
            raise InvalidArgumentError(message, hint=hint) from error

    def check(self, bundle: SignedBundle, today: str | None = None) -> tuple[str, ...]:
        """The ids of the trusted keys that signed `bundle`, one or more.

        `today`: the day in UTC as YYYY-MM-DD, by default that of the clock. Raises UntrustedError,
        with the ids that were expected, and ModelCorruptError.
        """
        day = datetime.now(timezone.utc).strftime("%Y-%m-%d") if today is None else today
        if bundle.id in self.revoked_bundles:
            raise self._refused(bundle, f"is revoked: its id is `{bundle.id}`", day)
        if bundle.signature is None:
            raise self._refused(bundle, "is not signed", day)
        signed = signatures.parse(bundle.signature, str(bundle.path))
        reasons: list[str] = []
        signers = []
        for key_id, signature in signed.signatures:
            if (why := self._why_not(key_id, day)) is not None:
                reasons.append(f"is signed by `{key_id}`, which {why}")
            elif not self.keys[key_id][0].has_signed(signed.message, signature):
                reasons.append(f"has a wrong signature of `{key_id}`")
            else:
                signers.append(key_id)
        if not signers:
            raise self._refused(bundle, "; it ".join(reasons), day)
        try:
            subject = signed.subject_sha256()
        except ValueError as error:
            raise self._refused(
                bundle, f"has a signature of something else: {error}", day
            ) from error
        if subject != hashlib.sha256(bundle.manifest).hexdigest():
            raise self._refused(bundle, "has the signature of another bundle", day)
        return tuple(signers)

    def _why_not(self, key_id: str, day: str) -> str | None:
        if key_id in self.revoked_keys:
            return "is revoked"
        if key_id not in self.keys:
            return "is not trusted"
        key = self.keys[key_id][1]
        if key.valid_from is not None and day < key.valid_from:
            return f"is trusted from {key.valid_from} on"
        if key.valid_until is not None and day > key.valid_until:
            return f"was trusted until {key.valid_until}"
        return None

    def _refused(self, bundle: SignedBundle, why: str, day: str) -> UntrustedError:
        names = {key_id: key.name for key_id, (_, key) in self.keys.items()}
        valid = [key_id for key_id in self.keys if self._why_not(key_id, day) is None]
        shown = [
            f"`{key_id}`" + (f" ({names[key_id]})" if names[key_id] else "") for key_id in valid
        ]
        expected = " or ".join(shown) or "none: no trusted key is valid today"
        message = f"`{bundle.path}` {why}; expected a signature by {expected}"
        hint = "get the bundle from its maker, or `sphere-edge sign` it if you made it"
        return UntrustedError(message, hint=hint)


def parse(content: bytes) -> TrustedKeys:
    """The keys in the content of such a file. Raises ValueError."""
    if content.lstrip().startswith(_PEM):
        try:
            text = content.decode("ascii")
        except UnicodeDecodeError as error:
            message = "it is not PEM"
            raise ValueError(message) from error
        key = PublicKey.parse(text)
        return TrustedKeys({key.key_id: (key, TrustedKey(public_key=text))})
    strict_json.parse(content)
    document = TrustFile.model_validate_json(content, strict=True)
    keys: dict[str, tuple[PublicKey, TrustedKey]] = {}
    for index, entry in enumerate(document.keys):
        try:
            key = PublicKey.parse(entry.public_key)
        except ValueError as error:
            message = f"keys.{index}.public_key: {error}"
            raise ValueError(message) from error
        if entry.name is not None and not entry.name.isprintable():
            message = f"keys.{index}.name: it has a character that cannot be shown"
            raise ValueError(message)
        if key.key_id in keys:
            message = f"duplicate key `{key.key_id}`"
            raise ValueError(message)
        keys[key.key_id] = (key, entry)
    return TrustedKeys(keys, frozenset(document.revoked_keys), frozenset(document.revoked_bundles))


def content_of(path: Path) -> bytes:
    """The bytes of such a file. Raises NotFoundError, StorageError and InvalidArgumentError."""
    with named_file.opened(path, "file of trusted keys") as file:
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        message = f"`{path}` is not a file of trusted keys: it has more than {_LARGEST_FILE} bytes"
        raise InvalidArgumentError(message)
    return content
