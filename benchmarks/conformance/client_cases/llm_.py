"""The command line llm, with a model of its extra-openai-models.yaml."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from cases import KEY, QUESTION, Case, Where, run

_WORDS = {
    "chat": ["--no-stream"],
    "chat, stream": [],
    "chat, tools": [
        "--functions",
        'def weather(city: str) -> str:\n    "The weather."\n    return "sunny"',
    ],
    "chat, schema": ["--schema", "name, age int"],
}


def _answered(where: Where, words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "extra-openai-models.yaml").write_text(
            f"- model_id: here\n  model_name: {where.text}\n  api_base: {where.url}\n"
            "  supports_tools: true\n  supports_schema: true\n"
        )
        options = ["-m", "here", "--key", KEY, "-o", "max_tokens", "60", "-o", "temperature", "0"]
        ended = subprocess.run(
            [sys.executable, "-m", "llm", *options, QUESTION, *words],
            env={**os.environ, "LLM_USER_PATH": folder},
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()
    if "--schema" in words:
        assert "name" in json.loads(ended.stdout)


def _cases() -> dict[str, Case]:
    return {
        name: lambda where, words=words: _answered(where, words) for name, words in _WORDS.items()
    }


if __name__ == "__main__":
    run("llm", _cases())
