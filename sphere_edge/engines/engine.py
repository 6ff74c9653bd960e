"""What an engine is: it turns a model into the contents of a bundle, and says how to try that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sphere_edge.bundle.manifest import ManifestDraft
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.console import SILENT, Progress
from sphere_edge.engines.options import PackageOptions
from sphere_edge.engines.smoke import SmokeTest
from sphere_edge.formats.source import ModelSource
from sphere_edge.profiles import DeviceProfile


@dataclass(frozen=True)
class BuildRequest:
    """What to build, for which device, with which options, and into which bundle."""

    source: ModelSource
    profile: DeviceProfile
    options: PackageOptions
    writer: BundleWriter
    progress: Progress = SILENT


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Built:
    """What an engine has put into the bundle's folder.

    `check`: what only the native runtime can say about it, such as whether its tokenizer is the
    model's own. `keep_reference`: puts the right answers into the folder, for `certify` on a
    device. Both raise.
    """

    draft: ManifestDraft
    check: Callable[[], None] = _nothing
    keep_reference: Callable[[], None] = _nothing


class Engine(Protocol):
    """One way to turn models into bundles."""

    @property
    def smoke_test(self) -> SmokeTest:
        """The smallest request that its bundles must answer."""

    def accepts(self, source: ModelSource, options: PackageOptions) -> bool:
        """Whether it builds models of this kind, with these options."""

    def fit(self, request: BuildRequest) -> Callable[[], Built]:
        """Checks the model, the options and the device's memory; what it returns builds.

        Nothing is written before that. Raises UnsupportedError, ModelCorruptError,
        OutOfMemoryError (does not fit the profile) and InvalidArgumentError (options); building
        raises the same for what shows only then, and StorageError (full disk).
        """
