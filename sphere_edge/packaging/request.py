"""Packages what a user asks for: a model by its name, for a device by its profile's name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sphere_edge import profiles
from sphere_edge.bundle import archive
from sphere_edge.bundle.ed25519 import PrivateKey
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.console import SILENT, Progress
from sphere_edge.engines.options import PackageOptions, check_context
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.formats import image_encoder
from sphere_edge.formats.source import ModelSource
from sphere_edge.formats.wanted import Kind, Wanted
from sphere_edge.packaging.finding import find
from sphere_edge.packaging.pipeline import Packaged, package
from sphere_edge.profiles import DeviceProfile

_AUTO = "auto"


@dataclass(frozen=True)
class PackageRequest:
    """A model, the device it is for, and where the bundle goes.

    `profile`: its name, a .toml file, or `auto`, which probes `device` (a URI).
    `format`: the one to take where the model offers both. `output` None: dist/MODEL.PROFILE.
    `sign`: the file of the private key that signs it.
    """

    model: str
    profile: str = "host"
    device: str | None = None
    format: Kind | None = None
    revision: str | None = None
    # The image encoder: a path, or `owner/name/file.gguf` on the hub; None: the one that lies
    # beside the GGUF in a folder.
    mmproj: str | None = None
    output: Path | None = None
    as_zip: bool = False
    force: bool = False
    sign: Path | None = None


def package_model(
    request: PackageRequest, options: PackageOptions, progress: Progress = SILENT
) -> tuple[Packaged, DeviceProfile]:
    """Checks, finds and packages; what was made, and the profile that it is for.

    Raises what these raise: ProfileError, InvalidArgumentError, NotFoundError, ….
    """
    check_context(options.context_tokens)
    # First of all: what cannot be signed is not packaged for minutes.
    key = PrivateKey.read(request.sign) if request.sign is not None else None
    profile = profile_of(request.profile, request.device, progress)
    wanted = Wanted(request.format, request.revision, is_convertible=True)
    source = find(request.model, wanted, progress=progress)
    options = replace(options, mmproj=_image_encoder(request, source, options, progress))
    _check_source(options, source)
    output = output_for(source, profile, request.output, as_zip=request.as_zip)
    writer = BundleWriter(output, force=request.force, key=key, progress=progress)
    made = package(source, profile, options, writer)
    return made, profile


def _image_encoder(
    request: PackageRequest, source: ModelSource, options: PackageOptions, progress: Progress
) -> Path | None:
    """The file of the image encoder, checked to be one; None without any."""
    if request.mmproj is not None:
        path = find(request.mmproj, Wanted("gguf"), progress=progress).path
        image_encoder.opened(path)
        return path
    if source.kind != "gguf" or options.as_gguf or not Path(request.model).is_dir():
        return None
    found = image_encoder.beside(Path(request.model))
    if found is not None:
        progress.say(f"with its image encoder `{found.name}`")
    return found


def _check_source(options: PackageOptions, source: ModelSource) -> None:
    """InvalidArgumentError for an option that needs safetensors where there are none."""
    if options.adapter is not None and source.kind != "safetensors":
        message = f"an adapter cannot be merged into `{source.reference}`, which is {source.kind}"
        raise InvalidArgumentError(message, hint="--adapter needs a model in safetensors")
    is_gguf = source.kind == "gguf" or (source.kind == "safetensors" and options.as_gguf)
    if options.mmproj is not None and not is_gguf:
        message = f"`{source.reference}` cannot become a model that reads images"
        raise InvalidArgumentError(
            message, hint="--mmproj needs a GGUF: give one, or --format gguf"
        )
    if options.bits is not None and (source.kind != "safetensors" or options.as_gguf):
        message = "--bits mixes the formats of compiled models"
        raise InvalidArgumentError(message, hint="a GGUF has mixtures of its own: --quant q4_k_m")


def output_for(
    source: ModelSource, profile: DeviceProfile, output: Path | None, *, as_zip: bool
) -> Path:
    """Where the bundle goes: `output`, or dist/MODEL.PROFILE."""
    path = output or Path("dist") / f"{source.name}.{profile.name}"
    if path.name in ("", ".."):
        message = f"`{path}` is a folder, and a bundle needs a name"
        raise InvalidArgumentError(message, hint=f"-o {path / source.name}")
    if as_zip and path.suffix != archive.SUFFIX:
        path = path.with_name(path.name + archive.SUFFIX)
    return path


def profile_of(name: str, uri: str | None, progress: Progress = SILENT) -> DeviceProfile:
    """The profile `name`; for `auto` that of the device `uri`, which is probed."""
    if name != _AUTO and uri is not None:
        message = f"--device has no effect with the profile `{name}`"
        raise InvalidArgumentError(message, hint=f"use --profile {_AUTO} to ask the device")
    if name != _AUTO:
        return profiles.load(name)
    if uri is None or uri == "local":
        return profiles.host()
    from sphere_edge.devices import described
    from sphere_edge.devices.open import opened
    from sphere_edge.devices.probe import probe

    with opened(uri) as device:
        found = described.profile_of(probe(device), uri)
    progress.say(f"{uri} is {found.title}: {' '.join(found.cpu.features) or 'no CPU features'}")
    return found
