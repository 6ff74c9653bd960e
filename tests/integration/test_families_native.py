"""Every family as a bundle through the C API, against TVM's virtual machine and against numpy."""

import dataclasses
import shutil

import goldens
import numpy as np
import pytest
import speaking
from both_sides import reference_logits
from compiled import Machine

from sphere_edge import profiles, resources
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.compiler.target import CpuTarget
from sphere_edge.engines import tvm as engine
from sphere_edge.engines.engine import BuildRequest
from sphere_edge.engines.options import PackageOptions
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.source import open_source
from sphere_edge.models.registry import family
from sphere_edge.runtime.text import TextManager
from tests import made_bundles

VOCABULARY, CONTEXT = speaking.TOKENS, 640
# What the others differ from: windows, norms of heads, experts, another rotation of long texts.
ALWAYS = (
    "gemma3_heads_and_scale",
    "gpt_oss_full_heads_mxfp4",
    "mistral_window",
    "phi3_longrope_long",
)


def cases():
    """Golden and weight format; all but a few only when the code of models has changed."""
    for name in goldens.EACH_FAMILY:
        marks = () if name in ALWAYS else pytest.mark.group("goldens")
        yield pytest.param((name, "q4"), marks=marks, id=f"{name}-q4")
    yield pytest.param(("llama_grouped_tied_llama3", "f32"), id="llama_grouped_tied_llama3-f32")


def retokenized(golden, folder):
    """The golden's model with the built-in model's tokenizer, and so with a larger vocabulary."""
    tiny = resources.tiny_model()
    tensors = {
        name: [VOCABULARY, *shape[1:]] if shape[0] == golden.vocab_size else shape
        for name, shape in golden.tensors.items()
    }
    larger = speaking.changed(golden.config, vocab_size=VOCABULARY, max_position_embeddings=1024)
    goldens.write_checkpoint(dataclasses.replace(golden, config=larger, tensors=tensors), folder)
    for name in speaking.TOKENIZER_FILES:
        shutil.copy(tiny / name, folder / name)
    return folder


@pytest.fixture(scope="module", params=cases())
def bundle(request, tmp_path_factory):
    name, fmt = request.param
    work = tmp_path_factory.mktemp(name)
    source = open_source(str(retokenized(goldens.load(name), work / "model")))
    options = PackageOptions(quantization=fmt, context_tokens=CONTEXT)
    with BundleWriter(work / "made") as writer:
        build = engine.fit(BuildRequest(source, profiles.host(), options, writer))
        return writer.commit(build().draft)


def some_tokens(count):
    return [int(value) for value in np.random.default_rng(1).integers(0, VOCABULARY, count)]


def test_each_family_has_a_bundle_here():
    def families(names):
        return {ModelConfig(goldens.load(name).config).model_type for name in names}

    assert families(goldens.EACH_FAMILY) == families(goldens.names())


def test_logits_of_a_text_longer_than_a_call_are_the_same(bundle):
    token_ids = some_tokens(100)
    expected = Machine.of_bundle(bundle).score(token_ids, 0)
    with TextManager.open(bundle.folder) as text:
        found = text.logits(token_ids)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_greedy_text_is_the_same_for_200_tokens_after_a_rewind_and_for_prompts_in_pieces(bundle):
    machine = Machine.of_bundle(bundle)
    prompt, long = some_tokens(40), some_tokens(600)
    prompts = [(prompt, 200), (prompt[:25] + prompt[:5], 16), (long, 16)]
    with TextManager.open(bundle.folder) as text:
        for token_ids, count in prompts:
            stream = text.generate(token_ids, max_tokens=count, temperature=0)
            found = "".join(stream)
            written = stream.result.completion_tokens
            # A random model may end its text by itself.
            assert written == count or stream.result.finish_reason == "stop"
            for start in range(0, len(token_ids), 300):
                logits = machine.prefill(token_ids[start : start + 300], start)
            made = []
            for position in range(len(token_ids), len(token_ids) + written):
                made.append(int(logits.argmax()))
                logits = machine.decode(made[-1], position)
            assert text.detokenize(made) == found


def test_a_bundle_computes_what_its_dequantized_weights_mean(bundle):
    """Against float64 on the stored weights: what is left is the int8 of the activations."""
    token_ids, positions = some_tokens(240), (1, 20, 40, 60, 90, 120, 180, 200, 239, 240)
    machine = Machine.of_bundle(bundle)
    manifest = bundle.manifest
    config = ModelConfig.read(bundle.folder.parent / "model")
    host = profiles.host()
    target = CpuTarget.of(host.triple, host.cpu.features)
    made, fmt = family(config, CONTEXT), target.weight_format(manifest.quantization)
    expected = reference_logits(made, fmt, machine.stored, token_ids, positions)
    with TextManager.open(bundle.folder) as text:
        found = text.logits(token_ids)[np.array(positions) - 1]
    errors = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    if not manifest.family.endswith(("_moe", "_oss")):
        assert errors.max() < 0.15
    # Rounding may turn a router's close decision, and that token is then another.
    assert np.median(errors) < 0.06


def test_a_saved_conversation_goes_on_the_same(bundle, tmp_path):
    """With windows, and with another rotation for long texts."""
    prompt = some_tokens(300)
    options = {"max_tokens": 16, "temperature": 0, "ignore_end_of_text": True}
    with TextManager.open(bundle.folder) as text:
        text.generate(prompt[:280], **options).text()
        text.save(tmp_path / "saved")
        expected = text.generate(prompt, **options).text()
        text.reset()
        text.restore(tmp_path / "saved")
        again = text.generate(prompt, **options)
        assert again.text() == expected
        assert again.result.cached_tokens == 280


def test_a_saved_conversation_of_a_gguf_with_windows_goes_on_or_starts_anew(tmp_path):
    """llama.cpp keeps of a layer with a window only what it sees."""
    golden = goldens.load("gemma3_as_published")
    folder = speaking.padded(golden, tmp_path / "model", max_position_embeddings=1024)
    options = PackageOptions(quantization="q8_0", as_gguf=True, context_tokens=CONTEXT)
    bundle = made_bundles.made(folder, options=options).folder
    prompt = some_tokens(300)
    options = {"max_tokens": 16, "temperature": 0, "ignore_end_of_text": True}
    with TextManager.open(bundle, threads=1) as text:
        text.generate(prompt[:280], **options).text()
        text.save(tmp_path / "saved")
        expected = text.generate(prompt, **options).text()
        text.reset()
        text.restore(tmp_path / "saved")
        again = text.generate(prompt, **options)
        assert again.text() == expected
        assert again.result.cached_tokens in (0, 280)
