"""Speculative decoding with and without: an edit of a file, which repeats it, and free text.

    python benchmarks/speculative.py MODEL... [--draft-model MODEL] [--rounds 3] [--threads N]

Each MODEL is a bundle or .gguf file with a chat template, such as those of SmolLM2 that
benchmarks/smollm2_folder.py tells how to make. Each round answers every task in every way, one
after the other, greedily and from a computed prompt; figures are medians over the rounds. `same`:
whether the text is that without drafts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from sphere_edge import console
from sphere_edge.runtime.text import TextManager

_NEW_TOKENS = 200
_CONTEXT = 1024
_SOURCE = '''\
import json
from pathlib import Path


def load_settings(path):
    """Reads the settings of the program from a JSON file."""
    text = Path(path).read_text()
    settings = json.loads(text)
    if "timeout" not in settings:
        settings["timeout"] = 30
    return settings


def save_settings(path, settings):
    """Writes the settings of the program to a JSON file."""
    text = json.dumps(settings, indent=2)
    Path(path).write_text(text)
'''
_TASKS = {
    "edit": "Here is a file:\n\n```python\n"
    + _SOURCE
    + "```\n\nRepeat the whole file, and change the timeout from 30 to 60.",
    "free": "Write a short story about a lighthouse keeper who finds a letter.",
}


@dataclass
class Way:
    """One way to answer a task: what was measured of it."""

    request: dict[str, Any]
    text: str = ""
    drafted: int = 0
    accepted: int = 0
    tokens: int = 0
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def measure(self, text: TextManager, task: str) -> None:
        """Answers `task` once more."""
        messages = [{"role": "user", "content": _TASKS[task]}]
        usual = {"temperature": 0, "max_tokens": _NEW_TOKENS, "repeat_penalty": 1.0}
        before = _cpu_seconds()
        answer = text.chat(messages, **usual, **self.request)
        self.text, result = answer.text(), answer.result
        self.cpu_s.append(_cpu_seconds() - before)
        self.wall_s.append(result.decode_seconds)
        self.tokens = result.completion_tokens
        self.drafted, self.accepted = result.draft_tokens, result.accepted_tokens


def main() -> None:
    """Measures each model, and prints a table of it."""
    options = _options()
    for model in options.models:
        ways = _ways(with_model=options.draft_model is not None, draft_tokens=options.draft_tokens)
        measured = {task: {name: Way(way) for name, way in ways.items()} for task in _TASKS}
        with TextManager.open(
            model,
            threads=options.threads,
            context_tokens=_CONTEXT,
            draft_model=options.draft_model,
        ) as text:
            for number in range(options.rounds + 1):
                for task, each in measured.items():
                    # Computes the prompt, so that every way begins at its end.
                    Way({"draft": "off"}).measure(text, task)
                    for way in each.values():
                        way.measure(text, task)
                        if number == 0:
                            way.wall_s.clear()
                            way.cpu_s.clear()
                console.say(f"{model}: round {number} of {options.rounds}")
        _print(str(model), measured)
        if options.json is not None:
            with options.json.open("a") as file:
                file.write(json.dumps({"model": str(model), "measured": _plain(measured)}) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--draft-model", type=Path)
    parser.add_argument("--draft-tokens", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="also add all samples to this file, as lines")
    return parser.parse_args()


def _ways(*, with_model: bool, draft_tokens: int) -> dict[str, dict[str, Any]]:
    ways: dict[str, dict[str, Any]] = {
        "without": {"draft": "off"},
        "prompt lookup": {"draft": "prompt_lookup", "draft_tokens": draft_tokens},
    }
    if with_model:
        ways["draft model"] = {"draft": "model", "draft_tokens": draft_tokens}
    return ways


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _print(model: str, measured: dict[str, dict[str, Way]]) -> None:
    rows = []
    for task, ways in measured.items():
        plain = ways["without"]
        for name, way in ways.items():
            wall, cpu = median(way.wall_s), median(way.cpu_s)
            rows.append(
                (
                    task,
                    name,
                    str(way.tokens),
                    f"{way.tokens / wall:.1f}",
                    f"{median(plain.wall_s) / wall:.2f}",
                    f"{cpu:.2f}",
                    f"{median(plain.cpu_s) / cpu:.2f}",
                    f"{way.accepted} of {way.drafted}",
                    "yes" if way.text == plain.text else "no",
                )
            )
    console.say(model)
    heads = ("task", "drafts", "tokens", "tokens/s", "gain", "CPU s", "gain", "accepted", "same")
    console.write_table(heads, rows)


def _plain(measured: dict[str, dict[str, Way]]) -> dict[str, Any]:
    return {
        task: {name: vars(way) for name, way in ways.items()} for task, ways in measured.items()
    }


if __name__ == "__main__":
    main()
