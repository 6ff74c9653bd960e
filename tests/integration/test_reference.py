"""The reference that bundles carry, against what transformers computed for every family."""

import dataclasses

import goldens
import numpy as np
import pytest
from safetensors.numpy import load_file

from sphere_edge.bundle.reference_plan import Plan
from sphere_edge.compiler.reference import compute
from sphere_edge.compiler.reference_kernels import ReferenceKernels
from sphere_edge.console import SILENT
from sphere_edge.engines import weights
from sphere_edge.formats import quantized
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.safetensors import Checkpoint
from sphere_edge.models.layers import origins
from sphere_edge.models.registry import family
from sphere_edge.quantization.weights import WeightFormat


def reference_of(golden, folder, fmt):
    """The reference for the golden's own tokens, every column kept."""
    config = ModelConfig.read(goldens.write_checkpoint(golden, folder / "checkpoint"))
    found = family(config, min(512, config.take("max_position_embeddings", int)))
    rotation, kernels = found.config.rotation, ReferenceKernels()
    if rotation.beyond is not None:
        # The golden's last row, of a text beyond the switch, stands for those.
        golden = dataclasses.replace(golden, positions=golden.positions[-1:], rows=golden.rows[-1:])
        longer = dataclasses.replace(rotation, inverse_frequencies=rotation.beyond, beyond=None)
        settings = dataclasses.replace(found.config, rotation=longer)
    else:
        settings = found.config
    model = found.model(settings, kernels, fmt)
    checkpoint = quantized.opened(Checkpoint.open(folder / "checkpoint"), config)
    needed = list(origins(model))
    (folder / "made").mkdir()
    weights.convert(checkpoint, needed, folder / "made", SILENT)
    stored = {}
    for path in (folder / "made").glob("*.safetensors"):
        stored |= load_file(path)
    vocabulary = golden.rows.shape[1]
    positions = tuple(position + 1 for position in golden.positions)
    # Traced at the last of them: nothing else is kept of a row that no logits belong to.
    plan = Plan(tuple(golden.token_ids), (), positions, tuple(range(vocabulary)), (), 0)
    return golden, *compute(model, kernels, plan, vocabulary, stored.__getitem__)


@pytest.mark.parametrize("name", goldens.names())
def test_the_reference_agrees_with_transformers(name, tmp_path):
    found = reference_of(goldens.load(name), tmp_path, WeightFormat("f32", 4))
    golden, reference, logits = found
    assert np.abs(logits - golden.rows).max() < 2e-5 * np.abs(golden.rows).max()
    assert [row.token for row in reference.rows] == list(logits.argmax(axis=1))
