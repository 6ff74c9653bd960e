"""Signatures of a bundle, bundle.sig.json: a DSSE envelope around an in-toto statement.

What is signed is the statement, which names bundle.json by its sha256; that has the sha256 of every
other file. Formats: https://github.com/secure-systems-lab/dsse (envelope, PAE),
https://github.com/in-toto/attestation (statement), https://slsa.dev/provenance/v1 (predicate).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from sphere_edge.bundle import strict_json
from sphere_edge.bundle.ed25519 import SIGNATURE_BYTES, PrivateKey, strict_base64
from sphere_edge.bundle.files import MANIFEST, SIGNATURES
from sphere_edge.bundle.manifest import Manifest, Part, Sha256
from sphere_edge.errors import InvalidArgumentError, ModelCorruptError
from sphere_edge.profiles import describe

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
MOST_SIGNATURES = 64
_BUILD_TYPE = "urn:sphere-edge:package:v1"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_AGAIN = "get the bundle again from where it was made, or sign it again"


class Signature(Part):
    """One key's signature, in base64; `keyid` only says which key to check it with."""

    keyid: Sha256
    sig: str


class Envelope(Part):
    """A DSSE envelope: the statement as it was signed, in base64, and its signatures."""

    payload: str
    payloadType: Literal["application/vnd.in-toto+json"]
    signatures: Annotated[tuple[Signature, ...], Field(min_length=1, max_length=MOST_SIGNATURES)]


@dataclass(frozen=True)
class Signed:
    """An envelope that is sound: the statement's bytes, and each signature with its key's id.

    The statement may be anything: it is read once it is known who wrote it.
    """

    statement: bytes
    signatures: tuple[tuple[str, bytes], ...]

    @property
    def message(self) -> bytes:
        """The bytes that were signed."""
        return pre_authentication_encoding(self.statement)

    @property
    def key_ids(self) -> list[str]:
        """Who is said to have signed it."""
        return [key_id for key_id, _ in self.signatures]

    def document(self) -> dict[str, Any]:
        """The statement. Raises ModelCorruptError where it is not JSON."""
        try:
            return strict_json.parse(self.statement)
        except ValueError as error:
            message = f"the statement in `{SIGNATURES}` is damaged: {error}"
            raise ModelCorruptError(message, hint=_AGAIN) from error

    def subject_sha256(self) -> str:
        """The sha256 of its bundle.json.

        Raises ModelCorruptError (no JSON) and ValueError (not a statement of a bundle).
        """
        document = self.document()
        if document.get("_type") != STATEMENT_TYPE:
            message = f"the statement is not of the type `{STATEMENT_TYPE}`"
            raise ValueError(message)
        subjects = document.get("subject")
        found: list[str] = [
            subject["digest"]["sha256"]
            for subject in (subjects if isinstance(subjects, list) else [])
            if isinstance(subject, dict)
            and subject.get("name") == MANIFEST
            and isinstance(subject.get("digest"), dict)
            and isinstance(subject["digest"].get("sha256"), str)
        ]
        if len(found) != 1:
            message = f"the statement does not name one `{MANIFEST}`"
            raise ValueError(message)
        return found[0]


def pre_authentication_encoding(payload: bytes) -> bytes:
    """DSSE's PAE: what is signed, so that a payload of one type is never taken for another's."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def parse(content: bytes, bundle: str) -> Signed:
    """`content` of the bundle.sig.json of `bundle`, as errors name it. Raises ModelCorruptError."""
    try:
        strict_json.parse(content)
        envelope = Envelope.model_validate_json(content, strict=True)
        signatures = tuple((one.keyid, strict_base64(one.sig)) for one in envelope.signatures)
        if any(len(signature) != SIGNATURE_BYTES for _, signature in signatures):
            message = f"a signature is not {SIGNATURE_BYTES} bytes long"
            raise ValueError(message)
        return Signed(strict_base64(envelope.payload), signatures)
    except ValueError as error:
        why = describe(error) if isinstance(error, ValidationError) else str(error)
        message = f"`{SIGNATURES}` of `{bundle}` is damaged: {why}"
        raise ModelCorruptError(message, hint=_AGAIN) from error


def statement_of(manifest: Manifest, manifest_bytes: bytes) -> bytes:
    """Where the bundle comes from, as its manifest says, in one form only for one bundle."""
    provenance = manifest.provenance
    digest = {"sha256": provenance.source_sha256}
    if provenance.revision is not None and _COMMIT.fullmatch(provenance.revision):
        digest["gitCommit"] = provenance.revision
    model: dict[str, Any] = {"name": provenance.source, "digest": digest}
    if provenance.revision is not None:
        model["annotations"] = {"revision": provenance.revision}
    document = {
        "_type": STATEMENT_TYPE,
        "subject": [
            {
                "name": MANIFEST,
                "digest": {"sha256": hashlib.sha256(manifest_bytes).hexdigest()},
                "annotations": {"bundle": manifest.name, "id": manifest.id},
            },
            *({"name": file.path, "digest": {"sha256": file.sha256}} for file in manifest.files),
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": _BUILD_TYPE,
                "externalParameters": {
                    "model": provenance.source,
                    "profile": manifest.profile,
                    "quantization": manifest.quantization,
                },
                "resolvedDependencies": [model],
            },
            "runDetails": {"builder": {"id": _BUILD_TYPE, "version": dict(provenance.tools)}},
        },
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def sign(
    manifest: Manifest, manifest_bytes: bytes, key: PrivateKey, before: Signed | None = None
) -> bytes:
    """bundle.sig.json with `key`'s signature, beside those of other keys in `before`.

    Raises InvalidArgumentError where these are for another statement, or too many.
    """
    statement = statement_of(manifest, manifest_bytes)
    signatures: list[tuple[str, bytes]] = []
    if before is not None:
        if before.statement != statement:
            message = f"the signatures of `{manifest.name}` are not for what it is now"
            raise InvalidArgumentError(message, hint=f"remove its `{SIGNATURES}`, then sign it")
        signatures = [one for one in before.signatures if one[0] != key.public.key_id]
    if len(signatures) >= MOST_SIGNATURES:
        message = f"`{manifest.name}` has {MOST_SIGNATURES} signatures, the most that there can be"
        raise InvalidArgumentError(message)
    signature = key.sign(pre_authentication_encoding(statement))
    signatures = sorted([*signatures, (key.public.key_id, signature)])
    document = {
        "payload": base64.b64encode(statement).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {"keyid": key_id, "sig": base64.b64encode(sig).decode()} for key_id, sig in signatures
        ],
    }
    return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"
