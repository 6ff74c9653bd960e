"""Measures a bundle of any task, and renders and writes the result in any format."""

from __future__ import annotations

from pathlib import Path

from sphere_edge.bench import audio, images, report, report_file, runs_report, text
from sphere_edge.bench.audio import AudioMeasurement
from sphere_edge.bench.images import ImageMeasurement
from sphere_edge.bench.measurement import Measurement
from sphere_edge.bench.plan import Options
from sphere_edge.bench.target import ModelOnDevice
from sphere_edge.bundle.read import is_bundle, read_manifest
from sphere_edge.console import SILENT, Progress

Result = Measurement | AudioMeasurement | ImageMeasurement


def run(model: ModelOnDevice, options: Options, progress: Progress = SILENT) -> Result:
    """Measures the bundle, `.sphere` or .gguf file as its task requires.

    Raises InvalidArgumentError for options of another task, and what the task's `measure` raises.
    """
    task = _task(model.path)
    if task == "image":
        return images.measure(model, options.image_plan(), progress)
    if task == "audio":
        return audio.measure(model, options.audio_plan(), progress)
    return text.measure(model, options.text_plan(), progress)


def _task(path: Path) -> str:
    return read_manifest(path).task if is_bundle(path) else "text"


def rendered(result: Result, suffix: str) -> str:
    """The report's text; `suffix` is one of `report_file.FORMATS`."""
    if isinstance(result, Measurement):
        return report.rendered(result, suffix)
    return runs_report.rendered(result.for_report(), suffix)


def write(result: Result, path: Path) -> None:
    """Writes the report in the format of `path`'s suffix; raises as `report_file.check`."""
    report_file.check(path)
    report_file.save(rendered(result, path.suffix), path)
