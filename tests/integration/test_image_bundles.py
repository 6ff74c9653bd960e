"""Bundles of image models: what goes into them, and damaged ones, which are refused."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sphere_edge import AudioManager, ImageManager, TextManager, errors
from sphere_edge.bundle.read import Bundle
from sphere_edge.bundle.verify import verify
from sphere_edge.run import run
from sphere_edge.runtime.image_conversion import merge
from tests import manifest_corpus, random_diffusion, random_gguf, random_whisper, runtimes
from tests.image_calls import packaged, pixels

MUTATIONS = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


def test_single_parts_make_the_same_bundle_as_a_whole_checkpoint(
    folder: Path, image_bundle: Path
) -> None:
    random_diffusion.write_parts(folder / "parts")
    made = packaged(folder / "parts", folder / "parts.host")
    files = [
        {file.path: file.sha256 for file in Bundle.open(path).manifest.files}
        for path in (image_bundle, made)
    ]
    assert files[0].keys() == files[1].keys()
    with ImageManager.open(made) as manager, ImageManager.open(image_bundle) as other:
        assert pixels(manager) == pixels(other)


@pytest.mark.parametrize("quantization", ["q8_0", "q4_K"])
def test_quantized_models_are_smaller_and_still_work(
    folder: Path, image_model: Path, image_bundle: Path, quantization: str
) -> None:
    made = packaged(image_model, folder / f"random.{quantization}", quantization)
    whole = (image_bundle / "model.gguf").stat().st_size
    # q4_K is for rows of 256 numbers, of which this model has few.
    assert (made / "model.gguf").stat().st_size < 0.9 * whole
    with ImageManager.open(made) as manager:
        assert manager.info.quantization.lower() in (quantization.lower(), "f16")
        assert len(set(pixels(manager))) > 10


def test_a_bundle_says_its_task_and_is_sound(image_bundle: Path) -> None:
    manifest = Bundle.open(image_bundle).manifest
    assert (manifest.task, manifest.engine, manifest.family) == (
        *("image", "diffusion"),
        "ernie-image",
    )
    assert manifest.image is not None
    verify(image_bundle)


def test_the_wrong_manager_is_told_so(image_bundle: Path, folder: Path) -> None:
    text = packaged(random_gguf.write(folder / "words.gguf"), folder / "words.host")
    speech = packaged(random_whisper.write(folder / "speech.bin"), folder / "speech.host")
    wrong = [
        *((ImageManager, other) for other in (text, speech, folder / "words.gguf")),
        *((TextManager, other) for other in (speech, image_bundle, folder / "speech.bin")),
        *((AudioManager, other) for other in (text, image_bundle, folder / "words.gguf")),
    ]
    for manager, path in wrong:
        with pytest.raises(errors.FormatMismatchError):
            manager.open(path)


@pytest.mark.parametrize(
    "part",
    [
        "text_encoders.",
        "first_stage_model.",
        "model.diffusion_model.",
        "model.diffusion_model.final_linear",
        "text_encoders.llm.model.embed_tokens",
        "text_encoders.llm.model.layers.3.",
        "first_stage_model.decoder.mid",
    ],
)
def test_a_model_that_lacks_a_part_is_refused_not_crashed_on(folder: Path, part: str) -> None:
    model = random_diffusion.write(folder / "lacking.safetensors", leave_out=part)
    with pytest.raises((errors.ModelCorruptError, errors.UnsupportedError)):
        packaged(model, folder / "lacking.host")
    assert not (folder / "lacking.host").exists()


def replace_model(folder: Path, manifest: str, content: bytes) -> None:
    """Writes a bundle whose hashes are right and whose model is not."""
    document = json.loads(manifest)
    (folder / "model.gguf").write_bytes(content)
    for file in document["files"]:
        if file["path"] == "model.gguf":
            file |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest_corpus.write(folder, document)


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.001])
def test_a_truncated_model_is_refused(folder: Path, image_bundle: Path, kept: float) -> None:
    broken = folder / f"broken-{kept}"
    shutil.copytree(image_bundle, broken)
    content = (image_bundle / "model.gguf").read_bytes()
    replace_model(
        broken, (image_bundle / "bundle.json").read_text(), content[: int(len(content) * kept)]
    )
    with pytest.raises(errors.ModelCorruptError):
        ImageManager.open(broken)
    shutil.rmtree(broken)


@pytest.mark.parametrize("seed", range(MUTATIONS))
def test_no_damaged_model_brings_the_process_down(
    image_bundle: Path, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    content = bytearray((image_bundle / "model.gguf").read_bytes())
    names = [at.start() for at in re.finditer(rb"(layers|decoder|embedder|embed_tokens)", content)]
    # A byte of a name, or of the number of axes, the extents, the type or the offset after it.
    for _ in range(chance.choice([1, 1, 3])):
        at = chance.choice(names) + chance.randrange(80)
        content[at] = chance.choice([0, 1, 3, 255, content[at] ^ 1 << chance.randrange(8)])
    broken = tmp_path / "broken"
    broken.mkdir()
    shutil.copytree(image_bundle / "tokenizer", broken / "tokenizer")
    replace_model(broken, (image_bundle / "bundle.json").read_text(), bytes(content))
    size = ["--width", "64", "--height", "64", "--steps", "1", "--output", "/dev/null", "--json"]
    runner = runtimes.here().runner
    done = run([runner, "generate-image", broken, "a fox", *size], timeout_s=300, check=False)
    # What was hit may not matter, and then an image is generated.
    document = json.loads(done.stdout)
    assert done.exit_code == (document["error"]["code"] if "error" in document else 0)
    assert done.exit_code in (0, errors.Status.MODEL_CORRUPT, errors.Status.UNSUPPORTED)


def test_a_tampered_tokenizer_is_refused(folder: Path, image_bundle: Path) -> None:
    broken = folder / "tampered"
    shutil.copytree(image_bundle, broken)
    table = broken / "tokenizer" / "mistral_merges"
    table.write_bytes(table.read_bytes()[:-2] + b"x\n")
    with pytest.raises(errors.ModelCorruptError, match="is not the one"):
        ImageManager.open(broken)
    shutil.rmtree(broken)


def test_what_the_engine_finds_wrong_first_is_the_cause_that_is_told(
    folder: Path, image_model: Path
) -> None:
    tensors = load_file(image_model)
    name = "model.diffusion_model.layers.1.mlp.linear_fc2.weight"
    tensors[name] = np.ones((8, 8), np.float16)
    model = folder / "misshapen.safetensors"
    save_file(tensors, model)
    # It reads weights on threads of its own.
    with pytest.raises(errors.ModelCorruptError, match="linear_fc2.weight' has wrong shape"):
        packaged(model, folder / "misshapen.host")


def test_a_shifted_schedule_is_kept_in_the_bundle_and_changes_the_image(
    folder: Path, image_bundle: Path
) -> None:
    shifted = folder / "shifted"
    shutil.copytree(image_bundle, shifted)
    document = json.loads((image_bundle / "bundle.json").read_text())
    assert "flow_shift" not in document["image"]
    document["image"]["flow_shift"] = 1.5
    manifest_corpus.write(shifted, document)
    with ImageManager.open(shifted, threads=1) as other, ImageManager.open(image_bundle) as own:
        assert pixels(other, steps=3) != pixels(own, steps=3)


def test_a_model_with_nan_is_refused_and_leaves_nothing(folder: Path, image_model: Path) -> None:
    made = load_file(image_model)
    name = next(name for name in made if name.endswith("to_q.weight"))
    made[name][0, 0] = np.nan
    save_file(made, folder / "nan.safetensors")
    with pytest.raises(errors.ModelCorruptError, match=re.escape(name)):
        packaged(folder / "nan.safetensors", folder / "nan.host")
    assert not (folder / "nan.host").exists()


def test_a_file_is_not_converted_into_itself(folder: Path, image_model: Path) -> None:
    copy = shutil.copy(image_model, folder / "itself.safetensors")
    content = copy.read_bytes()
    with pytest.raises(errors.InvalidArgumentError, match="a file of the model itself"):
        merge([(copy, "")], copy, None, lambda *_: True)
    assert copy.read_bytes() == content
