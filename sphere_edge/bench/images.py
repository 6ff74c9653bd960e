"""Measures an image model on a device: seconds per step, in total and to load, peak memory."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from sphere_edge.bench.plan import ImagePlan
from sphere_edge.bench.runs_report import Runs
from sphere_edge.bench.target import ModelOnDevice, bench_target
from sphere_edge.bundle.manifest import Memory
from sphere_edge.console import SILENT, Progress, human_bytes
from sphere_edge.devices import payload
from sphere_edge.devices.probe import probe
from sphere_edge.errors import InternalError

SCHEMA_VERSION = 1
_PROMPT = "a red fox in the snow"
# A large model on a small board takes minutes for a step.
_TIMEOUT_S = 24 * 3600.0


class ImageRun(BaseModel):
    """What `sphere-edge-run generate-image --json` prints; other keys are ignored."""

    family: str
    quantization: str
    threads: Annotated[int, Field(gt=0)]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]
    steps: Annotated[int, Field(gt=0)]
    load_seconds: Annotated[float, Field(ge=0)]
    total_seconds: Annotated[float, Field(gt=0)]
    step_seconds: Annotated[float, Field(gt=0)]
    peak_rss_bytes: Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class ImageMeasurement:
    """Samples, each from a process of its own, in the order taken."""

    model: str
    bundle_id: str
    device: str
    samples: tuple[ImageRun, ...]
    predicted: Memory

    @property
    def subtitle(self) -> str:
        """What was measured where, in one line."""
        first = self.samples[0]
        threads = f"{first.threads} thread{'s' * (first.threads > 1)}"
        return (
            f"{first.family} {first.quantization} by the diffusion engine, {threads}, "
            f"{first.width}x{first.height} in {first.steps} steps, on {self.device}"
        )

    def as_json(self) -> dict[str, Any]:
        """Everything; `schema_version` rises when a key changes its meaning."""
        first = self.samples[0]
        return {
            "schema_version": SCHEMA_VERSION,
            "task": "image",
            "model": self.model,
            "bundle_id": self.bundle_id,
            "device": self.device,
            "family": first.family,
            "quantization": first.quantization,
            "threads": first.threads,
            "width": first.width,
            "height": first.height,
            "steps": first.steps,
            "seconds_per_step": self._median("step_seconds"),
            "total_seconds": self._median("total_seconds"),
            "load_seconds": self._median("load_seconds"),
            "peak_rss_bytes": max(sample.peak_rss_bytes for sample in self.samples),
            "predicted": self.predicted.model_dump(),
            "samples": [sample.model_dump() for sample in self.samples],
        }

    def for_report(self) -> Runs:
        """Medians, samples and conditions, as reports show them."""
        first, peak = self.samples[0], max(sample.peak_rss_bytes for sample in self.samples)
        step, total = self._median("step_seconds"), self._median("total_seconds")
        load = self._median("load_seconds")
        names = ("load_seconds", "step_seconds", "total_seconds", "peak_rss_bytes")
        predicted = self.predicted.peak_bytes
        return Runs(
            name=self.model,
            device=self.device,
            subtitle=self.subtitle,
            columns=names,
            samples=tuple(
                tuple(getattr(sample, name) for name in names) for sample in self.samples
            ),
            plotted={"step_seconds": "a step (s)", "total_seconds": "an image (s)"},
            figures=[
                ("a step", f"{step:.3g}", "s"),
                ("an image", f"{total:.3g}", f"s, {first.steps} steps"),
                ("load", f"{load:.3g}", "s"),
                (
                    "peak memory",
                    human_bytes(peak),
                    f"{peak / predicted:.0%} of predicted at its own size",
                ),
            ],
            medians=[
                ("seconds per step", f"{step:.3f}"),
                ("total", f"{total:.2f} s for {first.steps} steps"),
                ("load", f"{load:.2f} s"),
                ("peak memory", human_bytes(peak)),
                ("predicted", f"{human_bytes(predicted)} at the model's own size"),
            ],
            facts=[
                ("device", self.device),
                ("bundle", self.bundle_id),
                ("image", f"{first.width}x{first.height} pixels, {first.steps} steps"),
                ("images", f"{len(self.samples)}, each in a process of its own"),
            ],
            document=self.as_json(),
        )

    def _median(self, name: str) -> float:
        return float(median(getattr(sample, name) for sample in self.samples))


def measure(
    subject: ModelOnDevice, plan: ImagePlan, progress: Progress = SILENT
) -> ImageMeasurement:
    """Generates `plan.repeat` images with the bundle, each in a new process.

    Raises what opening and sending raise, and the runner's own errors with their codes.
    """
    samples, device = [], subject.device
    with bench_target(subject, probe(device, folder=subject.store), progress) as model:
        if model.manifest is None:
            message = f"`{subject.path}` is not a bundle"
            raise InternalError(message)
        words = [_PROMPT, "--seed", "1", "--output", "/dev/null", *plan.words()]
        with progress.step("generating images", plan.repeat) as step:
            for _ in range(plan.repeat):
                completed = device.run(model.command("generate-image", words), timeout_s=_TIMEOUT_S)
                if completed.exit_code != 0:
                    raise payload.runner_failure(completed, device.uri)
                try:
                    samples.append(ImageRun.model_validate_json(completed.stdout))
                except ValidationError as error:
                    message = f"the runner on {device.uri} printed an unexpected report"
                    raise InternalError(message) from error
                step.advance()
        return ImageMeasurement(
            model=model.name,
            bundle_id=model.manifest.id,
            device=device.uri,
            samples=tuple(samples),
            predicted=model.manifest.memory,
        )
