"""What each family reads from config.json, and what it refuses by name."""

import pytest

from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.registry import FAMILIES, family

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}


def read(model_type="llama", **changes):
    values = {"model_type": model_type, **SIZES, **changes}
    return family(ModelConfig({key: v for key, v in values.items() if v is not ...}), 128)


def test_an_unknown_model_type_is_refused_with_the_list_of_known_ones():
    with pytest.raises(UnsupportedError, match="`mamba`") as caught:
        read("mamba")
    assert all(name in caught.value.hint for name in FAMILIES)


EPSILON = {
    "phi": "layer_norm_eps",
    "nemotron": "norm_eps",
    "cohere": "layer_norm_eps",
    "cohere2": "layer_norm_eps",
    "stablelm": "layer_norm_eps",
    "starcoder2": "norm_epsilon",
}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_reads_a_plain_config_and_leaves_no_key_unread(name):
    epsilon = EPSILON.get(name, "rms_norm_eps")
    made = read(name, **{epsilon: 1e-5}, torch_dtype="bfloat16", use_cache=True)
    assert made.unread == ()
    assert made.config.shape.kv_heads == 2
    assert made.config.shape.epsilon == 1e-5


# Keys with which other architectures change every number.
_STRANGE = {
    "residual_multiplier": 0.2,
    "logit_scale": 0.0625,
    "clip_qkv": 8.0,
    "attention_multiplier": 0.0078125,
    "use_qk_norm": True,
}


# Families that know some of them.
_FAMILIAR = {
    "granite": {"residual_multiplier", "attention_multiplier"},
    "cohere": {"logit_scale", "use_qk_norm"},
    "cohere2": {"logit_scale"},
}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (name, key)
        for name in FAMILIES
        for key in sorted(set(_STRANGE) - _FAMILIAR.get(name, set()))
    ],
)
def test_a_key_that_nobody_reads_is_reported_whatever_the_family(name, key):
    assert read(name, **{key: _STRANGE[key]}).unread == (key,)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_key_of_the_rope_table_that_nobody_reads_is_reported_whatever_the_family(name):
    table = {"rope_type": "default", "ramp_width": 3.0}
    assert read(name, rope_scaling=table).unread == ("rope_scaling.ramp_width",)
    table["rope_theta"] = 10000.0
    assert read(name, rope_parameters=table).unread == ("rope_parameters.ramp_width",)


def test_a_key_of_one_layer_types_rope_is_reported():
    tables = {
        "full_attention": {"rope_type": "default", "rope_theta": 1e6, "ramp_width": 3.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    assert read("gemma3_text", rope_parameters=tables).unread == ("rope_parameters.ramp_width",)


GPT_OSS = {"num_local_experts": 4, "num_experts_per_tok": 2}


def test_gpt_oss_without_rope_parameters_has_the_yarn_of_the_published_models():
    plain = read("gpt_oss", **GPT_OSS, max_position_embeddings=131072)
    written = read(
        "gpt-oss",
        **GPT_OSS,
        max_position_embeddings=131072,
        rope_theta=150000,
        rope_scaling={
            "rope_type": "yarn",
            "factor": 32.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "truncate": False,
            "original_max_position_embeddings": 4096,
        },
        initial_context_length=4096,
        experts_per_token=2,
        swiglu_limit=7.0,
        quantization_config={"quant_method": "mxfp4"},
    )
    found, expected = plain.config.rotation, written.config.rotation
    assert (found.inverse_frequencies == expected.inverse_frequencies).all()
    assert found.magnitude == expected.magnitude > 1
    assert (plain.config.mxfp4, written.config.mxfp4) == (False, True)
    assert written.unread == ()


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"experts_per_token": 3}, ModelCorruptError, "experts_per_token"),
        ({"num_experts_per_tok": 5}, ModelCorruptError, "`5` of `4` experts"),
        ({"num_local_experts": 0}, ModelCorruptError, "experts"),
        ({"intermediate_size": 50}, UnsupportedError, "`100` rows"),
        ({"hidden_act": "gelu"}, UnsupportedError, "`gelu`"),
    ],
)
def test_mixtures_that_cannot_be_built_are_refused_by_name(changes, error, named):
    with pytest.raises(error, match=named):
        read("gpt_oss", **{**GPT_OSS, **changes})


def test_layers_of_a_qwen3_mixture_without_experts_are_told_apart():
    sizes = {"num_hidden_layers": 6, "moe_intermediate_size": 16, "num_experts": 4}
    sizes["num_experts_per_tok"] = 2
    assert read("qwen3_moe", **sizes).config.dense == frozenset()
    dense = read("qwen3_moe", **sizes, mlp_only_layers=[5], decoder_sparse_step=2).config.dense
    assert dense == {0, 2, 4, 5}
    slides = {"use_sliding_window": True, "sliding_window": 8}
    assert read("qwen3_moe", **sizes, **slides).config.window == 8
    assert read("qwen3_moe", **sizes, sliding_window=8).config.window is None


def test_a_key_that_changes_nothing_with_its_usual_value_is_reported_only_with_another():
    assert read("mistral", attention_bias=False, use_mrope=False).unread == ()
    assert read("mistral", attention_bias=True).unread == ("attention_bias",)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"hidden_act": "relu6"}, "relu6"),
        ({"rope_parameters": {"rope_type": "made_up"}}, "made_up"),
    ],
)
def test_what_changes_numbers_and_is_not_done_is_refused_by_name(changes, named):
    with pytest.raises(UnsupportedError, match=f"`{named}`"):
        read(**changes)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_kind_of_rope_that_transformers_has_and_we_do_not_is_refused_whatever_the_family(name):
    with pytest.raises(UnsupportedError, match="`proportional`"):
        read(name, rope_parameters={"rope_type": "proportional", "rope_theta": 10000.0})


@pytest.mark.parametrize("kind", ["linear", "dynamic", "llama3"])
def test_phi3_refuses_the_scalings_that_transformers_refuses_there(kind):
    with pytest.raises(UnsupportedError, match=f"`{kind}` is not supported in Phi-3"):
        read("phi3", rope_scaling={"rope_type": kind, "factor": 2.0})


def test_the_first_names_of_phi3s_scaling_mean_the_same():
    factors = {"short_factor": [1.0, 2.0, 3.0, 4.0], "long_factor": [4.0, 5.0, 6.0, 7.0]}
    lengths = {"max_position_embeddings": 512, "original_max_position_embeddings": 64}
    found = [
        read("phi3", rope_scaling={"type": kind, **factors}, **lengths).config.rotation
        for kind in ("su", "yarn", "longrope")
    ]
    for other in found[1:]:
        assert (other.inverse_frequencies == found[0].inverse_frequencies).all()
        assert (other.magnitude, other.switch_tokens) == (found[0].magnitude, 64)


def test_the_length_before_scaling_is_taken_from_where_transformers_takes_it():
    table = {"rope_type": "longrope", "factor": 2.0, "original_max_position_embeddings": 32}
    table |= {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4}

    def switch(name, **own):
        return read(name, rope_parameters=table, **own).config.rotation.switch_tokens

    assert switch("llama") == 32
    assert switch("llama", original_max_position_embeddings=64) == 64
    assert switch("phi3", original_max_position_embeddings=64) == 64
    # Without the key beside the table, Phi-3's is 4096, whatever the table says.
    assert read("phi3", rope_parameters=table).config.rotation.beyond is None


def test_gemma3_refuses_longrope_where_it_would_switch_in_layers_with_a_window():
    long = {"rope_type": "longrope", "rope_theta": 1e4, "factor": 2.0}
    long |= {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4}
    tables = {
        "full_attention": {"rope_type": "default"},
        "sliding_attention": {**long, "original_max_position_embeddings": 64},
    }
    with pytest.raises(UnsupportedError, match="longrope") as caught:
        read("gemma3_text", head_dim=8, rope_parameters=tables)
    assert "64" in caught.value.hint
    tables["sliding_attention"]["original_max_position_embeddings"] = 128
    assert read("gemma3_text", head_dim=8, rope_parameters=tables).unread == ()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"no_rope_layers": [1]}, ModelCorruptError),
        ({"no_rope_layers": [1, "0"]}, ModelCorruptError),
        ({"no_rope_layer_interval": 0}, ModelCorruptError),
        ({"layer_types": ["sliding_attention", "full_attention"]}, UnsupportedError),
    ],
)
def test_smollm3_says_which_layers_rotate_or_is_refused(changes, error):
    with pytest.raises(error, match=next(iter(changes))):
        read("smollm3", **changes)


@pytest.mark.parametrize(("name", "value"), [("rope_percent", 0.25), ("kv_channels", 16)])
def test_nemotron_may_repeat_itself_but_not_contradict(name, value):
    right = {"rope_percent": 0.5, "kv_channels": 8}
    assert read("nemotron", **right).unread == ()
    with pytest.raises(ModelCorruptError, match=name):
        read("nemotron", **{**right, name: value})


@pytest.mark.parametrize("key", ["residual_multiplier", "logits_scaling"])
def test_a_factor_of_granite_that_is_none_is_corrupt(key):
    with pytest.raises(ModelCorruptError, match=key):
        read("granite", **{key: 0.0})


def test_ministral3_ends_where_its_queries_would_be_scaled():
    table = {
        "rope_type": "yarn",
        "rope_theta": 1e6,
        "factor": 16.0,
        "original_max_position_embeddings": 64,
        "llama_4_scaling_beta": 0.1,
        "max_position_embeddings": 1024,
    }
    with pytest.raises(UnsupportedError, match="`128` tokens") as caught:
        read("ministral3", rope_parameters=table)
    assert "--context 64" in caught.value.hint
    table["original_max_position_embeddings"] = 128
    assert read("ministral3", rope_parameters=table).unread == ()


def test_normalized_heads_of_cohere_are_refused():
    with pytest.raises(UnsupportedError, match="use_qk_norm"):
        read("cohere", use_qk_norm=True)


@pytest.mark.parametrize("name", ["cohere2", "exaone4"])
@pytest.mark.parametrize("pattern", [0, -1, "LLG?", "GL"])
def test_a_pattern_of_windows_that_makes_no_sense_is_corrupt(name, pattern):
    with pytest.raises(ModelCorruptError, match="sliding_window_pattern"):
        read(name, sliding_window_pattern=pattern)


def test_exaone_says_its_windows_with_letters():
    config = read("exaone4", num_hidden_layers=4, sliding_window_pattern="LLLG").config
    assert config.windows == (4096, 4096, 4096, None)
    assert config.rotates == (True, True, True, False)


def test_a_model_of_several_names_the_text_model_inside():
    with pytest.raises(UnsupportedError, match="`mllama`") as caught:
        read("mllama", text_config={"model_type": "llama"})
    assert "`llama`" in caught.value.hint
    assert "smolvlm" in caught.value.hint


def test_a_kind_of_attention_that_is_not_done_is_refused_by_name():
    with pytest.raises(UnsupportedError, match="`chunked_attention`"):
        read("qwen2", layer_types=["full_attention", "chunked_attention"])


@pytest.mark.parametrize(
    "changes",
    [
        {"num_hidden_layers": 0},
        {"num_hidden_layers": 1 << 20},
        {"hidden_size": -32},
        {"vocab_size": 1 << 40},
        {"num_key_value_heads": 3},
        {"hidden_size": 30},
        {"head_dim": 7},
        {"num_attention_heads": ...},
        {"num_attention_heads": "four"},
    ],
)
def test_sizes_that_cannot_be_are_called_corrupt(changes):
    with pytest.raises(ModelCorruptError):
        read(**changes)


def test_mistral_takes_null_for_no_window_and_absence_for_the_usual_one():
    assert read("mistral", sliding_window=None).config.window is None
    assert read("mistral", sliding_window=7).config.window == 7
    assert read("mistral").config.window == 4096


def test_qwen_slides_only_where_it_says_so():
    slides = {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}
    assert read("qwen2", **slides).config.windows == (None, 8)
    assert read("qwen2", **{**slides, "use_sliding_window": False}).config.windows == (None, None)
    assert read("qwen2", **{**slides, "sliding_window": None}).config.windows == (None, None)
    kinds = ["sliding_attention", "full_attention"]
    assert read("qwen3", **slides, layer_types=kinds).config.windows == (8, None)
    with pytest.raises(ModelCorruptError, match="layer_types"):
        read("qwen3", layer_types=kinds[:1])


def test_both_config_dialects_mean_the_same():
    old = read(rope_theta=500000.0, rope_scaling={"type": "linear", "factor": 2.0})
    new = read(
        rope_parameters={"rope_type": "linear", "rope_theta": 500000.0, "factor": 2.0},
        dtype="bfloat16",
    )
    assert (
        old.config.rotation.inverse_frequencies == new.config.rotation.inverse_frequencies
    ).all()
