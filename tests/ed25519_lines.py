"""Questions for native/tests/test_ed25519.cpp, and the answers that Python's cryptography gives."""

from __future__ import annotations

import base64
import hashlib

from sphere_edge.bundle.ed25519 import PublicKey
from tests.signing import key, public_line
from tests.trust_cases import ORDER
from tests.unit.test_signatures import RFC8032, SMALL_ORDER


def lines() -> list[tuple[str, str]]:
    """Each line of its input, and what it prints."""
    asked = [
        (f"sha512 {_base64(text)}", hashlib.sha512(text).hexdigest())
        for text in (bytes(i * 37 % 256 for i in range(n)) for n in range(300))
    ]
    for public, message, signature in RFC8032:
        known, text, sig = (bytes.fromhex(part) for part in (public, message, signature))
        greater = int.from_bytes(sig[32:], "little") + ORDER
        for changed, changed_sig in (
            (text, sig),
            (text + b"x", sig),
            (text, sig[:32] + greater.to_bytes(32, "little")),
            (text, sig[32:] + sig[:32]),
        ):
            asked.append(_asked(PublicKey(known), changed, changed_sig))
    signer = key("release")
    for length in (0, 1, 63, 64, 65, 111, 112, 127, 128, 1000):
        text = bytes(range(256)) * 4
        sig = signer.sign(text[:length])
        asked.append(_asked(signer.public, text[:length], sig))
        for place in range(0, 64, 7):
            flipped = bytearray(sig)
            flipped[place] ^= 1 << place % 8
            asked.append(_asked(signer.public, text[:length], bytes(flipped)))
    line = public_line(signer.public.raw)
    asked += [(f"{public_line(bytes.fromhex(raw))} - -", "small") for raw in SMALL_ORDER]
    odd = (line[:-1], line + "=", line[:-1] + "A", "A" + line[1:], "====", "-", line[:-4], "é")
    asked += [(f"{text} - -", "none") for text in odd]
    return asked


def _asked(public: PublicKey, text: bytes, signature: bytes) -> tuple[str, str]:
    line = f"{public_line(public.raw)} {_base64(text)} {_base64(signature)}"
    return line, f"{public.key_id} {int(public.has_signed(text, signature))}"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode() or "-"
