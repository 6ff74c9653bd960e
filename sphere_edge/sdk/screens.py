"""Which screens an app has: one for each kind of model among its bundles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sphere_edge.errors import UnsupportedError
from sphere_edge.sdk.app_bundle import AppBundle


def first_of_each_task(bundles: Sequence[AppBundle]) -> dict[str, AppBundle]:
    """The bundle of each screen. Raises UnsupportedError where two want the same one."""
    tasks: dict[str, AppBundle] = {}
    for bundle in bundles:
        task = bundle.manifest.task
        if task in tasks:
            message = f"`{tasks[task].name}` and `{bundle.name}` are both for {task}"
            raise UnsupportedError(message, hint="the app has one screen for each kind of model")
        tasks[task] = bundle
    return tasks


def described(bundle: AppBundle) -> dict[str, Any]:
    """What templates say of a bundle; nothing that its maker could have written freely."""
    manifest = bundle.manifest
    has_license = any(file.role == "license" for file in manifest.files)
    return {
        "name": manifest.name,
        "id": manifest.id,
        "task": manifest.task,
        "code": bool(bundle.code),
        "license": f"{manifest.name}/LICENSE" if has_license else "not in the bundle",
    }
