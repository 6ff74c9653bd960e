"""Makes a small ARM system look like Android to a probe."""

from __future__ import annotations

from pathlib import Path

# The output of `getprop NAME`; the names are Android's own.
PROPERTIES = {
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.product.manufacturer": "Sphere",
    "ro.product.model": "Simulated phone",
    "ro.product.cpu.abi": "arm64-v8a",
}
_LINKER = "/system/bin/linker64"


def furnish(root: Path) -> None:
    """Puts `getprop` and the name of Android's loader into `root`.

    Its programs stay Debian's; there is no bionic and no SELinux. So what is built for Android
    by the NDK does not run there, and a static program does.
    """
    folder = root / "system/bin"
    folder.mkdir(parents=True, exist_ok=True)
    cases = "".join(f"  {name}) echo '{value}' ;;\n" for name, value in PROPERTIES.items())
    getprop = folder / "getprop"
    getprop.write_text(f"#!/bin/sh\ncase $1 in\n{cases}esac\n", "utf-8")
    getprop.chmod(0o755)
    (root / _LINKER.lstrip("/")).touch()
    sh = folder / "sh"
    if not sh.is_symlink():
        sh.symlink_to("/bin/sh")
