"""The Android project of an app: the template, the Kotlin library, the bundles and the core."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Literal

from sphere_edge import __version__, resources
from sphere_edge.bundle.manifest import File
from sphere_edge.console import Progress
from sphere_edge.sdk import core, render
from sphere_edge.sdk.app_bundle import AppBundle
from sphere_edge.sdk.names import AppNames
from sphere_edge.sdk.project import Content, Plain
from sphere_edge.sdk.screens import described, first_of_each_task

Weights = Literal["app", "pack"]
ABI = "arm64-v8a"
# Play takes 200 MB from an app as it is downloaded; code, classes and resources need their share.
_MOST_IN_APP_BYTES = 150 * 10**6
# An AI pack may have 1.5 GB, all packs of an app 4 GB.
_MOST_IN_PACK_BYTES = 1_500_000_000
_SOURCES = "app/src/main/kotlin/__package_path__"
_SCREENS = {
    "text": ("ChatModel.kt", "ChatScreen.kt", "Markdown.kt"),
    "audio": ("TranscribeModel.kt", "TranscribeScreen.kt", "Microphone.kt"),
    "image": ("ImageModel.kt", "ImageScreen.kt"),
}
_TABS = {"text": ("Chat", "Bench"), "audio": ("Transcribe",), "image": ("Image",)}


def contents(
    names: AppNames,
    bundles: Sequence[AppBundle],
    weights: Weights | None,
    progress: Progress,
) -> dict[str, Content]:
    """Every file of the project. `weights` None: by their size. Raises UnsupportedError."""
    tasks = first_of_each_task(bundles)
    in_pack = _in_pack(bundles, weights, progress)
    made = core.for_android(bundles, progress)
    below = "weights/src/main/assets" if in_pack else "app/src/main/assets"
    values: dict[str, Any] = {
        "name": names.name,
        "package": names.identifier,
        "package_path": names.identifier.replace(".", "/"),
        "dot": ".",
        "version": __version__,
        "abi": ABI,
        "pack": in_pack,
        "weights_folder": f"{below}/bundles",
        "code": any(bundle.code for bundle in bundles),
        "prebuilt": bool(made.libraries),
        "cmake": " ".join(f"-D{name}={value}" for name, value in made.definitions.items()),
        "bundles": [described(bundle) for bundle in bundles],
        "tabs": [tab for task in tasks for tab in _TABS[task]],
        **{task: tasks[task].name if task in tasks else None for task in _SCREENS},
    }
    unused = {name for task in _SCREENS if task not in tasks for name in _SCREENS[task]}
    left_out = {f"{_SOURCES}/{name}" for name in unused} | (set() if in_pack else {"weights"})
    files = render.rendered(resources.folder("templates") / "android", values, frozenset(left_out))
    for bundle in bundles:
        files |= bundle.data(f"{below}/bundles/{bundle.name}")
        for file in bundle.code:
            files[f"app/src/main/jniLibs/{ABI}/{_library_name(file)}"] = bundle.file(file)
    return files | _library() | _prebuilt(made)


def _library_name(file: File) -> str:
    """As the core looks for it: an app has the libraries of all its bundles in one folder."""
    name = PurePosixPath(file.path)
    return f"lib{name.stem}-{file.sha256[:12]}{name.suffix}"


def _in_pack(bundles: Sequence[AppBundle], weights: Weights | None, progress: Progress) -> bool:
    total = sum(bundle.weights_bytes for bundle in bundles)
    in_pack = weights == "pack" or (weights is None and total > _MOST_IN_APP_BYTES)
    if in_pack and total > _MOST_IN_PACK_BYTES:
        progress.warn(
            f"the weights have {total} bytes and Play takes {_MOST_IN_PACK_BYTES} in a pack: fetch "
            "them from elsewhere, with BundleStore, before you publish the app"
        )
    return in_pack


def _library() -> dict[str, Content]:
    """The Kotlin library with what its native code is compiled from."""
    android = resources.folder("android") / "sphere-edge"
    unneeded = frozenset({"src/test", "api"})
    native = frozenset({"tests", "runner", "tools", "make_unicode_tables.py"})
    return {
        **render.copied(android, "sphere-edge/android/sphere-edge", unneeded),
        **render.copied(resources.folder("native"), "sphere-edge/native", native),
    }


def _prebuilt(made: core.AndroidCore) -> dict[str, Content]:
    return {
        f"sphere-edge/prebuilt/{ABI}/{path.name}": Plain(path.read_bytes())
        for path in made.libraries
    }
