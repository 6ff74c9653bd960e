"""ggml's CUDA: which GPU it is built for, what is refused, and what a bundle says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sphere_edge import profiles
from sphere_edge.bundle.manifest import Target, document_of
from sphere_edge.bundle.read import read_manifest
from sphere_edge.errors import InternalError, NotFoundError, UnsupportedError
from sphere_edge.toolchain import cuda_wheels, ggml_cuda, ggml_gpu, targets

GOLDEN = Path(__file__).parents[2] / "data" / "golden.bundle"
BOARD = targets.NAMED["linux-arm64-dotprod"]
PC = targets.NAMED["linux-x86-64-v3"]


@pytest.mark.parametrize(
    ("capability", "architecture"),
    [
        ((7, 5), "sm_75"),
        ((8, 7), "sm_87"),
        ((8, 8), "sm_87"),
        ((10, 3), "sm_100"),
        ((12, 0), "sm_120"),
    ],
)
def test_a_gpu_gets_the_newest_code_that_it_runs(
    capability: tuple[int, int], architecture: str
) -> None:
    assert ggml_cuda.best_architecture(*capability) == architecture


# The code for 12.0 has instructions of that GPU alone.
@pytest.mark.parametrize("capability", [(7, 0), (12, 1), (13, 0)])
def test_a_gpu_that_there_is_no_code_for_is_refused(capability: tuple[int, int]) -> None:
    with pytest.raises(UnsupportedError, match="not built for GPUs of compute capability") as no:
        ggml_cuda.best_architecture(*capability)
    assert "sm_87" in str(no.value.hint)


def test_code_for_boards_and_pcs_lies_apart_and_thor_takes_the_compiler_of_cuda_13() -> None:
    board, pc = ggml_cuda.kernels("sm_87", BOARD), ggml_cuda.kernels("sm_86", PC)
    assert board.folder != ggml_cuda.kernels("sm_87", PC).folder
    assert board.tools.runtime_library != pc.tools.runtime_library
    thor = ggml_cuda.kernels("sm_110", BOARD)
    assert (board.tools.ptx, thor.tools.ptx) == ("ptx88", "ptx90")
    assert "cu13" in str(thor.tools.assembler)
    assert ggml_cuda.kernels("sm_120", PC).compiled_as == "sm_120a"


def test_the_build_is_told_the_gpu_and_where_the_code_lies() -> None:
    found = ggml_gpu.parts("cuda:sm_87", BOARD)
    folder = ggml_cuda.kernels("sm_87", BOARD).folder
    assert found.definitions == {"SE_GGML_GPU": "cuda", "SE_CUDA_ARCHITECTURE": "sm_87"}
    assert found.folders["SE_CUDA_KERNELS_DIR"] == str(folder)
    assert found.pins == {"kernels": folder.name}
    assert found.sources == ("ggml_cuda",)


@pytest.mark.parametrize("target", ["musl-arm64", "android-arm64"])
def test_phones_and_static_programs_have_no_cuda(target: str) -> None:
    with pytest.raises(UnsupportedError, match=f"`{target}` has no `cuda`"):
        ggml_gpu.parts("cuda:sm_87", targets.NAMED[target])


def test_an_unknown_gpu_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnsupportedError, match="not built for `sm_42`") as refused:
        ggml_gpu.parts("cuda:sm_42", BOARD)
    assert refused.value.hint == f"choose one of: {', '.join(cuda_wheels.ARCHITECTURES)}"


def test_without_a_driver_the_gpu_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ggml_cuda, "_DRIVER", "libno-such-driver.so.1")
    with pytest.raises(NotFoundError, match="no NVIDIA GPU is here") as missing:
        ggml_gpu.parts("cuda", PC)
    assert missing.value.hint == "name one, as `cuda:sm_87`"
    # Nothing is compiled for half an hour where nothing could run it.
    with pytest.raises(NotFoundError):
        ggml_gpu.require_device("cuda:sm_87")
    ggml_gpu.require_device("vulkan")


def test_profiles_with_an_nvidia_gpu_choose_cuda_for_a_gguf_and_name_a_gpu_there_is_code_for() -> (
    None
):
    known = [profiles.load(name) for name in profiles.names() if name != "host"]
    with_cuda = [one for one in known if one.gpu is not None and one.gpu.api == "cuda"]
    assert len(with_cuda) >= 7
    for profile in with_cuda:
        assert profile.gguf_backends == ("cuda", "cpu"), profile.name
        assert profile.gpu is not None
        assert profile.gpu.architecture in cuda_wheels.ARCHITECTURES, profile.name


def test_a_bundle_names_its_gpu_only_where_the_runtimes_code_depends_on_it() -> None:
    manifest = read_manifest(GOLDEN)
    on_cuda = manifest.model_copy(
        update={
            "engine": "llama",
            "target": Target(triple="aarch64", backend="cuda", gpu_architecture="sm_87"),
        }
    )
    assert on_cuda.ggml_gpu == "cuda:sm_87"
    assert ggml_gpu.wanted(Path("bundle"), on_cuda, None) == "cuda:sm_87"
    assert ggml_gpu.wanted(Path("bundle"), on_cuda, "cuda") == "cuda:sm_87"
    assert ggml_gpu.wanted(Path("bundle"), on_cuda, "vulkan") == "vulkan"
    assert document_of(on_cuda)["target"]["gpu_architecture"] == "sm_87"
    # What was a bundle's id stays its id.
    assert "gpu_architecture" not in json.dumps(document_of(manifest))


def test_all_of_ggmls_kernels_are_compiled_but_those_for_other_kv_caches(tmp_path: Path) -> None:
    names = ("mmvq.cu", "add.cu", "template-instances/mmq-instance-q4_0.cu")
    left_out = "template-instances/fattn-vec-instance-q4_0-f16.cu"
    kept = "template-instances/fattn-vec-instance-f16-f16.cu"
    for name in (*names, left_out, kept):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in ggml_cuda.sources_of(tmp_path)]
    assert sorted(found) == sorted((*names, kept))
    # What takes longest comes first.
    assert found[-1] == "add.cu"
    with pytest.raises(InternalError, match="holds no CUDA"):
        ggml_cuda.sources_of(tmp_path / "nothing")
