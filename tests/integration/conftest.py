"""What several integration tests use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sanitized

from sphere_edge import errors, packaging, profiles
from sphere_edge.bundle.read import Bundle
from sphere_edge.engines.options import PackageOptions
from sphere_edge.simulate import arm_root as arm
from tests import made_bundles, random_diffusion, runtimes


@pytest.fixture(scope="session", autouse=True)
def whole_library() -> None:
    """Builds the library before a test loads it: a process keeps the first that it has loaded.

    In an empty cache that would be the one that is built for the first answer, without tools.
    """
    runtimes.here()


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


@pytest.fixture(scope="session")
def gpu_bundle() -> Bundle:
    """The built-in model with code for OpenCL, in float32, and for this CPU; for reading only."""
    # Imported here: TVM takes seconds to load, and most tests need none.
    from opencl_kernels import device

    device()
    options = PackageOptions(quantization="q8", context_tokens=512)
    return made_bundles.made(packaging.TINY, profiles.load("generic-opencl"), options)


@pytest.fixture(scope="session")
def bundles() -> Any:
    """The built-in model for devices of the catalogue."""
    # Imported here: TVM takes seconds to load, and most tests need none.
    from catalogue_bundles import Bundles

    return Bundles()


@pytest.fixture(scope="session")
def image_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image model with random weights as one file; for reading only."""
    return random_diffusion.write(tmp_path_factory.mktemp("image-model") / "random.safetensors")


@pytest.fixture(scope="session")
def image_bundle(image_model: Path) -> Path:
    """Its bundle for this machine; for reading only."""
    return made_bundles.made(image_model).folder
