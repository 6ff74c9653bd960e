"""The cases of tests/contract, and the models that they name, made once for all runners."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from sphere_edge import packaging
from sphere_edge.bundle.read import read_manifest
from sphere_edge.bundle.sign import sign
from sphere_edge.runtime import sound, wav
from sphere_edge.toolchain import cache as cache_folder
from tests import groups, made_bundles, random_gguf, signing

FOLDER = Path(__file__).parent / "contract"
APPS = FOLDER / "apps"
_SPEECH = "sphere_edge/data/tiny_whisper/samples/03.flac"
_MAKERS = ("tests/random_gguf.py", "tests/contract_cases.py")


@dataclass(frozen=True)
class Case:
    """A case as its file has it; `name` is unique among all."""

    name: str
    needs: frozenset[str]
    document: dict[str, Any]


@cache
def cases() -> tuple[Case, ...]:
    """All cases of every language, by file and place."""
    return _read(path for path in FOLDER.glob("*.json") if path.name != "schema.json")


@cache
def app_cases() -> tuple[Case, ...]:
    """Those of what only the libraries of apps do."""
    return _read(APPS.glob("*.json"))


def _read(files: Iterable[Path]) -> tuple[Case, ...]:
    listed = [one for path in sorted(files) for one in json.loads(path.read_text())["cases"]]
    return tuple(Case(one["name"], frozenset(one["needs"]), one) for one in listed)


def text_model() -> str:
    """Where the text model of the cases lies."""
    return str(made_bundles.made(packaging.TINY).folder)


@cache
def models() -> dict[str, str]:
    """Where each model and file lies that cases name; `missing` is nowhere.

    Other runners get it as a JSON document. Made once and kept in the user's cache folder.
    """
    key = groups.fingerprint((_SPEECH, *_MAKERS))[:16]
    made = cache_folder.folder() / "contract" / key
    with cache_folder.made_once(made) as making:
        if making is not None:
            random_gguf.write(making / "random.gguf")
            with sound.opened(groups.ROOT / _SPEECH) as speech:
                samples = np.concatenate(list(speech))
            (making / "speech.wav").write_bytes(wav.wav_of(samples))
    return {
        "text": text_model(),
        "audio": str(made_bundles.made(packaging.TINY_WHISPER).folder),
        "image": str(made_bundles.made(packaging.TINY_IMAGE).folder),
        "gguf": str(made / "random.gguf"),
        "speech": str(made / "speech.wav"),
        "missing": str(made / "missing"),
        **_signed(),
    }


def _signed() -> dict[str, str]:
    """The text model signed, and the key that signed it."""
    text = Path(text_model())
    folder = cache_folder.folder() / "contract" / f"signed-{read_manifest(text).id[:16]}"
    with cache_folder.made_once(folder) as making:
        if making is not None:
            shutil.copytree(text, making / "tiny")
            sign(making / "tiny", signing.key("release"))
            (making / "trusted.json").write_bytes(signing.trust_file(signing.key("release")))
    return {"signed": str(folder / "tiny"), "trusted": str(folder / "trusted.json")}
