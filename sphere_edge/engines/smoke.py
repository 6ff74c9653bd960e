"""The smallest request that proves that a bundle works: one per task, here or on a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sphere_edge.devices.device import Device
from sphere_edge.errors import LoadFailedError

_PROMPT = "Hello"
_TOKENS = 8
_IMAGE_SIDE = 64
_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class SmokeTest:
    """A request to the runner on a device, and the same request to the runtime in this process."""

    action: str
    arguments: tuple[str, ...]
    in_process: Callable[[Path, str | None], None]
    stdin: Callable[[], bytes] = bytes

    def run_here(self, folder: Path, backend: str | None = None) -> None:
        """Opens the bundle in `folder` and makes the request; raises what the runtime raises.

        `backend`: that one; None: the one that the runtime chooses.
        """
        self.in_process(folder, backend)

    def run_on(self, device: Device, folder: str, backend: str | None = None) -> None:
        """Makes the request to the bundle deployed in `folder`; raises what its runner reports."""
        from sphere_edge.devices import payload

        option = () if backend is None else ("--backend", backend)
        argv = payload.runner(folder, self.action, (*self.arguments, *option))
        completed = device.run(argv, timeout_s=_TIMEOUT_S, stdin=self.stdin())
        if completed.exit_code != 0:
            hint = "the bundle that was in use there still is"
            raise payload.runner_failure(completed, device.uri, hint=hint)


def _generate(folder: Path, backend: str | None) -> None:
    from sphere_edge.runtime.text import TextManager

    with TextManager.open(folder, backend=backend) as text:
        stream = text.generate(_PROMPT, max_tokens=_TOKENS, temperature=0)
        for _ in stream:
            pass
        if stream.result.prompt_tokens == 0:
            message = f"`{text.info.name}` was built, but reads no prompt"
            raise LoadFailedError(message)


def _transcribe(folder: Path, backend: str | None) -> None:
    """A second of silence; the transcript is not checked."""
    import numpy as np

    from sphere_edge.runtime.audio import AudioManager

    with AudioManager.open(folder) as audio:
        silence = np.zeros(audio.info.sample_rate, dtype=np.float32)
        audio.transcribe(silence, language="en", temperature_step=0).text()


def _silence() -> bytes:
    import numpy as np

    from sphere_edge.runtime.sound import SAMPLE_RATE
    from sphere_edge.runtime.wav import wav_of

    return wav_of(np.zeros(SAMPLE_RATE, dtype=np.float32))


def _generate_image(folder: Path, backend: str | None) -> None:
    """The smallest image in one step; its content is not checked."""
    from PIL import Image

    from sphere_edge.runtime.image import ImageManager

    with ImageManager.open(folder) as image:
        multiple = image.info.size_multiple
        side = multiple * -(-_IMAGE_SIDE // multiple)
        size = (side, side)
        inpaints = image.info.inpaints
        image.generate(
            _PROMPT,
            width=side,
            height=side,
            steps=1,
            seed=0,
            init=Image.new("RGB", size) if inpaints else None,
            mask=Image.new("L", size, 255) if inpaints else None,
        )


TEXT = SmokeTest(
    action="generate",
    arguments=(_PROMPT, "--temperature", "0", "--max-tokens", str(_TOKENS)),
    in_process=_generate,
)
AUDIO = SmokeTest(
    action="transcribe",
    arguments=("-", "--language", "en", "--no-fallback"),
    in_process=_transcribe,
    stdin=_silence,
)
IMAGE = SmokeTest(
    action="generate-image",
    arguments=(
        *(_PROMPT, "--width", str(_IMAGE_SIDE), "--height", str(_IMAGE_SIDE)),
        *("--steps", "1", "--output", "/dev/null"),
    ),
    in_process=_generate_image,
)
