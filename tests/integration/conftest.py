"""What several integration tests use."""

from __future__ import annotations

from pathlib import Path

import pytest
import sanitized

from sphere_edge import errors
from sphere_edge.simulate import arm_root as arm


@pytest.fixture(scope="session")
def arm_root() -> Path:
    """A small system for 64-bit ARM whose programs run here; for reading only."""
    try:
        return arm.make()
    except errors.SphereEdgeError as error:
        pytest.skip(f"no system for ARM can be had: {error}")


@pytest.fixture(scope="session")
def programs() -> Path:
    """`bin/` of the native core's test programs, built with sanitizers."""
    return sanitized.build()
