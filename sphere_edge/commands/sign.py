"""`sphere-edge sign`: adds a signature to a bundle."""

from __future__ import annotations

from pathlib import Path

from sphere_edge import console
from sphere_edge.bundle import sign as bundle_sign
from sphere_edge.bundle.ed25519 import PrivateKey


def sign(bundle: Path, key: Path, *, as_json: bool) -> None:
    """Prints the id of the key; raises what reading the key, `verify` and writing raise."""
    private = PrivateKey.read(key)
    signed = bundle_sign.sign(bundle, private, console.progress())
    key_id = private.public.key_id
    if as_json:
        console.write_json({"key_id": key_id, "signed_by": signed.key_ids})
        return
    count = len(signed.signatures)
    others = "" if count == 1 else f", beside {count - 1} other signature" + "s" * (count > 2)
    console.say(f"`{bundle}` is signed{others}; the id of the key is")
    console.write(key_id)
