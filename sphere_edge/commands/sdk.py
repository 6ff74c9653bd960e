"""`sphere-edge sdk`: renders an app project from bundles, or renews one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import console
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.sdk import android as android_project
from sphere_edge.sdk import app_bundle, names
from sphere_edge.sdk import ios as ios_project
from sphere_edge.sdk.android import Weights
from sphere_edge.sdk.project import Content, Project

_SHOWN = 10


@dataclass(frozen=True)
class Request:
    """The project to write, and how what its owner has changed is treated."""

    bundles: Sequence[Path]
    output: Path
    name: str | None = None
    identifier: str | None = None
    force: bool = False
    yes: bool = False

    @property
    def app_name(self) -> str:
        """Where none is given, that of the folder."""
        return self.name or self.output.absolute().name


def android(request: Request, weights: str | None, *, as_json: bool) -> None:
    """Renders an Android project."""
    if weights not in (None, "app", "pack"):
        message = f"invalid value `{weights}` for --weights"
        raise InvalidArgumentError(message, hint="choose one of: app, pack")
    progress = console.progress()
    app = names.for_android(request.app_name, request.identifier)
    bundles = app_bundle.opened(request.bundles, "android", progress)
    chosen: Weights | None = weights  # type: ignore[assignment]
    _write(request, "android", android_project.contents(app, bundles, chosen, progress), as_json)


def ios(request: Request, *, as_json: bool) -> None:
    """Renders an Xcode project."""
    progress = console.progress()
    app = names.for_ios(request.app_name, request.identifier)
    bundles = app_bundle.opened(request.bundles, "ios", progress)
    _write(request, "ios", ios_project.contents(app, bundles, progress), as_json)


def _write(request: Request, kind: str, contents: dict[str, Content], as_json: bool) -> None:
    def replaces(changed: Sequence[str]) -> bool:
        return request.force and (request.yes or _agreed(changed))

    update = Project(request.output, kind, contents, replaces).write()
    if as_json:
        console.write_json(
            {
                "project": str(request.output),
                "written": list(update.written),
                "kept": list(update.kept),
                "removed": list(update.removed),
            }
        )
        return
    for path in update.kept:
        console.warn(f"`{path}` was changed by you and stays; --force replaces it")
    console.say(f"{len(update.written)} files written, {len(update.removed)} removed")
    console.write(str(request.output))


def _agreed(changed: Sequence[str]) -> bool:
    shown = [
        *changed[:_SHOWN],
        *([f"and {len(changed) - _SHOWN} more"] if changed[_SHOWN:] else []),
    ]
    console.say("changed by you: " + ", ".join(shown))
    if not console.is_interactive():
        message = f"{len(changed)} files that you changed would be replaced"
        raise InvalidArgumentError(message, hint="add --yes, or leave out --force to keep them")
    return console.confirm("replace them?")
