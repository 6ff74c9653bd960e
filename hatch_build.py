"""Hatchling's hook: puts finished runtimes into a wheel, or asks for what builds them."""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Set by wheels/build.py: a folder of finished runtimes, and the tag of the platform they are for.
RUNTIMES = "SPHERE_EDGE_RUNTIMES"
TAG = "SPHERE_EDGE_WHEEL_TAG"


class RuntimesHook(BuildHookInterface):  # type: ignore[type-arg]
    """A wheel with runtimes is for one platform; one without runtimes depends on the compilers."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before a wheel is built; `version` is `standard` or `editable`."""
        runtimes = os.environ.get(RUNTIMES)
        if runtimes and version == "standard":
            build_data["force_include"][runtimes] = "sphere_edge/_data/runtimes"
            build_data["pure_python"] = False
            build_data["tag"] = os.environ[TAG]
        else:
            build_data["dependencies"] += self.metadata.core.optional_dependencies["build"]
