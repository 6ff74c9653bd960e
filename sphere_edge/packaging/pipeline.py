"""The steps from a model to a bundle: fit, build, try, seal."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import profiles
from sphere_edge.bundle.read import Bundle, check_runs_on
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.console import Progress
from sphere_edge.engines.engine import BuildRequest
from sphere_edge.engines.options import PackageOptions
from sphere_edge.engines.registry import engine_for
from sphere_edge.engines.smoke import SmokeTest
from sphere_edge.errors import FormatMismatchError
from sphere_edge.formats.source import ModelSource
from sphere_edge.profiles import DeviceProfile


@dataclass(frozen=True)
class Packaged:
    """A finished bundle at `output`; `tried_here`: it has worked on this machine."""

    bundle: Bundle
    output: Path
    seconds: float
    tried_here: bool


def package(
    source: ModelSource,
    profile: DeviceProfile,
    options: PackageOptions,
    output: Path | BundleWriter,
) -> Packaged:
    """Makes the bundle `output` from `source` for `profile`; nothing is left of it if that fails.

    A writer in place of its path may replace what is there, and shows progress. A bundle that this
    machine can run has to pass its smoke test before it counts as made. Raises what the engine, the
    smoke test and the writer raise.
    """
    started = time.monotonic()
    engine = engine_for(source, options)
    tried_here = False

    def try_here(bundle: Bundle) -> None:
        nonlocal tried_here
        tried_here = _tried(engine.smoke_test, bundle, writer.progress)

    with output if isinstance(output, BundleWriter) else BundleWriter(output) as writer:
        build = engine.fit(BuildRequest(source, profile, options, writer, writer.progress))
        built = build()
        built.check()
        built.keep_reference()
        bundle = writer.commit(built.draft, try_here)
    return Packaged(bundle, writer.output, time.monotonic() - started, tried_here)


def _tried(smoke_test: SmokeTest, bundle: Bundle, progress: Progress) -> bool:
    """Whether the bundle is for a machine like this one, where it then answers."""
    try:
        check_runs_on(bundle.manifest, profiles.host())
    except FormatMismatchError:
        return False
    # A runtime with ggml's backend for GPUs takes minutes to build: that waits until it is run.
    backend = "cpu" if bundle.manifest.ggml_gpu is not None else None
    with progress.step("trying it"):
        smoke_test.run_here(bundle.folder, backend)
    return True
