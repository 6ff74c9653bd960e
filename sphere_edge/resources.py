"""Finds the data that belongs to sphere-edge, in a checkout and inside an installed wheel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import platformdirs

from sphere_edge.errors import InternalError

# Names another cache folder than the system's usual one.
CACHE_VARIABLE = "SPHERE_EDGE_CACHE"
_PACKAGE = Path(__file__).parent


def folder(name: Literal["native", "device_profiles", "templates", "android", "ios"]) -> Path:
    """The folder `name`: beside the package in a checkout, inside it in a wheel."""
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    message = f"the installation lacks its `{name}` folder"
    raise InternalError(message, hint="install sphere-edge again")


def code() -> Path:
    """The folder of this package's own modules."""
    return _PACKAGE


def tiny_model() -> Path:
    """The built-in model: a folder with config.json, model.safetensors and tokenizer.json."""
    path = _PACKAGE / "data" / "tiny"
    if not (path / "config.json").is_file():
        message = "the installation lacks its built-in model"
        raise InternalError(message, hint="install sphere-edge again")
    return path


def evaluation_text() -> str:
    """The text on which models are compared when none is given: prose, talk, code, tables."""
    path = _PACKAGE / "data" / "evaluation.txt"
    if not path.is_file():
        message = "the installation lacks its evaluation text"
        raise InternalError(message, hint="install sphere-edge again")
    return path.read_text(encoding="utf-8")


def calibration_text() -> str:
    """The text that weights are rounded for: chats, prose, code, tables, twelve languages."""
    path = _PACKAGE / "data" / "calibration.txt"
    if not path.is_file():
        message = "the installation lacks its calibration text"
        raise InternalError(message, hint="install sphere-edge again")
    return path.read_text(encoding="utf-8")


def tiny_whisper() -> Path:
    """The built-in speech model, a whisper.cpp file that knows digits and a few commands."""
    path = _PACKAGE / "data" / "tiny_whisper" / "model.bin"
    if not path.is_file():
        message = "the installation lacks its built-in speech model"
        raise InternalError(message, hint="install sphere-edge again")
    return path


def speech_samples() -> Path:
    """Recordings that the built-in speech model was not trained on: a folder with samples.json."""
    return _PACKAGE / "data" / "tiny_whisper" / "samples"


def tiny_image() -> Path:
    """The built-in image model, which draws coloured shapes: a folder with its file."""
    path = _PACKAGE / "data" / "tiny_image"
    if not (path / "model.gguf").is_file():
        message = "the installation lacks its built-in image model"
        raise InternalError(message, hint="install sphere-edge again")
    return path


def data_folder() -> Path:
    """Where what cannot be made again is kept for this user."""
    return platformdirs.user_data_path("sphere-edge", appauthor=False)


def cache_folder() -> Path:
    """Where builds and unpacked bundles are kept: the user's, or what CACHE_VARIABLE names."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("sphere-edge", appauthor=False)
