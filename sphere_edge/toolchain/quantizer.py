"""llama.cpp's own quantizer, as a program that is built with the native core for this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sphere_edge.console import Progress
from sphere_edge.errors import InternalError, UnsupportedError
from sphere_edge.run import ProgramFailedError, run
from sphere_edge.toolchain import native, project, targets

# `enum llama_ftype` of llama.cpp's include/llama.h.
TYPES: Mapping[str, int] = {
    "q3_k_m": 12,
    "q4_0": 2,
    "q4_k_m": 15,
    "q5_k_m": 17,
    "q6_k": 18,
    "q8_0": 7,
}
_TIMEOUT_S = 6 * 3600.0


def quantize(model: Path, into: Path, name: str, progress: Progress) -> None:
    """Writes the GGUF `model`, all parts of a split one, to the one file `into` as `name` of TYPES.

    The same input gives the same bytes. Raises UnsupportedError with llama.cpp's words for a model
    that it does not quantize, and what building the native core raises.
    """
    program = native.build_for("llama", targets.host(), progress).quantizer
    arguments: list[str | Path] = [program, model, into, str(TYPES[name]), str(os.cpu_count() or 1)]
    output: list[str] = []
    with project.CountedProgress(progress, f"quantizing to {name}") as tensors:

        def on_line(line: str) -> None:
            tensors.on_line(line)
            output.append(line)

        try:
            run(arguments, timeout_s=_TIMEOUT_S, on_line=on_line)
        except ProgramFailedError as error:
            words = output[-1].rpartition("failed to quantize: ")
            if error.completed.exit_code != 1 or not words[1]:
                message = f"llama.cpp's quantizer ended with `{error.completed.exit_code}`"
                raise InternalError(message) from error
            message = f"llama.cpp does not quantize `{model.name}` to {name}: {words[2]}"
            raise UnsupportedError(message) from error
