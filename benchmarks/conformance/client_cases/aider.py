"""aider: one message about a file, without its repository's features."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from cases import KEY, Case, Where, run


def _asked(where: Where, words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sky.py").write_text('COLOUR = "blue"\n')
        environment = {**os.environ, "OPENAI_API_BASE": where.url, "OPENAI_API_KEY": KEY}
        environment |= {
            "HOME": folder,
            "AIDER_ANALYTICS": "false",
            "LITELLM_LOCAL_MODEL_COST_MAP": "1",
        }
        command = [sys.executable, "-m", "aider", "--model", f"openai/{where.text}", "--no-git"]
        command += [
            "--yes-always",
            "--no-check-update",
            "--no-show-model-warnings",
            "--edit-format",
        ]
        command += ["ask", *words, "--message", "What colour is it?", "sky.py"]
        ended = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    assert re.search(r"Tokens: .* sent, [1-9]\d* received", ended.stdout), ended.stdout


def _cases() -> dict[str, Case]:
    words = {"chat": ["--no-stream"], "chat, stream": ["--stream"]}
    return {name: lambda where, more=more: _asked(where, more) for name, more in words.items()}


if __name__ == "__main__":
    run("aider-chat", _cases())
