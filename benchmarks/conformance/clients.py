"""Other people's clients, unchanged, against our server: which of them work, and with what.

    python -m venv others && others/bin/pip install openai openai-agents langchain-openai litellm
    python benchmarks/conformance/clients.py MODEL --python others/bin/python

Each file of client_cases/ uses one client as its own pages say, in the Python that `--python` names
(several: one for each set of packages that can be installed together); what is not installed there
is left out. MODEL answers. SmolLM2-135M-Instruct (benchmarks/smollm2_folder.py says where it is) is
one that has learned to call tools; `tiny` calls them until its context is full. Random models embed
and edit images, `tiny-whisper` and `tiny-image` do the rest. Prints a table, and fails when a case
fails that is not listed here with its reason.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE.parent.parent))

from served import serving  # noqa: E402  from this folder

from sphere_edge import console, resources  # noqa: E402
from tests import made_bundles, random_diffusion, random_gguf  # noqa: E402

_SAID = "close the door"
# By client and case, with the reason.
_LEFT_OUT = {
    ("instructor", "chat, json_object"): "the model repeats the schema that the client describes",
    ("dspy", "chat"): "the model does not keep to the form that the client describes",
    ("dspy", "chat, schema"): "the model leaves the fields out that the client describes",
}


def main() -> None:
    """All clients in all Pythons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model")
    parser.add_argument("--python", type=Path, action="append", required=True)
    parser.add_argument("--client", help="only this one, by its file's name")
    options = parser.parse_args()
    files = sorted((_HERE / "client_cases").glob(f"{options.client or '*'}.py"))
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(_models(options.model, Path(folder))) as at,
    ):
        where = json.dumps({"url": f"{at.url}/v1", "sound": str(_sound()), "said": _SAID})
        for python in options.python:
            for file in files:
                for one in _tried(python, file, where):
                    found[f"{one['client']} {one['version']}"].append(one)
    sys.exit(_told(found))


def _models(model: str, folder: Path) -> list[str]:
    embedding = random_gguf.write(folder / "random.gguf")
    edits = random_diffusion.write(folder / "reader.safetensors", with_encoder=True)
    return [
        f"model={model}",
        f"embedding={embedding}",
        "speech=tiny-whisper",
        f"image={made_bundles.made('tiny-image').folder}",
        f"edited={made_bundles.made(edits).folder}",
        "--store",
        str(folder / "responses.sqlite"),
    ]


def _sound() -> Path:
    samples = resources.speech_samples()
    texts = json.loads((samples / "samples.json").read_text())
    return samples / next(name for name, text in texts.items() if text == _SAID)


def _tried(python: Path, file: Path, where: str) -> list[dict[str, Any]]:
    ended = subprocess.run(
        [python, file, where],
        capture_output=True,
        text=True,
        check=False,
    )
    cases = [json.loads(line) for line in ended.stdout.splitlines()]
    if ended.returncode == 0 or "ModuleNotFoundError" in ended.stderr:
        return cases
    return [
        *cases,
        {"client": file.stem, "version": "?", "case": "start", "failed": ended.stderr[-500:]},
    ]


def _told(found: dict[str, list[dict[str, Any]]]) -> int:
    """The table; 1 when something is not as the list says."""
    surprises = []
    console.write("| client | works | does not |\n|---|---|---|")
    for client, cases in found.items():
        works = [one["case"] for one in cases if one["failed"] is None]
        fails = [one for one in cases if one["failed"] is not None]
        listed = [_LEFT_OUT.get((one["client"], one["case"])) for one in fails]
        why = "; ".join(
            f"{one['case']}: {reason or '?'}" for one, reason in zip(fails, listed, strict=True)
        )
        console.write(f"| {client} | {'; '.join(works)} | {why} |")
        surprises += [one for one, reason in zip(fails, listed, strict=True) if reason is None]
    for one in surprises:
        console.write(f"failed: {one['client']} {one['version']}, {one['case']}: {one['failed']}")
    return bool(surprises)


if __name__ == "__main__":
    main()
