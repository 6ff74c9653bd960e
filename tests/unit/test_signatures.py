"""Bundles are signed, and only signatures that count let one through."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sphere_edge.boards.server_deployment import deploy_bundles
from sphere_edge.bundle import signatures, trust
from sphere_edge.bundle.amend import record_quality
from sphere_edge.bundle.ed25519 import PublicKey
from sphere_edge.bundle.files import MANIFEST, SIGNATURES
from sphere_edge.bundle.manifest import Quality
from sphere_edge.bundle.read import Bundle
from sphere_edge.bundle.sign import sign
from sphere_edge.bundle.trust import TrustedKeys, signed_bundle
from sphere_edge.bundle.verify import verify
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.certify.deployment import CheckedBundle, Deployment, KeyFile
from sphere_edge.console import SILENT, Step, Unit
from sphere_edge.devices import payload
from sphere_edge.devices.local import LocalDevice
from sphere_edge.devices.store import Store
from sphere_edge.errors import (
    InvalidArgumentError,
    ModelCorruptError,
    NotFoundError,
    SphereEdgeError,
    Status,
    UnsupportedError,
    UntrustedError,
)
from sphere_edge.sdk import app_bundle
from tests import trust_cases
from tests.cli_process import in_process
from tests.golden_bundle import draft, fill, make, rewrite
from tests.signing import SECRETS, key, key_file, public_line, trust_file, trusted, with_statement

RELEASE, SPARE, STRANGER = (key(name) for name in ("release", "spare", "stranger"))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make(tmp_path / "a").folder


def check(bundle: Path, keys: TrustedKeys, today: str | None = None) -> tuple[str, ...]:
    return keys.check(signed_bundle(bundle), today)


def refused(bundle: Path, keys: TrustedKeys, today: str | None = None) -> str:
    with pytest.raises(UntrustedError) as failure:
        check(bundle, keys, today)
    for key_id in keys.keys:
        if keys.keys[key_id][1].valid_until is None and key_id not in keys.revoked_keys:
            assert key_id in failure.value.message
    return failure.value.message


def test_a_signed_bundle_is_the_same_bundle(bundle: Path, tmp_path: Path) -> None:
    before = verify(bundle).manifest
    sign(bundle, RELEASE)
    assert verify(bundle) == verify(bundle)
    assert verify(bundle).manifest == before
    assert verify(bundle).extra == ()
    assert Bundle.open(bundle).manifest.id == before.id
    assert check(bundle, trusted(RELEASE)) == (RELEASE.public.key_id,)


def test_an_unsigned_bundle_is_refused_with_the_key_that_was_expected(bundle: Path) -> None:
    assert "is not signed" in refused(bundle, trusted(RELEASE, SPARE))


def test_a_strangers_signature_counts_for_nothing(bundle: Path) -> None:
    sign(bundle, STRANGER)
    message = refused(bundle, trusted(RELEASE))
    assert f"is signed by `{STRANGER.public.key_id}`, which is not trusted" in message


def test_one_of_several_signatures_is_enough(bundle: Path) -> None:
    for one in (STRANGER, RELEASE, SPARE):
        sign(bundle, one)
    assert check(bundle, trusted(SPARE)) == (SPARE.public.key_id,)
    assert set(check(bundle, trusted(SPARE, RELEASE))) == {
        SPARE.public.key_id,
        RELEASE.public.key_id,
    }


def test_signing_again_with_a_key_changes_nothing(bundle: Path) -> None:
    sign(bundle, RELEASE)
    once = (bundle / SIGNATURES).read_bytes()
    sign(bundle, RELEASE)
    assert (bundle / SIGNATURES).read_bytes() == once


def test_a_key_counts_within_its_days_only(bundle: Path) -> None:
    sign(bundle, RELEASE)
    keys = trusted(RELEASE, valid_from="2026-03-01", valid_until="2026-04-30")
    for day in ("2026-03-01", "2026-04-30"):
        assert check(bundle, keys, day)
    assert "is trusted from 2026-03-01 on" in refused(bundle, keys, "2026-02-28")
    assert "was trusted until 2026-04-30" in refused(bundle, keys, "2026-05-01")


def test_what_is_revoked_counts_for_nothing(bundle: Path) -> None:
    sign(bundle, RELEASE)
    of_key = trusted(RELEASE, SPARE, revoked_keys=[RELEASE.public.key_id])
    assert "which is revoked" in refused(bundle, of_key)
    of_bundle = trusted(RELEASE, revoked_bundles=[verify(bundle).manifest.id])
    assert "is revoked: its id" in refused(bundle, of_bundle)
    sign(bundle, SPARE)
    assert check(bundle, of_key) == (SPARE.public.key_id,)


def test_the_signature_of_another_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "b").folder
    rewrite(other, name="other")
    sign(other, RELEASE)
    shutil.copy(other / SIGNATURES, bundle)
    assert "has the signature of another bundle" in refused(bundle, trusted(RELEASE))


def test_a_manifest_that_was_exchanged_is_refused(bundle: Path) -> None:
    sign(bundle, RELEASE)
    rewrite(bundle, quantization="q8")
    assert "has the signature of another bundle" in refused(bundle, trusted(RELEASE))


def test_every_changed_byte_of_the_signatures_is_refused(bundle: Path) -> None:
    sign(bundle, RELEASE)
    content = (bundle / SIGNATURES).read_bytes()
    keys = trusted(RELEASE)
    for position in range(len(content)):
        if content[position : position + 1].isspace():
            # White space of the envelope is the only thing that nobody signed.
            continue
        changed = bytearray(content)
        changed[position] ^= 1
        (bundle / SIGNATURES).write_bytes(changed)
        with pytest.raises((ModelCorruptError, UntrustedError)):
            check(bundle, keys)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "not of the type"),
        ({"subject": []}, "does not name one"),
        ({"subject": None}, "does not name one"),
        ({"subject": [{"name": "bundle.json", "digest": {"sha512": "0"}}]}, "does not name one"),
        ({"subject": [{"name": "LICENSE", "digest": {"sha256": "0" * 64}}]}, "does not name one"),
        ({"subject": [{"name": "bundle.json", "digest": {"sha256": "0" * 64}}]}, "another bundle"),
        ({"subject": [{"name": "bundle.json", "digest": {"sha256": "0" * 64}}] * 2}, "name one"),
    ],
)
def test_a_statement_of_something_else_is_refused(
    bundle: Path, statement: dict[str, Any], why: str
) -> None:
    with_statement(bundle, RELEASE, **statement)
    assert why in refused(bundle, trusted(RELEASE))


def test_a_payload_of_another_type_is_refused(bundle: Path) -> None:
    sign(bundle, RELEASE)
    text = (bundle / SIGNATURES).read_text()
    (bundle / SIGNATURES).write_text(text.replace("vnd.in-toto+json", "vnd.other+json"))
    with pytest.raises(ModelCorruptError, match="payloadType"):
        check(bundle, trusted(RELEASE))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: b"", "Expecting value"),
        (lambda text: b"[]", "no JSON object"),
        (lambda text: b'{"a": 1e999}', "out of range"),
        (lambda text: b'{"a": "\\ud800"}', "surrogates"),
        (lambda text: b"[" * 100_000, "nested too deeply"),
        (lambda text: text.replace(b'"payload":', b'"payload": "", "payload":'), "duplicate key"),
        (lambda text: text.replace(b'"sig"', b'"signature"'), "sig"),
        (lambda text: text.replace(b"==", b"=", 1), "base64"),
        (lambda text: text.replace(b'"keyid": "', b'"keyid": "0'), "keyid"),
        (lambda text: text + b" " * 2**20, "bytes long"),
        (lambda text: re.sub(rb'"sig": "[^"]*"', b'"sig": "AAAA"', text), "64 bytes"),
        (lambda text: re.sub(rb'"signatures": \[.*\]', b'"signatures": []', text, flags=re.S), "1"),
    ],
)
def test_damaged_signatures_are_refused(
    bundle: Path, change: Callable[[bytes], bytes], why: str
) -> None:
    sign(bundle, RELEASE)
    (bundle / SIGNATURES).write_bytes(change((bundle / SIGNATURES).read_bytes()))
    for reader in (lambda: check(bundle, trusted(RELEASE)), lambda: verify(bundle)):
        with pytest.raises(ModelCorruptError, match=why) as failure:
            reader()
        assert SIGNATURES in failure.value.message


def test_signatures_outside_the_bundle_are_not_read(bundle: Path, tmp_path: Path) -> None:
    sign(bundle, RELEASE)
    (bundle / SIGNATURES).rename(tmp_path / "elsewhere.json")
    (bundle / SIGNATURES).symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(ModelCorruptError, match="leads out of the bundle"):
        check(bundle, trusted(RELEASE))


def test_a_manifest_that_lists_the_signatures_is_refused(bundle: Path) -> None:
    document = json.loads((bundle / "bundle.json").read_text())
    entry = {**document["files"][0], "path": SIGNATURES}
    rewrite(bundle, files=[*document["files"], entry])
    with pytest.raises(ModelCorruptError, match="duplicate path"):
        verify(bundle)


def test_a_damaged_bundle_is_not_signed(bundle: Path) -> None:
    (bundle / "LICENSE").write_bytes(b"apache-2.0")
    with pytest.raises(ModelCorruptError, match="LICENSE"):
        sign(bundle, RELEASE)
    assert not (bundle / SIGNATURES).exists()


def test_signatures_of_what_the_bundle_was_before_stay_until_they_are_removed(
    bundle: Path,
) -> None:
    sign(bundle, RELEASE)
    rewrite(bundle, quantization="q8")
    with pytest.raises(InvalidArgumentError, match="not for what it is now"):
        sign(bundle, SPARE)


def test_a_bundle_that_gains_a_quality_loses_its_signatures(bundle: Path) -> None:
    sign(bundle, RELEASE)
    quality = Quality(
        reference="f32",
        predictions=1,
        text="a text",
        reference_perplexity=1.0,
        perplexity=1.0,
        kl_divergence=0.0,
        kl_divergence_p99=0.0,
        top1_agreement=1.0,
    )
    record_quality(bundle, quality)
    assert verify(bundle).signed is None


def test_a_sphere_file_carries_its_signatures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPHERE_EDGE_CACHE", str(tmp_path / "cache"))
    make(tmp_path / "a.sphere")
    unsigned = (tmp_path / "a.sphere").read_bytes()
    assert Bundle.open(tmp_path / "a.sphere")
    sign(tmp_path / "a.sphere", RELEASE)
    sign(tmp_path / "a.sphere", SPARE)
    # Unpacked before it was signed, it is signed now.
    opened = Bundle.open(tmp_path / "a.sphere").folder
    for signed in (tmp_path / "a.sphere", opened):
        assert len(check(signed, trusted(RELEASE, SPARE))) == 2
        assert verify(signed).extra == ()
    # A folder that is signed and then packed is the same file.
    with BundleWriter(tmp_path / "b.sphere", key=RELEASE) as writer:
        fill(writer.folder)
        writer.commit(draft())
    sign(tmp_path / "b.sphere", SPARE)
    assert (tmp_path / "a.sphere").read_bytes() == (tmp_path / "b.sphere").read_bytes() != unsigned


def test_what_is_unpacked_has_the_signatures_of_its_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPHERE_EDGE_CACHE", str(tmp_path / "cache"))
    make(tmp_path / "unsigned.sphere")
    shutil.copy(tmp_path / "unsigned.sphere", tmp_path / "signed.sphere")
    sign(tmp_path / "signed.sphere", RELEASE)
    folder = Bundle.open(tmp_path / "signed.sphere").folder
    assert (folder / SIGNATURES).is_file()
    assert not (Bundle.open(tmp_path / "unsigned.sphere").folder / SIGNATURES).exists()
    (folder / "bundle.json").write_bytes((folder / "bundle.json").read_bytes() + b" ")
    with zipfile.ZipFile(tmp_path / "other.sphere", "w") as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                packed.write(path, path.relative_to(folder))
    shutil.rmtree(folder)
    with pytest.raises(ModelCorruptError, match="not as it was written"):
        Bundle.open(tmp_path / "other.sphere")
    assert not folder.exists()


def test_a_pipe_is_not_a_file_of_trusted_keys(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidArgumentError, match="is not a file"):
        TrustedKeys.read(tmp_path / "pipe")


def test_what_is_sent_to_devices_and_apps_has_the_signatures(bundle: Path) -> None:
    def sent() -> tuple[bool, bool]:
        opened = Bundle.open(bundle)
        app = app_bundle.AppBundle(opened.folder, opened.manifest)
        items = [item.path for item in payload.bundle_items(opened)]
        return f"bundle/{SIGNATURES}" in items, f"x/{SIGNATURES}" in app.data("x")

    assert sent() == (False, False)
    sign(bundle, RELEASE)
    assert sent() == (True, True)


def test_the_statement_says_where_the_bundle_comes_from(bundle: Path) -> None:
    sign(bundle, RELEASE)
    signed = verify(bundle).signed
    assert signed is not None
    statement = signed.document()
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    for subject in statement["subject"]:
        content = (bundle / subject["name"]).read_bytes()
        assert subject["digest"] == {"sha256": hashlib.sha256(content).hexdigest()}
    definition = statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["model"] == "tiny"
    assert statement["predicate"]["runDetails"]["builder"]["version"] == {"sphere-edge": "0.1.0"}


# RFC 8032, section 7.1: TEST 1 to 3 and TEST SHA(abc): public key, message, signature.
RFC8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), RFC8032)
def test_signatures_are_those_of_rfc_8032(public: str, message: str, signature: str) -> None:
    known, text, sig = (bytes.fromhex(part) for part in (public, message, signature))
    assert PublicKey(known).has_signed(text, sig)
    assert not PublicKey(known).has_signed(text + b"x", sig)
    # The same signature written in another way: S is not the least one.
    greater = int.from_bytes(sig[32:], "little") + trust_cases.ORDER
    assert not PublicKey(known).has_signed(text, sig[:32] + greater.to_bytes(32, "little"))


SMALL_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "ec" + "ff" * 30 + "7f",
    "ec" + "ff" * 30 + "ff",
    "ed" + "ff" * 30 + "7f",
    "ee" + "ff" * 30 + "ff",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
]


@pytest.mark.parametrize("raw", SMALL_ORDER)
def test_a_key_with_which_anybody_can_sign_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="small order"):
        PublicKey.parse(public_line(bytes.fromhex(raw)))


FILE = {"keys": [{"public_key": public_line(RELEASE.public.raw)}]}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Expecting value"),
        (b"\xff", "utf-8"),
        (b'{"keys": []}', "keys"),
        (b'{"keys": [], "keys": []}', "duplicate key"),
        (json.dumps({**FILE, "revoked": []}).encode(), "revoked"),
        (json.dumps({**FILE, "revoked_keys": ["ab"]}).encode(), "revoked_keys"),
        (json.dumps({"keys": FILE["keys"] * 2}).encode(), "duplicate key"),
        (
            json.dumps({"keys": [{**FILE["keys"][0], "valid_until": "2026-13-01"}]}).encode(),
            "valid",
        ),
        (json.dumps({"keys": [{**FILE["keys"][0], "valid_until": 2026}]}).encode(), "valid"),
        (json.dumps({"keys": [{**FILE["keys"][0], "name": "\x1b[31m"}]}).encode(), "name"),
        (json.dumps({"keys": [{"public_key": "AAAA"}]}).encode(), "not the public key"),
        (json.dumps({"keys": [{"public_key": "é"}]}).encode(), "base64"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not the public key"),
        (b"-----BEGIN PRIVATE KEY-----\n", "Expecting value"),
        (b" " * (2**20 + 1), "more than"),
    ],
)
def test_a_file_that_names_no_keys_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "trusted.json"
    path.write_bytes(content)
    with pytest.raises(InvalidArgumentError, match=why):
        TrustedKeys.read(path)


def test_a_public_key_alone_is_a_file_of_trusted_keys(tmp_path: Path) -> None:
    line = public_line(RELEASE.public.raw)
    text = f"-----BEGIN PUBLIC KEY-----\n{line}\n-----END PUBLIC KEY-----\n"
    assert list(trust.parse(text.encode()).keys) == [RELEASE.public.key_id]
    der = base64.b64decode(line)
    assert hashlib.sha256(der).hexdigest() == RELEASE.public.key_id


def test_commands_sign_and_verify(bundle: Path, tmp_path: Path) -> None:
    private = key_file(tmp_path / "key.pem", SECRETS["release"])
    (tmp_path / "trusted.json").write_text(json.dumps(FILE))
    words = ["verify", str(bundle), "--trusted", str(tmp_path / "trusted.json"), "--json"]
    assert in_process(*words).returncode == Status.UNTRUSTED
    made = in_process("sign", bundle, "--key", private)
    assert (made.returncode, made.stdout.strip()) == (0, RELEASE.public.key_id)
    checked = in_process(*words)
    assert checked.returncode == 0
    assert json.loads(checked.stdout)["trusted_signers"] == [RELEASE.public.key_id]
    words = ["deploy", str(bundle), "--device", "local", "--dry-run", "--trusted"]
    assert in_process(*words, tmp_path / "none").returncode == Status.NOT_FOUND
    stranger = tmp_path / "stranger.json"
    stranger.write_bytes(trust_file(STRANGER))
    refusal = in_process(*words, stranger)
    assert refusal.returncode == Status.UNTRUSTED
    assert STRANGER.public.key_id in refusal.stderr


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", InvalidArgumentError),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", InvalidArgumentError),
        ("rsa", UnsupportedError),
        ("passphrase", UnsupportedError),
    ],
)
def test_what_is_no_key_is_refused(
    tmp_path: Path, content: bytes | str, kind: type[SphereEdgeError]
) -> None:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    path = tmp_path / "key.pem"
    if isinstance(content, str):
        other = ec.generate_private_key(ec.SECP256R1()) if content == "rsa" else None
        pem, pkcs8 = form.Encoding.PEM, form.PrivateFormat.PKCS8
        protected = form.BestAvailableEncryption(b"secret")
        content = (
            other.private_bytes(pem, pkcs8, form.NoEncryption())
            if other is not None
            else ed25519.Ed25519PrivateKey.generate().private_bytes(pem, pkcs8, protected)
        )
    path.write_bytes(content)
    path.chmod(0o600)
    from sphere_edge.bundle.ed25519 import PrivateKey

    with pytest.raises(kind):
        PrivateKey.read(path)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    from sphere_edge.bundle.ed25519 import PrivateKey

    path = key_file(tmp_path / "key.pem", SECRETS["release"])
    path.chmod(0o640)
    with pytest.raises(InvalidArgumentError, match="other users can read"):
        PrivateKey.read(path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(InvalidArgumentError, match="not a file"):
        PrivateKey.read(tmp_path / "pipe")
    with pytest.raises(NotFoundError):
        PrivateKey.read(tmp_path / "none.pem")


def test_nothing_is_packaged_where_the_key_is_missing(tmp_path: Path) -> None:
    words = ["package", "tiny", "-o", str(tmp_path / "out"), "--sign", str(tmp_path / "no.pem")]
    assert in_process(*words).returncode == Status.NOT_FOUND
    assert not (tmp_path / "out").exists()


class _Exchanging:
    """Puts another bundle's manifest and signatures into `bundle` while its files are hashed."""

    def __init__(self, bundle: Path, other: Path) -> None:
        self._bundle, self._other = bundle, other

    def step(
        self, title: str, total: float | None = None, unit: Unit = "items"
    ) -> AbstractContextManager[Step]:
        for file in (MANIFEST, SIGNATURES):
            shutil.copy(self._other / file, self._bundle / file)
        return SILENT.step(title, total, unit)

    def say(self, text: str) -> None:
        SILENT.say(text)

    def warn(self, text: str) -> None:
        SILENT.warn(text)


@pytest.fixture
def exchanging(bundle: Path, tmp_path: Path) -> _Exchanging:
    other = make(tmp_path / "other").folder
    rewrite(other, name="other")
    sign(other, RELEASE)
    return _Exchanging(bundle, other)


def test_what_is_verified_is_what_was_read_first(bundle: Path, exchanging: _Exchanging) -> None:
    proven = verify(bundle, exchanging)
    # By now it has the signature of another bundle.
    assert (bundle / SIGNATURES).is_file()
    assert proven.signed is None
    assert json.loads(proven.read.manifest)["id"] == proven.manifest.id
    with pytest.raises(UntrustedError, match="is not signed"):
        trusted(RELEASE).check(proven.read)


def test_what_is_signed_is_what_was_verified(bundle: Path, exchanging: _Exchanging) -> None:
    before = (bundle / MANIFEST).read_bytes()
    signed = sign(bundle, RELEASE, exchanging)
    assert signed.subject_sha256() == hashlib.sha256(before).hexdigest()
    with pytest.raises(UntrustedError, match="signature of another bundle"):
        check(bundle, trusted(RELEASE))


def test_what_is_deployed_is_what_was_checked(bundle: Path, tmp_path: Path) -> None:
    keys = tmp_path / "trusted.json"
    keys.write_bytes(trust_file(RELEASE))
    sign(bundle, RELEASE)
    found, device = Bundle.open(bundle), LocalDevice()
    store = Store(device, str(tmp_path / "store"))
    prepared = Deployment(device, found, store, tuple(payload.bundle_items(found)))
    checked = KeyFile.read(keys).check(found)
    assert checked.signers == (RELEASE.public.key_id,)
    assert prepared.trusted(checked).items[-1].source == keys
    seen = checked.signed
    other = replace(seen, manifest=seen.manifest + b" ")
    for changed in (other, replace(seen, id="0" * 64)):
        with pytest.raises(ModelCorruptError, match="was changed while it was being deployed"):
            prepared.trusted(CheckedBundle(changed, keys, checked.signers))


def test_nothing_is_deployed_for_a_server_where_one_bundle_is_refused(
    bundle: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "trusted.json"
    keys.write_bytes(trust_file(RELEASE))
    sign(bundle, RELEASE)
    unsigned = make(tmp_path / "b").folder
    rewrite(unsigned, name="unsigned")
    store = Store(LocalDevice(), str(tmp_path / "store"))
    with pytest.raises(UntrustedError, match="is not signed"):
        deploy_bundles(store, [Bundle.open(bundle), Bundle.open(unsigned)], keys)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("name", trust_cases.CASES)
def test_python_judges_as_the_core_does(name: str, tmp_path: Path) -> None:
    case = trust_cases.CASES[name]
    assert trust_cases.judged(*trust_cases.place(case, tmp_path))[0] is case.status


def test_the_pae_is_that_of_dsse() -> None:
    message = signatures.pre_authentication_encoding(b"hello world")
    assert message == b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"
