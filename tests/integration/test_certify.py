"""`certify` against faults put in on purpose: each is caught, and right bundles pass."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from certified_here import certified

from sphere_edge import packaging, profiles, resources
from sphere_edge.bundle import reference as references
from sphere_edge.bundle.read import Bundle
from sphere_edge.certify import on_device, on_host
from sphere_edge.certify.certifying import Where
from sphere_edge.certify.on_device import Settings, Subject
from sphere_edge.commands.certify import certify
from sphere_edge.commands.deploy import Options, deploy
from sphere_edge.compiler import kernels
from sphere_edge.compiler.build import compile_module
from sphere_edge.compiler.target import CpuTarget
from sphere_edge.devices.local import LocalDevice
from sphere_edge.devices.open import StoreAddress
from sphere_edge.devices.store import Store
from sphere_edge.engines.options import PackageOptions
from sphere_edge.errors import LoadFailedError, ModelCorruptError, NotFoundError
from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.graph import Limits, trace
from sphere_edge.models.registry import family
from sphere_edge.run import run
from sphere_edge.toolchain import compilers
from tests import made_bundles, manifest_corpus, random_gguf

HOST = profiles.host()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return made_bundles.made(packaging.TINY)


@pytest.fixture(scope="module")
def faulty_math(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A math library that goes wrong when SE_FAULT says so."""
    library = tmp_path_factory.mktemp("math") / "faulty_math.so"
    source = Path(__file__).with_name("faulty_math.c")
    command = [compilers.zig(), "cc", "-O2", "-fno-builtin", "-shared", "-fPIC", "-o", library]
    run([*command, source, "-lm"], timeout_s=300, env=compilers.environment())
    return library


def test_a_right_bundle_is_certified_in_full_and_in_short(bundle):
    for short in (False, True):
        result = certified(bundle, short=short)
        assert result.certified, result.reasons
        assert result.agreement == 1
        assert 0 < result.mean < result.largest < 0.1
        assert result.repeats


def test_a_wrong_constant_is_caught_and_its_kernel_named(bundle, faulty_math):
    result = certified(bundle, LD_PRELOAD=str(faulty_math), SE_FAULT="constant")
    assert not result.certified
    assert "rotate_and_store_many" in result.kernel
    assert "layers.0.self_attn.qkv_proj" in result.kernel


def test_a_nan_is_caught_though_it_comes_only_at_far_positions(bundle, faulty_math):
    result = certified(bundle, repeat=1, LD_PRELOAD=str(faulty_math), SE_FAULT="nan")
    assert not result.certified
    assert result.non_finite > 0
    assert "not finite" in result.reasons[0]


def test_a_kernel_that_fails_one_time_in_twenty_is_caught(bundle, faulty_math):
    result = certified(bundle, repeat=5, LD_PRELOAD=str(faulty_math), SE_FAULT="flaky")
    assert not result.certified
    assert not result.repeats


def test_the_broken_library_itself_is_harmless(bundle, faulty_math):
    assert certified(bundle, short=True, LD_PRELOAD=str(faulty_math), SE_FAULT="").certified


class SharperAttention(kernels.CpuKernels):
    """Attention whose scale is 15 % too large, as a wrong constant in one kernel."""

    def attend(self, q, cache, spec, sinks=None):
        """As CpuKernels', nearly."""
        wrong = dataclasses.replace(spec, scale=spec.scale * 1.15)
        return super().attend(q, cache, wrong, sinks)


def test_a_kernel_compiled_wrong_is_named(bundle, tmp_path):
    target = CpuTarget.of(HOST.triple, HOST.cpu.features)
    text, made = bundle.manifest.text, bundle.manifest.tvm
    found = family(ModelConfig.read(packaging.find("tiny").path), text.context_tokens)
    sound = kernels.for_target(target)
    model = found.build(SharperAttention(sound.isa), target.weight_format("q4"))
    limits = Limits(
        text.context_tokens,
        made.prefill_tokens,
        made.score_tokens,
        text.kv_dtype,
        made.decode_sequences or 0,
    )
    compile_module(trace(model, limits).module, target, tmp_path / "model.so")
    broken = _with_library(bundle, tmp_path)
    result = certified(broken, repeat=1)
    assert not result.certified
    assert result.kernel.startswith("`attend_many`, attend (after layers.0.self_attn.qkv_proj)")


def _with_library(bundle: Bundle, folder: Path) -> Bundle:
    """A copy of the bundle with another library, with its right size in the manifest."""
    copy = shutil.copytree(bundle.folder, folder / "broken")
    shutil.move(folder / "model.so", copy / "lib" / "model.so")
    document = json.loads((copy / "bundle.json").read_text())
    for file in document["files"]:
        if file["path"] == "lib/model.so":
            file["bytes"] = (copy / "lib" / "model.so").stat().st_size
    manifest_corpus.write(copy, document)
    return Bundle(copy, bundle.manifest)


def test_what_was_never_deployed_there_is_told_with_the_way_to_deploy_it(bundle, tmp_path):
    with pytest.raises(NotFoundError, match="there is no `tiny` on local") as caught:
        where = Where("local", str(tmp_path / "store"))
        certify(bundle.folder, where, Settings(1, short=True), as_json=False)
    assert caught.value.hint == f"sphere-edge deploy {bundle.folder} --device local"


def test_deploy_certifies_and_keeps_the_result_beside_the_bundle(bundle, tmp_path):
    store = str(tmp_path / "store")
    deploy(bundle.folder, StoreAddress("local", store), Options(), as_json=False)
    folder = Store(LocalDevice(), store).folder("tiny")
    result = on_device.kept(LocalDevice(), folder).on("cpu")
    assert result is not None
    assert result.certified
    assert result.short
    assert result.bundle == bundle.manifest.id


def test_deploy_refuses_a_device_with_other_answers(bundle, faulty_math, tmp_path, monkeypatch):
    store = str(tmp_path / "store")
    monkeypatch.setenv("LD_PRELOAD", str(faulty_math))
    monkeypatch.setenv("SE_FAULT", "constant")
    with pytest.raises(LoadFailedError, match="does not match its.*local.*rotate_and_store"):
        deploy(bundle.folder, StoreAddress("local", store), Options(), as_json=False)
    with pytest.raises(NotFoundError):
        Store(LocalDevice(), store).folder("tiny")
    options = Options(allow_uncertified=True)
    deploy(bundle.folder, StoreAddress("local", store), options, as_json=False)
    folder = Store(LocalDevice(), store).folder("tiny")
    result = on_device.kept(LocalDevice(), folder).on("cpu")
    assert result is not None
    assert not result.certified


def test_a_gguf_is_compared_with_llama_cpp_on_this_machine(tmp_path, monkeypatch):
    model = random_gguf.write(tmp_path / "random.gguf")
    made = packaging.package(
        packaging.find(str(model)), HOST, PackageOptions(), tmp_path / "bundle"
    ).bundle
    assert certified(made, short=True).certified
    # A device whose llama.cpp is wrong is one whose host says something else.
    folder = on_host.reference_folder(made)
    wrong = shutil.copytree(folder, tmp_path / "wrong")
    logits = np.fromfile(wrong / "logits.f32", "<f4") * 1.5
    logits.tofile(wrong / "logits.f32")
    reference = references.read(folder)
    subject = Subject(on_host.installed_here(made, wrong), made.manifest, reference)
    result = on_device.certify(LocalDevice(), subject, Settings(repeat=1, short=True))
    assert not result.certified


def test_a_gguf_that_is_not_its_manifests_gives_no_reference(tmp_path):
    model = random_gguf.write(tmp_path / "random.gguf", seed=11)
    made = packaging.package(
        packaging.find(str(model)), HOST, PackageOptions(), tmp_path / "bundle"
    ).bundle
    kept = resources.cache_folder() / "references" / made.manifest.id
    shutil.rmtree(kept, ignore_errors=True)
    weights = next(made.folder.glob("**/*.gguf"))
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelCorruptError, match="does not match its manifest"):
        on_host.reference_folder(made)
    weights.write_bytes(content)
    other = dataclasses.replace(made, manifest=made.manifest.model_copy(update={"id": "0" * 64}))
    with pytest.raises(ModelCorruptError, match="was changed while it was being used"):
        on_host.reference_folder(other)
    assert not kept.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(tokens=[10**9]),
        lambda document: document.update(rows=[]),
        lambda document: document["steps"][0].update(length=10**6),
        lambda document: document.pop("columns"),
    ],
)
def test_a_damaged_reference_is_refused_by_both_sides(bundle, tmp_path, change):
    copy = shutil.copytree(bundle.folder / references.FOLDER, tmp_path / "certify")
    document = json.loads((copy / "reference.json").read_text())
    reference = references.read(copy)
    change(document)
    (copy / "reference.json").write_text(json.dumps(document))
    with pytest.raises(ModelCorruptError, match="is not a reference"):
        references.read(copy)
    with pytest.raises(ModelCorruptError, match="the reference"):
        subject = Subject(on_host.installed_here(bundle, copy), bundle.manifest, reference)
        on_device.certify(LocalDevice(), subject, Settings(repeat=1, short=True))
