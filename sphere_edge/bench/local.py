"""Measures a model on this machine, in the runner's own process: no Python in speed or memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from sphere_edge import errors, profiles
from sphere_edge.bench.measurement import Measurement, Series
from sphere_edge.bundle.read import read_manifest, runnable
from sphere_edge.console import SILENT, Progress
from sphere_edge.run import run
from sphere_edge.toolchain import native, targets

# Nobody waits longer for a benchmark; a 3 B model on two slow cores stays far below.
_TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class Plan:
    """What to measure; `threads` 0: all performance cores."""

    prompt_tokens: tuple[int, ...] = (128,)
    new_tokens: int = 64
    repeat: int = 5
    threads: int = 0


class _Series(BaseModel):
    name: Literal["prefill", "decode", "first_token", "load"]
    unit: Literal["tokens/s", "s"]
    tokens: int | None
    samples: Annotated[
        list[Annotated[float, Field(gt=0, allow_inf_nan=False)]], Field(min_length=1)
    ]


class _Report(BaseModel):
    """What `sphere-edge-run bench --json` prints; keys that are not used here are left alone."""

    engine: str
    family: str
    quantization: str
    threads: Annotated[int, Field(gt=0)]
    context_tokens: Annotated[int, Field(gt=0)]
    series: list[_Series]
    peak_rss_bytes: Annotated[int, Field(gt=0)]


def measure(path: Path, plan: Plan, progress: Progress = SILENT) -> Measurement:
    """Runs the benchmark on the bundle, `.sphere` or .gguf file at `path`.

    Raises what opening the bundle raises, and the runner's own errors with their codes.
    """
    opened = runnable(path, profiles.host(), progress)
    manifest = read_manifest(opened) if opened.is_dir() else None
    runner = native.build(targets.host(), progress).runner
    with progress.step("measuring"):
        report = _ask(runner, opened, plan)
    return Measurement(
        model=manifest.name if manifest else path.stem,
        bundle_id=manifest.id if manifest else None,
        engine=report.engine,
        family=report.family,
        quantization=report.quantization,
        device=profiles.host().title,
        threads=report.threads,
        context_tokens=report.context_tokens,
        series=tuple(Series(s.name, s.unit, tuple(s.samples), s.tokens) for s in report.series),
        peak_rss_bytes=report.peak_rss_bytes,
        predicted=manifest.memory if manifest else None,
    )


def _ask(runner: Path, model: Path, plan: Plan) -> _Report:
    words = ["bench", str(model), "--prompt-tokens", ",".join(map(str, plan.prompt_tokens))]
    words += ["--new-tokens", str(plan.new_tokens), "--repeat", str(plan.repeat), "--json"]
    if plan.threads:
        words += ["--threads", str(plan.threads)]
    ended = run([runner, *words], timeout_s=_TIMEOUT_S, check=False)
    try:
        answer = json.loads(ended.stdout)
        if ended.exit_code != 0:
            said = answer["error"]
            raise errors.from_status(ended.exit_code, said["message"], said["hint"] or None)
        return _Report.model_validate(answer)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        message = f"the runner ended with `{ended.exit_code}` and said: {ended.last_lines}"
        raise errors.InternalError(message) from error
