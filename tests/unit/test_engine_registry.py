"""The engines: each model goes to one of them, and only the one that builds is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from sphere_edge.bundle.manifest import ManifestDraft
from sphere_edge.engines.options import PackageOptions
from sphere_edge.engines.registry import ENGINES, engine_for
from sphere_edge.formats.source import ModelSource
from sphere_edge.formats.wanted import Kind


def source(kind: Kind) -> ModelSource:
    return ModelSource("some/model", Path("model"), kind, None, "model")


@pytest.mark.parametrize("as_gguf", [False, True])
@pytest.mark.parametrize("kind", get_args(Kind))
def test_each_kind_of_model_has_one_engine(kind: Kind, as_gguf: bool) -> None:
    options = PackageOptions(as_gguf=as_gguf)
    accepting = [engine for engine in ENGINES.values() if engine.accepts(source(kind), options)]
    assert accepting == [engine_for(source(kind), options)]


def test_a_safetensors_model_becomes_a_gguf_where_that_is_asked_for() -> None:
    options = PackageOptions(as_gguf=True)
    assert engine_for(source("safetensors"), options) is ENGINES["llama"]
    assert engine_for(source("safetensors"), PackageOptions()) is ENGINES["tvm"]


def test_the_engines_are_those_that_a_manifest_may_name() -> None:
    assert set(ENGINES) == set(get_args(ManifestDraft.model_fields["engine"].annotation))


def test_a_gguf_is_packaged_without_loading_the_compiler(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from sphere_edge import profiles
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.engines.engine import BuildRequest
from sphere_edge.engines.options import PackageOptions
from sphere_edge.engines.registry import engine_for
from sphere_edge.formats.source import open_source
from tests import random_gguf

source = open_source(str(random_gguf.write(Path({str(tmp_path)!r}) / "random.gguf")))
options = PackageOptions()
with BundleWriter(Path({str(tmp_path)!r}) / "bundle") as writer:
    build = engine_for(source, options).fit(
        BuildRequest(source, profiles.load("pixel8"), options, writer)
    )
    writer.commit(build().draft)
assert "tvm" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
    assert (tmp_path / "bundle" / "bundle.json").is_file()
