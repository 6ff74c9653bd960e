"""What a device's GPU drivers report, read by our runner there: files contain only names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sphere_edge import console, errors
from sphere_edge.devices import payload
from sphere_edge.devices.device import Device
from sphere_edge.devices.probe import Probe
from sphere_edge.devices.store import Store
from sphere_edge.toolchain import native, targets

# Some drivers take long to start for the first time.
_TIMEOUT_S = 120.0

Name = Annotated[str, Field(max_length=200)]


class Gpu(BaseModel):
    """One GPU as its driver describes it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    api: Name
    name: Name
    driver: Name
    platform: Name
    memory_bytes: Annotated[int, Field(ge=0)]
    half_precision: bool
    unified: bool


class Refusal(BaseModel):
    """Why no GPU is reached through `api`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    api: Name
    reason: Name


class Gpus(BaseModel):
    """Those that answered, and why the others did not."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    gpus: tuple[Gpu, ...]
    refusals: tuple[Refusal, ...]


def ask(
    device: Device, probed: Probe, *, store: str | None, progress: console.Progress = console.SILENT
) -> Gpus:
    """Runs `sphere-edge-run info --gpu` on the device, sending a runner first.

    Raises what sending it raises, LoadFailedError when a driver crashes the runner.
    """
    with _runner(device, probed, store, progress) as runner:
        completed = device.run([*runner, "info", "--gpu", "--json"], timeout_s=_TIMEOUT_S)
    if completed.exit_code != 0:
        hint = "models cannot run with a driver that crashes"
        raise payload.runner_failure(completed, device.uri, hint=hint)
    try:
        return Gpus.model_validate(json.loads(completed.stdout)["gpu"])
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        message = f"the runner on {device.uri} printed an unexpected list of GPUs"
        raise errors.InternalError(message) from error


@contextmanager
def _runner(
    device: Device, probed: Probe, store: str | None, progress: console.Progress
) -> Iterator[list[str]]:
    """The words that start the runner on `device`, while this lasts."""
    if device.uri == "local":
        yield [str(native.build_for("tvm", targets.host(), progress).runner)]
        return
    items = payload.runtime_items(probed, device.uri, progress=progress)
    with Store(device, store).staged(items, progress) as folder:
        yield payload.starting(folder)
