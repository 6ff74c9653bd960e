"""`sphere-edge quickstart`: the whole tool once, on the built-in models and this machine."""

from __future__ import annotations

import json
from pathlib import Path

from sphere_edge import __version__, bench, console, packaging, profiles, resources
from sphere_edge.bench import tables
from sphere_edge.bench.target import ModelOnDevice
from sphere_edge.bundle.read import Bundle
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.devices.open import opened
from sphere_edge.engines.options import PackageOptions
from sphere_edge.formats.source import ModelSource
from sphere_edge.packaging.current import is_current
from sphere_edge.profiles import DeviceProfile

_QUESTIONS = (
    "What is the capital of France?",
    "What colour is the sky?",
    "What is 3 plus 4?",
)
_RECORDINGS = ("10.flac", "09.flac")
_IMAGE_PROMPTS = ("a red circle", "a blue square")
_IMAGE_SEED = 1
_PLAN = bench.Plan(prompt_tokens=(128,), new_tokens=64, repeat=3)


def quickstart(folder: Path, *, images: bool) -> None:
    """Builds the runtime and the bundles where they are missing; asks, transcribes, measures.

    Each engine is compiled when its turn comes, so that the first answer comes soon; the program
    that measures comes with the speech engine. With `images`
    it generates images at the end.
    """
    from sphere_edge.runtime import library
    from sphere_edge.runtime.text import TextManager

    profile = profiles.host()
    console.say(
        f"sphere-edge {__version__} on {profile.title}, {profile.cpu.performance_cores} cores"
    )
    _headline("1/6  the runtime")
    about = library.system_info(library.load(console.progress()))
    console.say(f"  version {about['version']}, built for this CPU")

    _headline("2/6  package the built-in text model for this machine")
    output = _packaged(packaging.built_in(packaging.TINY), profile, folder)

    _headline("3/6  ask it")
    with TextManager.open(output) as text:
        for question in _QUESTIONS:
            console.say(f"  > {question}", style="bold")
            answer = "".join(text.chat([{"role": "user", "content": question}], temperature=0))
            console.write(f"  {answer.strip()}")

    _headline("4/6  transcribe speech")
    _load("whisper", "the speech engine")
    speech = _packaged(packaging.built_in(packaging.TINY_WHISPER), profile, folder)
    recording = _transcribe(speech)

    _headline("5/6  measure it")
    with opened("local") as machine:
        measured = bench.measure(ModelOnDevice(machine, output), _PLAN, console.progress())
    console.write_table(tables.SPEED, tables.speed(measured))
    console.write_table(tables.MEMORY, tables.memory(measured))

    _headline("6/6  generate images")
    image_bundle = None
    if not images:
        console.say("  skipped (--no-images)")
    else:
        _load("diffusion", "the image engine")
        image_bundle = _packaged(packaging.built_in(packaging.TINY_IMAGE), profile, folder)
        _generate_images(image_bundle, folder)

    _headline("next")
    for command in (
        f"sphere-edge chat {output}",
        f"sphere-edge transcribe {speech} {recording} --format srt",
        *(
            []
            if image_bundle is None
            else [f'sphere-edge generate-image "a blue square" {image_bundle}']
        ),
        f"sphere-edge bench {output} --report bench.html",
        "sphere-edge inspect Qwen/Qwen2.5-0.5B-Instruct",
        "sphere-edge package Qwen/Qwen2.5-0.5B-Instruct --profile host",
        "sphere-edge profiles list",
    ):
        console.say(f"  {command}")


def _packaged(source: ModelSource, profile: DeviceProfile, folder: Path) -> Path:
    """The bundle of a built-in model in `folder`, made where it is not there or not current."""
    output = folder / f"{source.name}.{profile.name}"
    is_there = is_current(output, source)
    if not is_there:
        writer = BundleWriter(output, force=True, progress=console.progress())
        packaging.package(source, profile, PackageOptions(), writer)
    size = console.human_bytes(Bundle.open(output).manifest.total_bytes)
    console.say(f"  {output}: {size}{', already there' if is_there else ''}")
    return output


def _load(engine: str, title: str) -> None:
    """Compiles an engine where that has not been done yet."""
    from sphere_edge.runtime import library
    from sphere_edge.toolchain import native, targets

    if not any(engine in engines for engines in native.built(targets.host())):
        console.say(f"  compiling {title}, once; Ctrl-C leaves it for later")
    library.load(console.progress(), engine=engine)


def _transcribe(bundle: Path) -> Path:
    """Transcribes some of the recordings that come with the model; returns the last of them."""
    from sphere_edge.runtime.audio import AudioManager

    samples = resources.speech_samples()
    texts = json.loads((samples / "samples.json").read_text(encoding="utf-8"))
    with AudioManager.open(bundle) as audio:
        for name in _RECORDINGS:
            console.say(f'  {name}, in which a synthetic voice says "{texts[name]}"', style="bold")
            console.write(f"  {audio.transcribe(samples / name).text()}")
    return samples / _RECORDINGS[-1]


def _generate_images(bundle: Path, folder: Path) -> None:
    """Two images of the built-in model, as PNG files beside the bundles."""
    from sphere_edge.runtime.image import ImageManager

    with ImageManager.open(bundle) as image:
        for prompt in _IMAGE_PROMPTS:
            console.say(f"  > {prompt}", style="bold")
            path = folder / f"{prompt.replace(' ', '-')}.png"
            image.generate(prompt, seed=_IMAGE_SEED)[0].save(path)
            console.write(f"  {path}")


def _headline(text: str) -> None:
    console.say(f"\n{text}", style="bold")
