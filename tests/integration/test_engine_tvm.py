"""A safetensors folder becomes a whole bundle for this machine, or a clear error and nothing."""

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sphere_edge import profiles, resources
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.compiler.target import CpuTarget
from sphere_edge.console import SILENT
from sphere_edge.engines import tvm as engine
from sphere_edge.engines.compiled_code import symbol_prefix
from sphere_edge.engines.engine import BuildRequest
from sphere_edge.engines.options import PackageOptions
from sphere_edge.errors import (
    InvalidArgumentError,
    ModelCorruptError,
    OutOfMemoryError,
    UnsupportedError,
)
from sphere_edge.formats.safetensors import Checkpoint
from sphere_edge.formats.source import open_source
from tests import quantized_checkpoints as made
from tests.recorded_progress import RecordedProgress

HOST = profiles.host()


def build(folder, output, profile=HOST, progress=SILENT, **options):
    """The bundle made of `folder`."""
    source = open_source(str(folder))
    with BundleWriter(output) as writer:
        build = engine.fit(
            BuildRequest(source, profile, PackageOptions(**options), writer, progress)
        )
        return writer.commit(build().draft)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return build(resources.tiny_model(), tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture
def model(tmp_path):
    """A copy of the built-in model that a test may damage."""
    return shutil.copytree(resources.tiny_model(), tmp_path / "model")


def change_config(model, **changes):
    change_json(model / "config.json", **changes)


def change_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_tensors(model, change):
    path = model / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def test_the_bundle_holds_what_its_manifest_says(bundle):
    manifest = bundle.manifest
    stored = Checkpoint.open(bundle.folder / "weights").tensors
    assert set(manifest.tvm.parameters) == set(stored)
    assert len(set(manifest.tvm.parameters)) == len(manifest.tvm.parameters)
    config = json.loads((resources.tiny_model() / "config.json").read_text())
    assert len(manifest.tvm.cache) == config["num_hidden_layers"]
    assert manifest.text.vocab_size == config["vocab_size"]
    assert manifest.family == config["model_type"] == "llama"
    assert manifest.parameters == Checkpoint.open(resources.tiny_model()).parameters
    assert manifest.memory.weights_bytes == sum(entry.bytes for entry in stored.values())
    assert {file.role for file in manifest.files} == {"weights", "library", "tokenizer"}
    aligned = [entry.offset % 64 == 0 for entry in stored.values() if entry.bytes % 64 == 0]
    assert all(aligned)


def test_another_process_makes_the_same_bundle_id(bundle, tmp_path):
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from test_engine_tvm import build; from sphere_edge import resources;"
        "print(build(resources.tiny_model(), Path(sys.argv[2])).manifest.id)"
    )
    folder = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path.cwd())}
    made = subprocess.run(
        [sys.executable, "-c", code, folder, str(tmp_path / "again")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert made.stdout.split()[-1] == bundle.manifest.id


@pytest.mark.parametrize("name", ["pixel8", "generic-armv8.2", "generic-x86-64-v3"])
def test_other_devices_get_code_for_their_own_cpu(tmp_path, name):
    profile = profiles.load(name)
    made = build(resources.tiny_model(), tmp_path / "made", profile, quantization="q8")
    header = (made.folder / "lib" / "model.so").read_bytes()[:20]
    machine = struct.unpack_from("<H", header, 18)[0]
    assert machine == (183 if profile.is_arm else 62)
    assert set(made.manifest.target.cpu_features) <= set(profile.cpu.features)
    assert made.manifest.quantization == "q8"


def test_an_iphone_gets_objects_that_its_app_links_in(tmp_path):
    made = build(resources.tiny_model(), tmp_path / "made", profiles.load("iphone15-pro"))
    objects = sorted((made.folder / "lib").glob("*.o"))
    assert len(objects) == 2
    # Mach-O, 64 bit, of the CPU type arm64 (mach-o/loader.h, mach/machine.h).
    assert {path.read_bytes()[:8].hex() for path in objects} == {"cffaedfe0c000001"}
    # Several models in one app do not meet: what can be seen of this one bears its name.
    prefix = symbol_prefix(made.manifest.name)
    assert prefix == "sphere_edge_tiny_"
    assert all(prefix.encode() in path.read_bytes() for path in objects)


def test_a_key_that_nobody_reads_is_said(model, tmp_path):
    change_config(model, residual_multiplier=0.5)
    progress = RecordedProgress()
    build(model, tmp_path / "made", progress=progress, quantization="q8")
    assert "residual_multiplier" in progress.warnings[0]


def test_a_head_that_differs_from_the_embedding_it_is_tied_to_is_kept(model, tmp_path):
    change_config(model, tie_word_embeddings=True)

    def untie(tensors):
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] * 2

    change_tensors(model, untie)
    progress = RecordedProgress()
    made = build(model, tmp_path / "made", progress=progress)
    assert "lm_head.weight.data" in made.manifest.tvm.parameters
    assert "lm_head.weight" in progress.warnings[0]


def test_a_head_stored_twice_is_stored_once(model, tmp_path):
    change_config(model, tie_word_embeddings=True)

    def copy(tensors):
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].copy()

    change_tensors(model, copy)
    progress = RecordedProgress()
    made = build(model, tmp_path / "made", progress=progress)
    assert "lm_head.weight.data" not in made.manifest.tvm.parameters
    assert progress.warnings == progress.lines == []


DOWN = "model.layers.1.mlp.down_proj.weight"


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda tensors: tensors.pop(DOWN), DOWN),
        (lambda tensors: tensors.update({DOWN: tensors[DOWN].T.copy()}), DOWN),
        (lambda tensors: tensors[DOWN].fill(np.nan), DOWN),
        (lambda tensors: tensors.update({f"{DOWN[:-6]}bias": np.ones(3, "f4")}), "down_proj.bias"),
    ],
    ids=["missing", "wrong shape", "not a number", "a bias too many"],
)
@pytest.mark.parametrize("bits", [None, 6])
def test_a_damaged_checkpoint_is_named_and_leaves_nothing(model, tmp_path, bits, change, names):
    change_tensors(model, change)
    with pytest.raises(ModelCorruptError, match=names):
        build(model, tmp_path / "made", bits=bits)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize("bits", [None, 6])
def test_a_vocabulary_larger_than_the_model_is_refused(model, tmp_path, bits):
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    size = max(vocabulary.values()) + 1 + len(tokenizer.get("added_tokens", []))
    for number in range(40):
        vocabulary[f"beyond{number}"] = size + number
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises((ModelCorruptError, UnsupportedError), match="tok"):
        build(model, tmp_path / "made", bits=bits)


@pytest.mark.parametrize("tokens", [0, 1 << 20])
def test_a_context_that_cannot_be_is_refused(tmp_path, tokens):
    with pytest.raises(InvalidArgumentError, match=f"`{tokens}`"):
        build(resources.tiny_model(), tmp_path / "made", context_tokens=tokens)


def test_an_unknown_weight_format_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(InvalidArgumentError, match="`q5`") as caught:
        build(resources.tiny_model(), tmp_path / "made", quantization="q5")
    assert "q4" in caught.value.hint


def test_a_model_that_does_not_fit_is_refused_before_it_is_compiled(tmp_path):
    memory = HOST.memory.model_copy(update={"usable_bytes": 1 << 20})
    with pytest.raises(OutOfMemoryError):
        build(
            resources.tiny_model(),
            tmp_path / "made",
            HOST.model_copy(update={"memory": memory}),
        )
    assert not (tmp_path / "made").exists()


def test_bits_that_do_not_fit_are_refused_before_anything_is_measured(bundle, tmp_path):
    usable = bundle.manifest.memory.peak_bytes + 1024
    memory = HOST.memory.model_copy(update={"usable_bytes": usable})
    smaller, progress = HOST.model_copy(update={"memory": memory}), RecordedProgress()
    with pytest.raises(OutOfMemoryError):
        build(resources.tiny_model(), tmp_path / "made", smaller, progress, bits=8.5)
    assert progress.steps == []


def test_quantized_weights_are_kept_and_an_adapter_is_merged_where_it_belongs(model, tmp_path):
    """GPTQ weights come out of the bundle to the bit, those under the adapter changed by it."""
    expected = {}

    def quantize(tensors):
        for name in [name for name in tensors if name.endswith("_proj.weight")]:
            rows, columns = tensors.pop(name).shape
            numbers = made.whole_numbers(rows, columns, 32, symmetric=True)
            expected[name] = made.meant(*numbers, np.arange(columns) // 32)
            for stored, (_, array) in made.gptq(name.removesuffix(".weight"), *numbers).items():
                tensors[stored] = array

    change_tensors(model, quantize)
    change_config(model, quantization_config={"quant_method": "gptq", "bits": 4, "group_size": 32})
    layer = "model.layers.0.mlp.down_proj"
    rows, columns = expected[f"{layer}.weight"].shape
    draws = np.random.default_rng(5)
    up, down = (draws.normal(size=size).astype(np.float32) for size in ((rows, 4), (4, columns)))
    weights = {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}
    adapter = made.write_adapter(tmp_path / "lora", weights)
    bundle = build(model, tmp_path / "out", adapter=adapter, quantization="q4")

    stored = load_file(bundle.folder / "weights" / "weights-00001.safetensors")
    target = CpuTarget.of(HOST.triple, HOST.cpu.features)
    fmt = target.weight_format("q4")

    def found(number):
        place = f"layers.{number}.mlp.down_proj.weight"
        packed = {suffix: stored[f"{place}.{suffix}"] for suffix in ("data", "scale")}
        return fmt.unpack(packed, rows, columns)

    np.testing.assert_array_equal(found(1), expected["model.layers.1.mlp.down_proj.weight"])
    merged = expected[f"{layer}.weight"] + 2 * (up @ down)
    np.testing.assert_allclose(found(0), merged, atol=np.abs(merged).max() / 8)
    assert bundle.manifest.provenance.source == "model with lora"
