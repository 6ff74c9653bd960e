"""The ctypes mirror of sphere_edge.h, against what a C compiler makes of the header."""

from __future__ import annotations

import ctypes
import re

import pytest

from sphere_edge.bundle.manifest import RUNTIME_ABI
from sphere_edge.errors import Status
from sphere_edge.runtime import binding, binding_image
from tests import c_interface

STRUCTS = {
    "se_text_open_options": binding.OpenOptions,
    "se_text_generate_options": binding.GenerateOptions,
    "se_text_result": binding.Result,
    "se_logit_bias": binding.LogitBias,
    "se_token_logprob": binding.TokenLogprob,
    "se_text_delta": binding.Delta,
    "se_text_embed_options": binding.EmbedOptions,
    "se_text_embed_result": binding.EmbedResult,
    "se_kernel_tensor": binding.KernelTensor,
    "se_audio_open_options": binding.AudioOpenOptions,
    "se_audio_word": binding.AudioWord,
    "se_audio_token": binding.AudioToken,
    "se_audio_segment": binding.AudioSegment,
    "se_audio_transcribe_options": binding.TranscribeOptions,
    "se_audio_result": binding.AudioResult,
    "se_audio_stream_options": binding.StreamOptions,
    "se_image_open_options": binding_image.ImageOpenOptions,
    "se_image_bitmap": binding_image.ImageBitmap,
    "se_image_progress": binding_image.ImageProgress,
    "se_image_lora": binding_image.ImageLora,
    "se_image_generate_options": binding_image.ImageGenerateOptions,
    "se_image_result": binding_image.ImageResult,
    "se_image_part": binding_image.ImagePart,
}


@pytest.fixture(scope="module")
def header() -> str:
    return c_interface.HEADER.read_text()


def fields(kind: type[ctypes.Structure]) -> list[str]:
    return [field[0] for field in kind._fields_]


def test_structs_have_the_sizes_and_offsets_of_the_header() -> None:
    questions: list[str] = []
    expected: list[int] = []
    for name, kind in STRUCTS.items():
        questions.append(f"sizeof({name})")
        expected.append(ctypes.sizeof(kind))
        for field in fields(kind):
            questions += [f"offsetof({name}, {field})", f"sizeof((({name} *)0)->{field})"]
            expected += [getattr(kind, field).offset, getattr(kind, field).size]
    questions += ["SE_RUNTIME_ABI", "SE_SEED_RANDOM"]
    expected += [RUNTIME_ABI, binding.SEED_RANDOM]
    assert c_interface.asked_of_the_compiler(c_interface.HEADER, questions) == expected


def test_structs_have_all_the_fields_of_the_header(header: str) -> None:
    for name, kind in STRUCTS.items():
        body = re.search(rf"typedef struct {name} {{(.*?)}} {name};", header, re.DOTALL)
        assert body is not None
        declared = re.findall(
            r"(\w+)(?:\[\d+\])?;", re.sub(r"/\*.*?\*/", "", body[1], flags=re.DOTALL)
        )
        assert declared == fields(kind)


def test_every_function_of_the_header_is_bound(header: str) -> None:
    declared = set(re.findall(r"^SE_API [^;]*?\b(se_\w+)\(", header, re.MULTILINE))
    assert set(binding.FUNCTIONS) == declared


def test_status_codes_are_those_of_the_header(header: str) -> None:
    listed = header.split("typedef int32_t se_status;")[1].split("};")[0]
    declared = dict(re.findall(r"\bSE_(\w+) = (\d+)", listed))
    assert {name: int(code) for name, code in declared.items()} == {
        status.name: status.value for status in Status
    }


def test_finish_reasons_are_in_the_headers_order(header: str) -> None:
    from sphere_edge.runtime import generation

    declared = re.findall(r"\bSE_FINISH_(\w+) = (\d)", header)
    ordered = [name.lower() for name, _ in sorted(declared, key=lambda pair: int(pair[1]))]
    assert list(generation._FINISH_REASONS) == ordered


def test_kinds_of_deltas_are_in_the_headers_order(header: str) -> None:
    from sphere_edge.runtime import text_delta

    declared = re.findall(r"\bSE_DELTA_(\w+) = (\d)", header)
    ordered = [name.lower() for name, _ in sorted(declared, key=lambda pair: int(pair[1]))]
    assert list(text_delta.DELTA_KINDS) == ordered


@pytest.mark.parametrize("kind", STRUCTS.values(), ids=STRUCTS)
def test_no_struct_has_padding_that_a_later_field_could_take(kind: type[ctypes.Structure]) -> None:
    end = 0
    for field in fields(kind):
        assert getattr(kind, field).offset == end, f"padding before {field}"
        end += getattr(kind, field).size
    assert ctypes.sizeof(kind) == end
