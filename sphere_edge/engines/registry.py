"""The engines, each under its name in a bundle's manifest.

Their modules are imported when one builds: the compiler takes seconds to load, a GGUF needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sphere_edge.engines import smoke
from sphere_edge.engines.engine import BuildRequest, Built, Engine
from sphere_edge.engines.options import PackageOptions
from sphere_edge.engines.smoke import SmokeTest
from sphere_edge.errors import UnsupportedError
from sphere_edge.formats.source import ModelSource


class _Tvm:
    """Safetensors language models as compiled code."""

    smoke_test: SmokeTest = smoke.TEXT

    def accepts(self, source: ModelSource, options: PackageOptions) -> bool:
        return source.kind == "safetensors" and not options.as_gguf

    def fit(self, request: BuildRequest) -> Callable[[], Built]:
        with request.progress.step("loading the compiler"):
            from sphere_edge.engines import tvm
        return tvm.fit(request)


class _Llama:
    """GGUF files, and safetensors language models made into one, through llama.cpp."""

    smoke_test: SmokeTest = smoke.TEXT

    def accepts(self, source: ModelSource, options: PackageOptions) -> bool:
        return source.kind == "gguf" or (source.kind == "safetensors" and options.as_gguf)

    def fit(self, request: BuildRequest) -> Callable[[], Built]:
        from sphere_edge.engines import llama

        return llama.fit(request)


class _Whisper:
    """Speech recognition models through whisper.cpp."""

    smoke_test: SmokeTest = smoke.AUDIO

    def accepts(self, source: ModelSource, options: PackageOptions) -> bool:
        return source.kind == "whisper"

    def fit(self, request: BuildRequest) -> Callable[[], Built]:
        from sphere_edge.engines import whisper

        return whisper.fit(request)


class _Diffusion:
    """Image models through stable-diffusion.cpp."""

    smoke_test: SmokeTest = smoke.IMAGE

    def accepts(self, source: ModelSource, options: PackageOptions) -> bool:
        return source.kind == "diffusion"

    def fit(self, request: BuildRequest) -> Callable[[], Built]:
        from sphere_edge.engines import diffusion

        return diffusion.fit(request)


ENGINES: Mapping[str, Engine] = {
    "tvm": _Tvm(),
    "llama": _Llama(),
    "whisper": _Whisper(),
    "diffusion": _Diffusion(),
}


def engine_for(source: ModelSource, options: PackageOptions) -> Engine:
    """The engine that builds `source` with `options`; UnsupportedError if there is none."""
    for engine in ENGINES.values():
        if engine.accepts(source, options):
            return engine
    message = f"no engine builds `{source.reference}` ({source.kind})"
    raise UnsupportedError(message)
