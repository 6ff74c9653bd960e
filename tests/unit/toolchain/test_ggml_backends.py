"""What is asked of ggml's backends for GPUs: which there are, and what is missing to build them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sphere_edge import profiles
from sphere_edge.errors import InvalidArgumentError, NotFoundError, UnsupportedError
from sphere_edge.toolchain import ggml_gpu, targets, vulkan_shaders

HOST = targets.Target("host", "linux", None, "native")
MAC = dataclasses.replace(HOST, system="macos")


def test_an_unknown_backend_names_those_that_there_are() -> None:
    with pytest.raises(InvalidArgumentError, match="`sycl`") as refused:
        ggml_gpu.parts("sycl", HOST)
    assert refused.value.hint == "choose one of: opencl, metal, cuda, vulkan"


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("metal", HOST),
        ("vulkan", MAC),
        ("opencl", MAC),
        ("vulkan", targets.NAMED["musl-arm64"]),
        ("opencl", targets.NAMED["musl-arm64"]),
    ],
)
def test_a_target_without_the_interface_is_refused(name: str, target: targets.Target) -> None:
    with pytest.raises(UnsupportedError, match=f"`{target.name}` has no `{name}`"):
        ggml_gpu.parts(name, target)


@pytest.mark.parametrize(
    ("name", "target"),
    [("metal", MAC), ("opencl", HOST), ("opencl", targets.NAMED["android-arm64-i8mm"])],
)
def test_backends_without_tools_of_their_own_add_one_definition(
    name: str, target: targets.Target
) -> None:
    assert ggml_gpu.parts(name, target) == ggml_gpu.Parts({"SE_GGML_GPU": name})


def test_a_missing_shader_compiler_is_named_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("VULKAN_SDK", raising=False)
    with pytest.raises(NotFoundError, match="`glslc`") as missing:
        ggml_gpu.parts("vulkan", HOST)
    assert "apt-get install glslc" in str(missing.value.hint)


def test_tools_come_from_the_sdk_that_the_user_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "glslc"
    for path in (program, tmp_path / "include/vulkan/vulkan.hpp"):
        path.parent.mkdir(parents=True)
        path.touch()
    program.write_text("#!/bin/sh\necho 'shaderc v2026.1'\n")
    program.chmod(0o755)
    (tmp_path / "include/vulkan/vulkan_core.h").write_text("#define VK_HEADER_VERSION 999\n")
    spirv = tmp_path / "include/spirv/unified1/spirv.hpp"
    spirv.parent.mkdir(parents=True)
    spirv.touch()
    monkeypatch.setenv("VULKAN_SDK", str(tmp_path))
    found = ggml_gpu.parts("vulkan", HOST)
    shaders = vulkan_shaders.folder("shaderc v2026.1")
    assert found.folders["SE_VULKAN_SHADERS_DIR"] == str(shaders)
    assert found.folders["SE_VULKAN_INCLUDE_DIR"] == str(tmp_path / "include")
    assert found.sources == ("ggml_vulkan",)
    assert found.pins == {"shaders": shaders.name, "vulkan": "#define VK_HEADER_VERSION 999"}
    assert vulkan_shaders.folder("shaderc v2026.2") != shaders


def test_only_a_gguf_wants_a_backend_of_ggml() -> None:
    assert ggml_gpu.wanted(Path("model.gguf"), None, "vulkan") == "vulkan"
    assert ggml_gpu.wanted(Path("model.gguf"), None, "cuda") == "cuda"
    assert ggml_gpu.wanted(Path("model.gguf"), None, None) is None
    assert ggml_gpu.wanted(Path("bundle"), None, "vulkan") is None


def test_a_profile_with_a_backend_that_its_gpu_lacks_is_refused() -> None:
    known = profiles.load("mac-m2").model_dump(exclude_unset=True)
    with pytest.raises(ValueError, match="gguf backend vulkan without a GPU for it"):
        profiles.DeviceProfile.model_validate({**known, "gguf_backends": ("vulkan", "cpu")})
    boards = profiles.load("raspberry-pi-5").model_dump(exclude_unset=True)
    for missing in ("metal", "opencl"):
        with pytest.raises(ValueError, match=f"gguf backend {missing} without"):
            profiles.DeviceProfile.model_validate({**boards, "gguf_backends": (missing, "cpu")})


def test_many_shaders_go_to_one_call_with_their_macros_inside(tmp_path: Path) -> None:
    source = tmp_path / "add.comp"
    source.write_text('#version 450\n#include "types.glsl"\n')
    shader = vulkan_shaders.Shader("add_f16", ("-O",), source, ("A_TYPE=float16_t", "UNROLL="))
    assert shader.text() == (
        '#version 450\n#define A_TYPE float16_t\n#define UNROLL \n#include "types.glsl"\n'
    )


def test_the_catalogue_asks_for_opencl_on_an_adreno_alone() -> None:
    for profile in map(profiles.load, profiles.names()):
        is_adreno = profile.gpu is not None and "Adreno" in profile.gpu.name
        assert ("opencl" in profile.gguf_backends) == is_adreno, profile.name


def test_the_catalogue_asks_for_metal_wherever_there_is_metal() -> None:
    for profile in map(profiles.load, profiles.names()):
        has_metal = profile.os in ("ios", "macos")
        assert ("metal" in profile.gguf_backends) == has_metal, profile.name


@pytest.mark.parametrize(("machine", "may_have_one"), [("x86_64", False), ("aarch64", True)])
def test_opencl_for_adreno_is_not_built_where_no_adreno_can_be(
    machine: str, may_have_one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    if may_have_one:
        ggml_gpu.require_device("opencl")
        return
    with pytest.raises(NotFoundError, match="for Adreno"):
        ggml_gpu.require_device("opencl")
