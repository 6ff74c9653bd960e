"""The reference that bundles carry, against what transformers computed for every family."""

import goldens
import numpy as np
import pytest
from both_sides import reference_logits
from safetensors.numpy import load_file

from sphere_edge.compiler.reference_kernels import ReferenceKernels
from sphere_edge.console import SILENT
from sphere_edge.engines import weights
from sphere_edge.formats import quantized
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.safetensors import Checkpoint
from sphere_edge.models.layers import weight_mappings
from sphere_edge.models.registry import family
from sphere_edge.quantization.weights import WeightFormat


def stored_weights(made, config, folder, fmt):
    """The arrays of a bundle made of the checkpoint in `folder`."""
    checkpoint = quantized.opened(Checkpoint.open(folder / "checkpoint"), config)
    (folder / "made").mkdir()
    needed = list(weight_mappings(made.build(ReferenceKernels(), fmt)))
    weights.convert(checkpoint, needed, folder / "made", SILENT)
    stored = {}
    for path in (folder / "made").glob("*.safetensors"):
        stored |= load_file(path)
    return stored


@pytest.mark.parametrize("name", goldens.cases())
def test_the_reference_agrees_with_transformers(name, tmp_path):
    golden, fmt = goldens.load(name), WeightFormat("f32", 4)
    config = ModelConfig.read(goldens.write_checkpoint(golden, tmp_path / "checkpoint"))
    made = family(config, min(512, config.take("max_position_embeddings", int)))
    stored = stored_weights(made, config, tmp_path, fmt)
    lengths = [position + 1 for position in golden.positions]
    logits = reference_logits(made, fmt, stored, golden.token_ids, lengths)
    assert np.abs(logits - golden.rows).max() < 2e-5 * np.abs(golden.rows).max()
