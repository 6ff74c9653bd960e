"""ggml's CUDA backend without a GPU: a file of it compiled whole, and what is asked of the device.

The rest of its 141 files compiles the same way, for half an hour. The compilers are fetched where
they are not in the cache: wheels of NVIDIA and clang's headers, 90 MB.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cuda_code import elf, embedded

from sphere_edge import resources
from sphere_edge.errors import UnavailableError
from sphere_edge.run import run
from sphere_edge.toolchain import compilers, cuda_wheels, ggml_cuda, sources, targets

pytestmark = pytest.mark.group("cuda")
_EM_CUDA = 190
_MACHINES = {"x86_64": 62, "aarch64": 183}
HERE = Path(__file__).parent
BOARD = targets.NAMED["linux-arm64-dotprod"]
PC = targets.NAMED["linux-x86-64-v3"]


@pytest.fixture(scope="module")
def ggml() -> Path:
    """ggml's CUDA sources; the tools of both compilers are there, too."""
    try:
        for architecture, target in (("sm_110", BOARD), ("sm_86", PC)):
            cuda_wheels.fetch(ggml_cuda.kernels(architecture, target).tools)
        return sources.fetch("ggml_cuda") / "ggml" / "src" / "ggml-cuda"
    except UnavailableError as error:
        pytest.skip(f"the compilers for CUDA cannot be had: {error.message}")


# Orin and a PC, whose code drivers of CUDA 12 must take, and Thor.
@pytest.mark.parametrize(
    ("architecture", "target", "abi"),
    [("sm_87", BOARD, 7), ("sm_86", PC, 7), ("sm_110", BOARD, 8)],
    ids=["Orin", "PC", "Thor"],
)
def test_a_file_of_ggml_becomes_code_for_the_gpu_inside_code_for_the_machine(
    ggml: Path, tmp_path: Path, architecture: str, target: targets.Target, abi: int
) -> None:
    wanted = ggml_cuda.kernels(architecture, target)
    compiled = ggml_cuda.compile_file(wanted, ggml / "scale.cu", tmp_path).read_bytes()
    assert elf(compiled).machine == _MACHINES[wanted.machine]
    assert any("ggml_cuda_op_scale" in name for name in elf(compiled).functions)
    code = elf(embedded(compiled))
    assert (code.machine, code.abi) == (_EM_CUDA, abi)
    assert f"sm_{code.architecture}" == architecture
    # The machine's code asks for its kernels by these names.
    kernels = {name for name in code.functions if "scale_f32" in name}
    assert kernels
    assert all(compiled.count(name.encode()) > 1 for name in kernels)


def test_files_that_are_finished_are_kept_when_compiling_ends_early(
    ggml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = tmp_path / "few" / "ggml" / "src" / "ggml-cuda"
    few.mkdir(parents=True)
    (few / "scale.cu").write_text("void f() {}\n")
    (few / "wrong.cu").write_text("void f( {}\n")
    wanted = ggml_cuda.kernels("sm_87", BOARD)
    assert ggml.is_dir()
    made = ggml_cuda.compile_file(wanted, few / "scale.cu", tmp_path)
    with pytest.raises(ggml_cuda.ProgramFailedError, match=r"expected (expression|.*'\)')"):
        ggml_cuda.compile_file(wanted, few / "wrong.cu", tmp_path)
    assert [path.name for path in sorted(tmp_path.glob("*.o*"))] == [made.name]


# As zig checks unoptimized code, without a runtime for it that would have to be compiled first.
_SANITIZED = ("-fsanitize=undefined", "-fno-sanitize=function,vptr", "-fsanitize-trap=undefined")
CHECKED = ("-O1", "-g0", "-fPIC", *_SANITIZED)


def compiled(language: str, *words: str) -> None:
    argv = [compilers.zig(), language, *CHECKED, *words]
    run(argv, timeout_s=300, env=compilers.environment())


@pytest.fixture(scope="module")
def asks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that asks what the runtime asks of a device, with stand-ins for NVIDIA's parts."""
    folder = tmp_path_factory.mktemp("cuda")
    engines = resources.folder("native") / "src" / "engines"
    stand_in, runtime = str(HERE / "cuda_stand_in.c"), str(folder / "runtime.o")
    compiled("cc", "-shared", stand_in, "-o", str(folder / "libcublas.so.12"))
    compiled("cc", "-DSE_RUNTIME", "-c", stand_in, "-o", runtime)
    files = (str(HERE / "ggml_cuda_main.cpp"), str(engines / "ggml_cuda.cpp"), runtime)
    include = (f"-I{engines.parent}", f"-I{engines / 'cuda_headers'}")
    made_for = '-DSE_CUDA_ARCHITECTURE="sm_86"'
    words = ("-std=c++20", made_for, *include, *files, "-ldl", "-o", str(folder / "asks"))
    compiled("c++", *words)
    return folder / "asks"


def answer(program: Path, **environment: str) -> list[str]:
    done = subprocess.run([program], env=environment, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()


def test_a_device_that_cannot_run_it_is_told_why_and_what_to_do(asks: Path) -> None:
    assert answer(asks)[0] == "`cuda` finds no GPU here: no driver"
    for other in ("75", "80", "90"):
        reason, hint = answer(asks, SE_GPU=other)
        assert reason.endswith(f"has CUDA code for `sm_86`, and the GPU is `sm_{other}`")
        assert hint == f"build one for it: sphere-edge runtime build --ggml-gpu cuda:sm_{other}"
    reason, hint = answer(asks, SE_GPU="86")
    assert reason.startswith("`cuda` needs NVIDIA's cuBLAS, and there is neither `libcublas.so.12`")


def test_what_ggml_asks_of_cublas_reaches_the_devices_library(asks: Path) -> None:
    # Code runs on later GPUs of the same major number, too.
    said = answer(asks, SE_GPU="89", LD_LIBRARY_PATH=str(asks.parent))
    assert said == ["1 10 6 7 8 1 3 9 4 10 2 5 11", "0 13 execution failed"]


def test_the_driver_says_which_gpu_is_here(tmp_path: Path) -> None:
    driver = str(tmp_path / "libcuda.so.1")
    compiled("cc", "-shared", "-DSE_DRIVER", str(HERE / "cuda_stand_in.c"), "-o", driver)
    ask = "from sphere_edge.toolchain import ggml_cuda; print(ggml_cuda.architecture_here())"
    for environment, last in (({"SE_GPU": "88"}, "sm_87"), ({}, "no NVIDIA GPU is here")):
        there = {"LD_LIBRARY_PATH": str(tmp_path), **environment}
        done = run([sys.executable, "-c", ask], timeout_s=300, env=there, check=False)
        assert last in (done.stdout + done.stderr).strip().splitlines()[-1]
