"""Goldens through our compiled code: logits agree with transformers in float32.

A few configurations run always, the others when what makes the code has changed.
"""

import goldens
import numpy as np
import pytest
from compiled import Compiled

from sphere_edge import profiles
from sphere_edge.compiler.target import CpuTarget
from sphere_edge.formats.safetensors import Checkpoint
from sphere_edge.quantization.weights import WeightFormat

when_changed = pytest.mark.group("goldens")
HOST = profiles.host()
BEST = CpuTarget.of(HOST.triple, HOST.cpu.features)
# Largest difference from transformers, as a part of the largest logit.
TOLERANCE = 1e-4


def usable(isa):
    """The host's target with these instructions, if it has them."""
    target = CpuTarget(HOST.triple, isa)
    if not set(target.cpu_features) <= set(HOST.cpu.features):
        pytest.skip(f"this machine has no {isa}")
    return target


@pytest.fixture(scope="module", params=goldens.cases())
def golden(request):
    return goldens.load(request.param)


@pytest.fixture(scope="module")
def model(golden, tmp_path_factory):
    folder = goldens.write_checkpoint(golden, tmp_path_factory.mktemp("checkpoint"))
    return Compiled(folder, folder / "made", "f32", BEST)


def assert_agree(found, expected, tolerance=TOLERANCE):
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    assert difference < tolerance, f"differs by {difference:.2e} of the largest logit"


def row(golden, position):
    return golden.rows[golden.positions.index(position)]


def last_prompt(golden):
    return golden.prompt_tokens - 1


def prompt(golden):
    return golden.token_ids[: golden.prompt_tokens]


def test_scoring_the_whole_text_gives_every_row(golden, model):
    model.forget(len(golden.token_ids))
    found = model.score(golden.token_ids, 0)
    assert_agree(found[golden.positions], golden.rows)


def test_prefill_in_one_piece_and_decode_to_the_end(golden, model):
    model.forget(len(golden.token_ids) + 3)
    assert_agree(model.prefill(prompt(golden), 0), row(golden, last_prompt(golden)))
    for position in range(golden.prompt_tokens, len(golden.token_ids)):
        found = model.decode(golden.token_ids[position], position)
        if position in golden.positions:
            assert_agree(found, row(golden, position))


@pytest.mark.parametrize("sizes", [(7, 1, 15, 17), (39, 1), (3, 37)])
def test_prefill_in_pieces_gives_the_same(golden, model, sizes):
    model.forget(64)
    start = 0
    for size in sizes:
        found = model.prefill(golden.token_ids[start : start + size], start)
        start += size
    assert start == golden.prompt_tokens
    assert_agree(found, row(golden, last_prompt(golden)))


def test_after_a_rewind_the_abandoned_tokens_are_forgotten(golden, model):
    model.forget(64)
    model.prefill(prompt(golden), 0)
    other = [(token + 1) % golden.vocab_size for token in prompt(golden)]
    model.prefill(other[10:], 10)
    model.decode(other[0], golden.prompt_tokens)
    found = model.prefill(golden.token_ids[10 : golden.prompt_tokens], 10)
    assert_agree(found, row(golden, last_prompt(golden)))
    found = model.decode(golden.token_ids[golden.prompt_tokens], golden.prompt_tokens)
    assert_agree(found, row(golden, golden.prompt_tokens))


def test_tokens_of_several_sequences_in_one_batch_are_computed_as_alone(golden, model):
    """Where long texts have another rotation, the last is one of them and the others are not."""
    model.forget(len(golden.token_ids))
    end = golden.positions[-1]
    short, long = model.cached(prompt(golden)), model.cached(golden.token_ids[:end])
    positions = [golden.prompt_tokens, end, last_prompt(golden), golden.prompt_tokens]
    tokens = [golden.token_ids[position] for position in positions]
    found = model.decode_batch(tokens, positions, [short, long, short, short])
    for position, logits in zip(positions, found, strict=True):
        assert_agree(logits, row(golden, position))
    assert np.array_equal(found[0], found[3])


@when_changed
@pytest.mark.parametrize(
    "name",
    [
        "llama_odd_sizes",
        "mistral_window",
        "olmo2_grouped",
        "qwen2_grouped_tied",
        "starcoder2_window",
    ],
)
def test_hidden_states_give_the_logits_of_transformers_with_the_head(name, tmp_path):
    golden = goldens.load(name)
    folder = goldens.write_checkpoint(golden, tmp_path)
    model = Compiled(folder, tmp_path / "made", "f32", BEST)
    model.forget(len(golden.token_ids))
    hidden = model.embed(golden.token_ids)
    tensors = goldens.weights(golden)
    head = tensors.get("lm_head.weight", tensors["model.embed_tokens.weight"])
    assert hidden.shape == (len(golden.token_ids), head.shape[1])
    assert_agree(hidden[golden.positions] @ head.T, golden.rows)


ONE_OF_EACH = [
    "llama_grouped_tied_llama3",
    "mistral_window",
    "qwen2_grouped_tied",
    "qwen3_biases_layer_types",
]


@when_changed
@pytest.mark.parametrize("isa", ["avx2", "generic"])
@pytest.mark.parametrize("name", ["llama_odd_sizes", "qwen3_biases_layer_types"])
def test_the_other_instruction_sets_agree_too(name, isa, tmp_path):
    golden = goldens.load(name)
    folder = goldens.write_checkpoint(golden, tmp_path)
    model = Compiled(folder, tmp_path / "made", "f32", usable(isa))
    assert_agree(model.prefill(prompt(golden), 0), row(golden, last_prompt(golden)))
    found = model.decode(golden.token_ids[golden.prompt_tokens], golden.prompt_tokens)
    assert_agree(found, row(golden, golden.prompt_tokens))


def relative_error(found, expected):
    """Root mean square of the difference, as a part of that of the logits."""
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def dequantized(golden, fmt):
    """The checkpoint with every matrix as its packed form stands for."""
    tensors = goldens.weights(golden)
    for name, tensor in tensors.items():
        if tensor.ndim == 2:
            tensors[name] = fmt.unpack(fmt.pack(tensor), *tensor.shape)
    return tensors


@when_changed
@pytest.mark.parametrize("isa", ["avx512vnni", "avx2", "generic"])
@pytest.mark.parametrize(("fmt", "tolerance"), [("f16", 1e-5), ("q8", 0.03), ("q4", 0.03)])
def test_packed_weights_compute_what_they_stand_for(fmt, tolerance, isa, tmp_path):
    """Against float32 on the dequantized weights: what is left is the int8 of the activations."""
    target = usable(isa)
    name = ONE_OF_EACH[["avx512vnni", "avx2", "generic"].index(isa)]
    golden = goldens.load(name)
    exact = goldens.write_checkpoint(golden, tmp_path / "exact")
    layout = WeightFormat(fmt, target.row_block)
    stands_for = goldens.write_checkpoint(golden, tmp_path / "meant", dequantized(golden, layout))
    packed = Compiled(exact, tmp_path / "packed", fmt, target)
    meant = Compiled(stands_for, tmp_path / "float", "f32", target)
    expected = meant.score(golden.token_ids, 0)
    assert relative_error(packed.score(golden.token_ids, 0), expected) < tolerance
    packed.prefill(prompt(golden), 0)
    positions = range(golden.prompt_tokens, golden.prompt_tokens + 8)
    found = np.stack([packed.decode(golden.token_ids[at], at) for at in positions])
    assert relative_error(found, expected[positions.start : positions.stop]) < tolerance


@when_changed
@pytest.mark.parametrize("name", goldens.names())
def test_goldens_hold_the_names_that_checkpoints_have(name, tmp_path):
    golden = goldens.load(name)
    folder = goldens.write_checkpoint(golden, tmp_path)
    assert Checkpoint.open(folder).parameters == sum(
        int(np.prod(shape)) for shape in golden.tensors.values()
    )
