"""llm-comply's tests of Open Responses and Chat Completions against our server.

    pip install llm-comply jsonschema
    python benchmarks/conformance/comply.py MODEL

MODEL must have learned to call tools, as SmolLM2-135M-Instruct has (benchmarks/smollm2_folder.py
says where it is): the built-in one calls them until its context is full. Fails when a test fails
that is not listed here with its reason, and when a listed one passes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from served import Served, program, serving

from sphere_edge import console

_IMAGES = "the model that is asked reads none"
_LEFT_OUT = {
    "open-responses": {
        "image-input": _IMAGES,
        "compact-response": "compaction is not done: `truncation` shortens",
    },
    "openai-chat": {"chat-image-input": _IMAGES},
}


def main() -> None:
    """Runs both formats."""
    if len(sys.argv) != 2:
        sys.exit("which model?")
    with serving([f"model={sys.argv[1]}"]) as served:
        surprises = [one for form in _LEFT_OUT for one in _compared(served, form)]
    for one in surprises:
        console.write(one)
    sys.exit(bool(surprises))


def _compared(served: Served, form: str) -> list[str]:
    left_out = _LEFT_OUT[form]
    found = {one["id"]: one for one in _results(served, form)}
    failed = {id for id, one in found.items() if one["status"] not in ("passed", "skipped")}
    console.write(f"{form}: {len(found) - len(failed)} of {len(found)} passed")
    for id in sorted(failed & left_out.keys()):
        console.write(f"  left out: {id}: {left_out[id]}")
    return [
        *(f"failed: {id}: {found[id].get('errors')}" for id in sorted(failed - left_out.keys())),
        *(f"passed, and is listed: {id}" for id in sorted(left_out.keys() - failed)),
    ]


def _results(served: Served, form: str) -> list[dict[str, Any]]:
    command = [
        program("llm-comply"),
        "-u",
        f"{served.url}/v1",
        "-k",
        "none",
        "-m",
        "model",
        "--format",
        form,
    ]
    ended = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    return list(json.loads(ended.stdout)["results"])


if __name__ == "__main__":
    main()
