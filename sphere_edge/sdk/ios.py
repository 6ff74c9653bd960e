"""The Xcode project of an app: the template, the Swift package, the bundles and their code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sphere_edge import __version__, resources
from sphere_edge.console import Progress
from sphere_edge.errors import InternalError, UnsupportedError
from sphere_edge.sdk import core, render, xcframework
from sphere_edge.sdk.app_bundle import AppBundle
from sphere_edge.sdk.names import AppNames
from sphere_edge.sdk.project import Content, Plain
from sphere_edge.sdk.screens import described, first_of_each_task

_SCREENS = {
    "text": ("ChatModel.swift", "ChatScreen.swift"),
    "audio": ("TranscribeScreen.swift", "Microphone.swift"),
    "image": ("ImageScreen.swift",),
}
# The library's own tests need more than an app has.
_TESTS = '    .testTarget(name: "SphereEdgeTests", dependencies: ["SphereEdge"]),\n'


def contents(
    names: AppNames, bundles: Sequence[AppBundle], progress: Progress
) -> dict[str, Content]:
    """Every file of the project. Raises UnsupportedError, and what the framework raises."""
    tasks = first_of_each_task(bundles)
    for bundle in bundles:
        if any(file.path.endswith(".so") for file in bundle.code):
            message = f"the bundle `{bundle.name}` has shared libraries, which iOS does not load"
            raise UnsupportedError(message, hint="package the model with an iPhone's profile")
    values: dict[str, Any] = {
        "name_shown": names.name,
        "module": names.module,
        "identifier": names.identifier,
        "dot": ".",
        "version": __version__,
        "code": any(bundle.code for bundle in bundles),
        "engines": " ".join(core.engines_of(bundles)),
        "bundles": [described(bundle) for bundle in bundles],
        **{task: tasks[task].name if task in tasks else None for task in _SCREENS},
    }
    unused = {name for task in _SCREENS if task not in tasks for name in _SCREENS[task]}
    left_out = frozenset(f"App/{name}" for name in unused)
    files = render.rendered(resources.folder("templates") / "ios", values, left_out)
    for bundle in bundles:
        # The runtime looks for all files of the manifest, also for those that are linked in.
        files |= bundle.data(f"Bundles/{bundle.name}", with_code=True)
    with progress.step("packing the compiled model"):
        files |= xcframework.contents(bundles, "ModelCode")
    return files | _package()


def _package() -> dict[str, Content]:
    """The Swift package, and what its native core is compiled from."""
    ios = resources.folder("ios")
    native = frozenset({"tests", "runner", "tools", "make_unicode_tables.py"})
    package = (ios / "Package.swift").read_text(encoding="utf-8")
    if _TESTS not in package:
        message = "ios/Package.swift has another line for its tests"
        raise InternalError(message)
    return {
        **render.copied(
            ios, "SphereEdge/ios", frozenset({"Tests", "api", "CSphereEdge.xcframework"})
        ),
        "SphereEdge/ios/Package.swift": Plain(package.replace(_TESTS, "").encode()),
        **render.copied(resources.folder("native"), "SphereEdge/native", native),
    }
