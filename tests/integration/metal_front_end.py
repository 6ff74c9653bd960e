"""Checks the Metal source of bundles for Macs and iPhones with clang and a stand-in library.

Apple's compiler runs on Macs only. Metal is C++ with address spaces, and so is clang's C++ for
OpenCL: with the declarations of metal_language/ it holds kernels to Metal's types, address spaces,
attributes and functions. It makes no code; nobody has heard what Apple's compiler says beyond that.

    python tests/integration/metal_front_end.py [BUNDLE…]    (from the repository, PYTHONPATH=.)

Without bundles it takes the code of tiny ones, of several families.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

import golden_gpu_code
from golden_gpu_code import MODELS

from sphere_edge import profiles
from sphere_edge.run import run
from sphere_edge.toolchain import compilers

_INCLUDE = b"#include <metal_stdlib>"
_FLAGS = (
    *("-x", "clcpp", "-cl-std=clc++1.0", "-target", "spir64-unknown-unknown", "-fsyntax-only"),
    # Nothing of OpenCL but what the stand-in takes from it.
    *("-cl-no-stdinc", "-nostdinc", "-I", str(Path(__file__).parent / "metal_language")),
    "-Xclang",
    "-cl-ext=-all,+cl_khr_fp16,+__cl_clang_non_portable_kernel_param_types",
    *("-cl-single-precision-constant", "-Werror", "-Wno-unused-value"),
)
_BYTES = {"bool": 1, "char": 1, "short": 2, "half": 2, "int": 4, "float": 4, "long": 8}
_SCALAR = rf"u?(?:{'|'.join(_BYTES)})"
# Of a threadgroup: every GPU since A11.
_GROUP_BYTES = 32768
_GROUP = re.compile(rf"threadgroup ({_SCALAR})([234]?) \w+\[(\d+)\];")
_SPACE = re.compile(r"\b(?:device|constant|threadgroup|thread)\s+(?:(?:const|volatile)\s+)*$")
_POINTER = re.compile(rf"\b(?:void|{_SCALAR}[234]?|\w+_t)\s*(?:const\s*)?[*&]")
_POSITION = re.compile(
    r"(\w+) \w+ \[\[\s*(?:threads?|threadgroups?)_(?:position_in|per)_\w+\s*\]\]"
)


def sources(library: bytes) -> list[str]:
    """Each kernel's program in compiled code; TVM stores it after its length in 8 bytes."""
    found = []
    for match in re.finditer(re.escape(_INCLUDE), library):
        start = match.start()
        length = int.from_bytes(library[start - 8 : start], "little")
        found.append(library[start : start + length].decode())
    return found


def of_golden(name: str, fmt: str, profile: str = "mac-m2") -> list[str]:
    """The programs of the bundle of a golden."""
    with tempfile.TemporaryDirectory() as folder:
        code, library = golden_gpu_code.compiled(name, fmt, profiles.load(profile), Path(folder))
        assert (code.backend, code.arithmetic) == ("metal", "float16")
        return sources(library.read_bytes())


def of_bundle(folder: Path) -> list[str]:
    """The programs of a bundle for a Mac (a library) or an iPhone (objects)."""
    files = [*folder.glob("lib/model-metal.so"), *folder.glob("lib/metal/*.o")]
    return [text for file in sorted(files) for text in sources(file.read_bytes())]


def complaints(programs: list[str]) -> list[str]:
    """What the compiler, the language and the GPU's limits have against programs."""
    wrong = [f"{_name(text)}: {said}" for text in programs for said in _beyond_types(text)]
    # Each is a file of its own on the device; here each has its own namespace.
    parts = [
        f'namespace program_{number} {{\n#line 1 "{_name(text)}"\n{text}\n}}\n'
        for number, text in enumerate(programs)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels.metal"
        path.write_text(_INCLUDE.decode() + "\n" + "".join(parts))
        command = [compilers.zig(), "clang", *_FLAGS, path]
        done = run(command, timeout_s=120, check=False, env=compilers.environment())
    return wrong if done.exit_code == 0 else [*wrong, *done.stderr.strip().splitlines()[:20]]


def _name(text: str) -> str:
    found = re.search(r"kernel void (\w+)\(", text)
    return found[1] if found else "no kernel"


def _beyond_types(text: str) -> list[str]:
    """What clang's own language lets pass, and Metal or its GPUs do not."""
    wrong = []
    if text.count("kernel void ") != 1:
        wrong.append("not one kernel in a program")
    declared = _GROUP.findall(text)
    if len(declared) != len(re.findall(r"\bthreadgroup [\w ]+\[", text)):
        wrong.append("a threadgroup variable of an unknown size")
    size = sum(
        _BYTES[kind.removeprefix("u")] * (4 if lanes == "3" else int(lanes or 1)) * int(count)
        for kind, lanes, count in declared
    )
    if size > _GROUP_BYTES:
        wrong.append(f"{size} bytes of threadgroup memory")
    # C++ for OpenCL takes a pointer of any address space where none is named.
    wrong += [
        f"no address space: `{found[0]}`"
        for found in _POINTER.finditer(text)
        if not _SPACE.search(text[: found.start()])
    ]
    indices = Counter(re.findall(r"\[\[\s*buffer\((\d+)\)\s*\]\]", text))
    wrong += [f"buffer {index} twice" for index, count in indices.items() if count > 1]
    if len(kinds := set(_POSITION.findall(text))) > 1:
        wrong.append(f"positions of several types: {', '.join(sorted(kinds))}")
    elif not kinds <= {f"{word}{lanes}" for word in ("uint", "ushort") for lanes in ("", 2, 3)}:
        wrong.append(f"positions of type {kinds.pop()}")
    return wrong


def main(bundles: list[str]) -> None:
    """Prints a line per bundle; exit code 1 if any is refused."""
    programs = (
        [(Path(bundle).name, of_bundle(Path(bundle))) for bundle in bundles]
        if bundles
        else (
            (f"{name:28} {fmt:4}", of_golden(name, fmt))
            for name in MODELS
            for fmt in ("q4", "q8", "f16")
        )
    )
    failed = False
    for title, texts in programs:
        wrong = complaints(texts) if texts else ["no Metal code"]
        print(f"{title} {len(texts):3} kernels", "; ".join(wrong) or "ok")
        failed |= bool(wrong)
    sys.exit(failed)


if __name__ == "__main__":
    main(sys.argv[1:])
