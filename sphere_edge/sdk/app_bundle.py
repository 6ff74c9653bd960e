"""A bundle as an app carries it: code in the app itself, weights as files that travel apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sphere_edge.bundle import files
from sphere_edge.bundle.files import MANIFEST
from sphere_edge.bundle.manifest import File, Manifest
from sphere_edge.bundle.read import Bundle, manifest_bytes, signature_bytes
from sphere_edge.console import Progress
from sphere_edge.errors import FormatMismatchError, InvalidArgumentError
from sphere_edge.sdk.project import BundleFile, Content, Plain

System = Literal["android", "ios"]


@dataclass(frozen=True)
class AppBundle:
    """A sound bundle that runs on the app's system."""

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """Also that of its folder in the app."""
        return self.manifest.name

    @property
    def code(self) -> tuple[File, ...]:
        """Compiled code: shared libraries, or for iOS object files."""
        return tuple(file for file in self.manifest.files if file.role == "library")

    @property
    def weights_bytes(self) -> int:
        """All that is not code."""
        return self.manifest.total_bytes - sum(file.bytes for file in self.code)

    def data(self, below: str, *, with_code: bool = False) -> dict[str, Content]:
        """The manifest, signatures and every file, each below `below`; `with_code` the code too."""
        contents: dict[str, Content] = {f"{below}/{MANIFEST}": Plain(manifest_bytes(self.folder))}
        if (signatures := signature_bytes(self.folder)) is not None:
            contents[f"{below}/{files.SIGNATURES}"] = Plain(signatures)
        for file in self.manifest.files:
            if with_code or file.role != "library":
                contents[f"{below}/{file.path}"] = self.file(file)
        return contents

    def file(self, file: File) -> BundleFile:
        """A file of the bundle, proven when it is copied."""
        return BundleFile(self.folder, file.path, file.bytes, file.sha256)


def opened(paths: Sequence[Path], system: System, progress: Progress) -> tuple[AppBundle, ...]:
    """The bundles at `paths`, of different names and all for `system`.

    Raises what Bundle.open raises, FormatMismatchError and InvalidArgumentError.
    """
    found: dict[str, AppBundle] = {}
    for path in paths:
        bundle = Bundle.open(path, progress)
        _check_runs_on(bundle.manifest, system)
        if bundle.manifest.name in found:
            message = f"two bundles are called `{bundle.manifest.name}`"
            raise InvalidArgumentError(message, hint="an app has one bundle of a name")
        found[bundle.manifest.name] = AppBundle(bundle.folder, bundle.manifest)
    return tuple(found.values())


def _check_runs_on(manifest: Manifest, system: System) -> None:
    """Files for ggml run anywhere unless they were made for one CPU; compiled code does not."""
    target = manifest.target
    if manifest.engine != "tvm" and not target.cpu_features:
        return
    if system in target.triple and target.triple.startswith(("aarch64", "arm64")):
        return
    message = (
        f"the bundle `{manifest.name}` was made for `{target.triple}`, not for 64-bit {system}"
    )
    profile = "pixel8" if system == "android" else "iphone15-pro"
    raise FormatMismatchError(message, hint=f"package the model with --profile {profile}, or so")
