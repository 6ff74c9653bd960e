"""Compiles the OpenCL C of tiny bundles for Mali and Adreno with clang, within the devices' limits.

Nothing is run: it shows that a driver's compiler, which is a clang too, will take the kernels.

    python tests/integration/opencl_front_end.py    (from the repository, with PYTHONPATH=.)
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

import goldens
import tvm
from tvm import relax

from sphere_edge import profiles
from sphere_edge.compiler import kernels, opencl_source, pipeline
from sphere_edge.compiler.target import CpuTarget, GpuFamily, GpuTarget
from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.graph import Limits, trace
from sphere_edge.models.registry import family
from sphere_edge.run import run

FAMILIES: tuple[GpuFamily, ...] = ("mali", "adreno")
# One configuration of each family: grouped heads, biases, windows, softcaps.
MODELS = ("llama_odd_sizes", "qwen2_upper_layers_slide", "gemma_one_kv_head", "gemma2_alternating")
_COMPILERS = ("clang-19", "clang-18", "clang-17", "clang-16", "clang")
_FLAGS = (
    *("-x", "cl", "-cl-std=CL1.2", "-target", "spir64-unknown-unknown", "-c", "-emit-llvm"),
    *("-Xclang", "-finclude-default-header", "-Xclang", "-cl-ext=+cl_khr_fp16"),
    *("-Werror", "-Wno-unused-value", "-o", "/dev/null"),
)
_SIZES = {"char": 1, "half": 2, "float": 4, "int": 4, "uint": 4}
# Of a work group, on Mali and Adreno alike.
_LOCAL_BYTES = 32768
_LOCAL = re.compile(r"__local (half|float|int|uint|char)(\d*) \w+\[(\d+)\];")


def compiler() -> str | None:
    """A clang that reads OpenCL C, if one is installed."""
    return next((path for name in _COMPILERS if (path := shutil.which(name))), None)


def source(name: str, gpu: GpuFamily, fmt: str, kv_dtype: str = "float16") -> str:
    """All kernels of the golden `name` for a phone's GPU with float16 arithmetic."""
    phone = profiles.load("pixel8")
    host = CpuTarget.of(phone.triple, phone.cpu.features)
    target = GpuTarget("opencl", gpu, host, half=True)
    with tempfile.TemporaryDirectory() as folder:
        path = goldens.write_checkpoint(goldens.load(name), Path(folder))
        made = family(ModelConfig.read(path), 512)
    model = made.model(made.config, kernels.for_target(target), target.weight_format(fmt))
    graph = trace(model, Limits(512, 64, 32, kv_dtype))
    opencl_source.register()
    compiled_for = target.tvm_target()
    with compiled_for:
        module = pipeline.relax_passes(gpu=True)(graph.module)
    executable = relax.build(
        module, compiled_for, relax_pipeline=None, tir_pipeline=pipeline.GPU_TIR_PIPELINE
    )
    return "\n".join(_opencl(executable.mod))


def _opencl(module: tvm.runtime.Module) -> list[str]:
    found = [str(module.inspect_source())] if module.kind == "opencl" else []
    return [*found, *(text for part in module.imports for text in _opencl(part))]


def complaints(text: str, clang: str) -> list[str]:
    """What the compiler and the device's limits have against a program."""
    wrong = []
    for kernel in text.split("// Function: ")[1:]:
        parts = [
            _SIZES[kind] * int(lanes or 1) * int(count)
            for kind, lanes, count in _LOCAL.findall(kernel)
        ]
        if sum(parts) > _LOCAL_BYTES:
            wrong.append(f"{kernel.split()[0]}: {sum(parts)} bytes of local memory")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels.cl"
        path.write_text(text)
        done = run([clang, *_FLAGS, path], timeout_s=120, check=False)
    return wrong if done.exit_code == 0 else [*wrong, *done.stderr.strip().splitlines()[:20]]


def main() -> None:
    """Prints a line per program; exit code 1 if any is refused."""
    clang = compiler()
    if clang is None:
        sys.exit("no clang is installed (Debian: apt-get install clang-16)")
    failed = False
    for gpu in FAMILIES:
        for name in MODELS:
            for fmt in ("q4", "q8", "f16"):
                text = source(name, gpu, fmt)
                wrong = complaints(text, clang)
                count = text.count("// Function: ")
                print(f"{gpu:8} {name:28} {fmt:4} {count:3} kernels", "; ".join(wrong) or "ok")
                failed |= bool(wrong)
    sys.exit(failed)


if __name__ == "__main__":
    main()
