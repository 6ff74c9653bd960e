"""The native runtime computes what TVM's own virtual machine does with the same bundle."""

import dataclasses
import shutil

import goldens
import numpy as np
import pytest
from compiled import Machine

from sphere_edge import profiles, resources
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.console import SILENT
from sphere_edge.engines import tvm as engine
from sphere_edge.engines.options import PackageOptions
from sphere_edge.formats.source import open_source
from sphere_edge.runtime import TextManager

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")


def speaking(golden, folder):
    """The golden's model with the built-in model's tokenizer, and so with a larger vocabulary."""
    tiny = resources.tiny_model()
    size = 2048
    tensors = {
        name: [size, *shape[1:]] if shape[0] == golden.config["vocab_size"] else shape
        for name, shape in golden.tensors.items()
    }
    larger = {**golden.config, "vocab_size": size}
    goldens.write_checkpoint(dataclasses.replace(golden, config=larger, tensors=tensors), folder)
    for name in TOKENIZER_FILES:
        shutil.copy(tiny / name, folder / name)
    return folder


@pytest.fixture(
    scope="module",
    params=[
        ("llama_grouped_tied_llama3", "f32"),
        ("mistral_window", "q8"),
        ("qwen2_grouped_tied", "f16"),
        ("qwen3_biases_layer_types", "f32"),
        ("gemma2_alternating", "q4"),
    ],
    ids=lambda param: "-".join(param),
)
def bundle(request, tmp_path_factory):
    name, fmt = request.param
    work = tmp_path_factory.mktemp(name)
    source = open_source(str(speaking(goldens.load(name), work / "model")))
    options = PackageOptions(quantization=fmt, context_tokens=256)
    with BundleWriter(work / "made") as writer:
        draft = engine.build(source, profiles.host(), options, writer, SILENT)
        return writer.commit(draft, lambda bundle: None)


def test_logits_of_a_text_longer_than_a_call_are_the_same(bundle):
    token_ids = [int(value) for value in np.random.default_rng(1).integers(0, 2048, 100)]
    expected = Machine.of_bundle(bundle).score(token_ids, 0)
    with TextManager.open(bundle.folder) as text:
        found = text.logits(token_ids)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_greedy_text_is_the_same(bundle):
    machine = Machine.of_bundle(bundle)
    with TextManager.open(bundle.folder) as text:
        stream = text.generate("The quick brown fox", max_tokens=24, temperature=0)
        found = "".join(stream)
        token_ids = text.tokenize("The quick brown fox")
        logits = machine.prefill(token_ids, 0)
        made = []
        for position in range(len(token_ids), len(token_ids) + stream.result.completion_tokens):
            made.append(int(logits.argmax()))
            logits = machine.decode(made[-1], position)
        assert stream.result.completion_tokens > 0
        assert text.detokenize(made) == found
