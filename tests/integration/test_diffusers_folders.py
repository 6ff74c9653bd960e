"""Folders of diffusers become the tensors that the first publishers' single files become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.formats import diffusion, gguf
from sphere_edge.runtime import image_conversion
from tests import diffusers_folders


def converted(model: Path, output: Path) -> tuple[dict[str, bytes], dict[str, object]]:
    """All tensors of the model by their names in a bundle, and what the core tells of it."""
    files = [(part.path, part.prefix) for part in diffusion.parts(model)]
    told = image_conversion.merge(files, output, None, lambda _done, _total: True)
    found = gguf.read(output, needs_architecture=False)
    content = output.read_bytes()
    tensors = {
        name: content[one.offset : one.offset + one.bytes] for name, one in found.tensors.items()
    }
    return tensors, told


@pytest.mark.parametrize("family", diffusers_folders.FORMS)
def test_a_folder_becomes_what_the_single_file_becomes(family: str, tmp_path: Path) -> None:
    form = diffusers_folders.FORMS[family]()
    single = tmp_path / "single.safetensors"
    save_file(form.single, single)
    folder = form.write(tmp_path / "folder", shards=("transformer", "text_encoder"))
    expected, told = converted(single, tmp_path / "single.gguf")
    assert told["family"] == family
    assert converted(folder, tmp_path / "folder.gguf") == (expected, told)


def test_a_piece_that_is_missing_is_told(tmp_path: Path) -> None:
    folder = diffusers_folders.flux().write(tmp_path / "flux")
    path = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    whole = load_file(path)
    for name in ("to_v.weight", "to_k.weight"):
        some = {key: value for key, value in whole.items() if not key.endswith(f"0.attn.{name}")}
        save_file(some, path)
        with pytest.raises(ModelCorruptError, match=r"img_attn\.qkv\.weight`|linear1\.weight`"):
            converted(folder, tmp_path / "model.gguf")


def test_a_piece_of_another_width_is_told(tmp_path: Path) -> None:
    folder = diffusers_folders.z_image().write(tmp_path / "z")
    path = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    whole = load_file(path)
    save_file({**whole, "layers.0.attention.to_v.weight": np.ones((8, 4), np.float16)}, path)
    with pytest.raises(ModelCorruptError, match=r"layers\.0\.attention\.qkv\.weight` are not all"):
        converted(folder, tmp_path / "model.gguf")


def test_a_tensor_that_the_family_has_not_is_refused_by_name(tmp_path: Path) -> None:
    folder = diffusers_folders.sd3().write(tmp_path / "sd3")
    path = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    adapter = "transformer_blocks.0.attn.to_k_ip.weight"
    save_file({**load_file(path), adapter: np.ones((8, 8), np.float16)}, path)
    with pytest.raises(UnsupportedError, match="`transformer_blocks.0.attn.to_k_ip.weight`"):
        converted(folder, tmp_path / "model.gguf")
