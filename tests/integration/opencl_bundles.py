"""Bundles for the OpenCL device of this machine, as `package` makes them."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import goldens

from sphere_edge import packaging, profiles, resources
from sphere_edge.bundle.read import Bundle
from sphere_edge.engines.options import PackageOptions
from sphere_edge.profiles import DeviceProfile

# Of the built-in model, whose tokenizer random ones get.
VOCABULARY = 2048
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


def profile(
    name: str = "generic-opencl", *, half: bool | None = None, textures: bool = False
) -> DeviceProfile:
    """A profile of the catalogue as its owner would change it; `half` None: as it is."""
    found = profiles.load(name)
    assert found.gpu is not None
    half = found.gpu.half_precision if half is None else half
    gpu = found.gpu.model_copy(update={"half_precision": half, "textures": textures})
    return found.model_copy(update={"gpu": gpu})


def package(
    model: str | Path, options: PackageOptions, made_for: DeviceProfile, output: Path
) -> Bundle:
    """The bundle of a model in a folder, or the built-in one."""
    return packaging.package(packaging.find(str(model)), made_for, options, output).bundle


def random_model(name: str, folder: Path) -> Path:
    """The folder of a random model: the golden's configuration, the built-in model's tokenizer."""
    golden = goldens.load(name)
    small = golden.config["vocab_size"]
    tensors = {
        tensor: [VOCABULARY if size == small else size for size in shape]
        for tensor, shape in golden.tensors.items()
    }
    config = {**golden.config, "vocab_size": VOCABULARY, "eos_token_id": 2, "bos_token_id": None}
    model = goldens.write_checkpoint(
        dataclasses.replace(golden, config=config, tensors=tensors), folder / name
    )
    for file in TOKENIZER:
        shutil.copy(resources.tiny_model() / file, model)
    return model
