"""LongRoPE through the C API: rotated by the length of the text, as transformers does it."""

from __future__ import annotations

import contextlib
import json
import shutil

import goldens
import numpy as np
import pytest
from opencl_kernels import device
from speaking import padded

from sphere_edge import errors, packaging, profiles
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.engines import tvm as engine
from sphere_edge.engines.engine import BuildRequest
from sphere_edge.engines.options import PackageOptions
from sphere_edge.formats.source import open_source
from sphere_edge.runtime.text import TextManager
from tests import manifest_corpus

GOLDEN = goldens.load("phi3_longrope_long")
# The last position with the short factors.
LAST_SHORT = 127
# Less than the golden's text: what is computed again goes in pieces, too.
PREFILL_TOKENS = 50
# No part of the switch: a piece would lie on both sides of it.
SCORE_TOKENS = 30


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The golden's model in float32 for CPU and OpenCL, with small pieces of a prompt."""
    work = tmp_path_factory.mktemp("longrope")
    source = open_source(str(padded(GOLDEN, work / "model")))
    options = PackageOptions(quantization="f32", context_tokens=300, kv_dtype="float32")
    profile = profiles.load("generic-opencl")
    with BundleWriter(work / "made") as writer:
        draft = engine.fit(BuildRequest(source, profile, options, writer))().draft
        sizes = {"prefill_tokens": PREFILL_TOKENS, "score_tokens": SCORE_TOKENS}
        pieces = draft.tvm.model_copy(update=sizes)
        return writer.commit(draft.model_copy(update={"tvm": pieces}), lambda bundle: None)


@pytest.fixture(scope="module", params=["cpu", "opencl"])
def opened(request, bundle):
    if request.param == "opencl":
        device()
    with TextManager.open(bundle.folder, backend=request.param) as text:
        yield text


@pytest.fixture
def text(opened):
    opened.reset()
    return opened


def assert_golden(text, position):
    """The logits after `position`, given all tokens up to there, are those of transformers."""
    expected = GOLDEN.rows[GOLDEN.positions.index(position)]
    found = text.next_logits(GOLDEN.token_ids[: position + 1])[: len(expected)]
    difference = np.abs(found - expected).max() / np.abs(GOLDEN.rows).max()
    assert difference < 1e-4, f"differs by {difference:.2e} of the largest logit"


def test_the_golden_has_texts_on_both_sides_of_the_switch():
    assert GOLDEN.config["original_max_position_embeddings"] == LAST_SHORT + 1
    assert {LAST_SHORT, LAST_SHORT + 1} < set(GOLDEN.positions)


@pytest.mark.parametrize("position", GOLDEN.positions)
def test_a_text_of_any_length_is_that_of_transformers(text, position):
    assert_golden(text, position)


def test_a_text_grows_past_the_switch_token_by_token(text):
    assert_golden(text, LAST_SHORT)
    for position in range(LAST_SHORT + 1, len(GOLDEN.token_ids)):
        text.next_logits(GOLDEN.token_ids[: position + 1])
    assert_golden(text, len(GOLDEN.token_ids) - 1)


def test_the_token_that_crosses_the_switch_is_right_at_once(text):
    assert_golden(text, LAST_SHORT)
    assert_golden(text, LAST_SHORT + 1)


@pytest.mark.parametrize("short", [20, 48, LAST_SHORT])
def test_a_longer_prompt_goes_past_the_switch_and_a_shorter_one_comes_back(text, short):
    last = len(GOLDEN.token_ids) - 1
    for position in (short, last, short, LAST_SHORT + 1, short):
        assert_golden(text, position)


def test_other_tokens_beyond_the_switch_leave_nothing_behind(text):
    other = [(token + 1) % 99 for token in GOLDEN.token_ids]
    text.next_logits(GOLDEN.token_ids[:30] + other[30:200])
    assert_golden(text, 48)
    text.next_logits(GOLDEN.token_ids[:140] + other[:20])
    assert_golden(text, len(GOLDEN.token_ids) - 1)


def test_every_row_of_a_text_that_is_scored_is_that_of_transformers(text):
    found = text.logits(GOLDEN.token_ids)[GOLDEN.positions, : GOLDEN.rows.shape[1]]
    assert np.abs(found - GOLDEN.rows).max() < 1e-4 * np.abs(GOLDEN.rows).max()


def test_a_text_that_was_scored_goes_on_on_either_side(text):
    text.logits(GOLDEN.token_ids[:200])
    assert_golden(text, 40)
    text.logits(GOLDEN.token_ids[:100])
    assert_golden(text, len(GOLDEN.token_ids) - 1)


@pytest.mark.parametrize("milliseconds", [1, 2, 3, 4, 6])
def test_an_answer_that_ends_while_it_crosses_the_switch_leaves_nothing_wrong(text, milliseconds):
    """Some is then rotated one way and some the other, or not computed at all."""
    prompt, last = GOLDEN.token_ids[:LAST_SHORT], len(GOLDEN.token_ids) - 1
    assert_golden(text, 48)
    asked = {"max_tokens": 8, "temperature": 0, "timeout_s": milliseconds / 1000}
    with contextlib.suppress(errors.TimeoutError):
        "".join(text.generate(prompt, ignore_end_of_text=True, **asked))
    for position in (LAST_SHORT, last, 48):
        assert_golden(text, position)


def test_greedy_text_goes_past_the_switch_as_one_computed_from_scratch(text):
    prompt = GOLDEN.token_ids[: LAST_SHORT - 10]
    answer = text.generate(prompt, max_tokens=24, temperature=0, ignore_end_of_text=True)
    found = "".join(answer)
    made = list(prompt)
    for _ in range(24):
        text.reset()
        made.append(int(text.next_logits(made).argmax()))
    assert text.detokenize(made[len(prompt) :]) == found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameter": "rope.none"}, "no parameter `rope.none`"),
        ({"beyond": "rope.none"}, "rope.none"),
        ({"beyond": "norm.weight"}, "another shape or type than `rope.inverse_frequencies`"),
        ({"tokens": 0}, "tokens"),
    ],
)
def test_a_manifest_that_lies_about_the_switch_is_refused(bundle, tmp_path, change, message):
    copy = tmp_path / "lying"
    shutil.copytree(bundle.folder, copy)
    manifest = json.loads((copy / "bundle.json").read_text())
    manifest["tvm"]["rope_switch"] |= change
    manifest_corpus.write(copy, manifest)
    with pytest.raises(errors.ModelCorruptError, match=message):
        TextManager.open(copy)


def test_a_context_that_ends_at_the_switch_needs_none(tmp_path):
    source = packaging.find(str(padded(GOLDEN, tmp_path / "model")))
    options = PackageOptions(quantization="f32", context_tokens=LAST_SHORT + 1)
    made = packaging.package(source, profiles.host(), options, tmp_path / "short").bundle
    assert made.manifest.tvm.rope_switch is None
    with TextManager.open(made.folder) as text:
        assert_golden(text, LAST_SHORT)


def test_drafts_go_past_the_switch_as_single_tokens_do(text):
    """A prediction is right on both sides of it, and its drafts are cut there."""
    prompt = GOLDEN.token_ids[: LAST_SHORT - 10]
    asked = {"max_tokens": 24, "temperature": 0, "ignore_end_of_text": True}
    expected = text.generate(prompt, **asked).text()
    for draft_tokens in (3, 7, 31):
        repeated = [*prompt, *text.tokenize(expected, add_special=False)][-100:]
        drafts = {"draft": "prompt_lookup", "draft_tokens": draft_tokens}
        answer = text.generate(
            prompt, prediction=text.detokenize(repeated, keep_special=True), **asked, **drafts
        )
        assert answer.text() == expected
    assert_golden(text, len(GOLDEN.token_ids) - 1)
    assert_golden(text, 48)


def test_conversations_on_both_sides_of_the_switch_share_their_steps(bundle, opened):
    """Each as alone: far below it, across it while it answers, and beyond it."""
    lengths = (30, LAST_SHORT - 4, 180, LAST_SHORT - 8)
    asked = {"max_tokens": 16, "temperature": 0, "ignore_end_of_text": True}
    backend = opened.info.backend
    expected = []
    for length in lengths:
        opened.reset()
        expected.append(opened.generate(GOLDEN.token_ids[:length], **asked).text())
    with TextManager.open(bundle.folder, backend=backend, sequences=len(lengths)) as text:
        for _ in range(2):
            answers = [text.generate(GOLDEN.token_ids[:length], **asked) for length in lengths]
            assert [answer.text() for answer in answers] == expected
