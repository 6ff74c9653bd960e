"""Writes the table in docs/models.md from the goldens: `python docs/make_family_table.py`.

What was measured comes from `python tests/integration/check_family.py --goldens`, which runs this.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from sphere_edge.formats import text_part

PAGE = Path(__file__).parent / "models.md"
_DATA = Path(__file__).parents[1] / "tests" / "data"
_BIAS = re.compile(r"layers\.\d+\.\w+\.\w*(proj|dense|fc1)\.bias$")
_BEGIN, _END = "<!-- families -->", "<!-- end of families -->"
# Families with one window for all layers.
_ALL_SLIDE = ("mistral", "phi3")
_KINDS = ("first token", "200 decoded", "in pieces", "after a rewind")
_COLUMNS = (
    *("family", "configurations", "heads (query / KV)", "windows", "RoPE", "options"),
    *("first token", "200 tokens later", "prompt in pieces", "after a rewind"),
)


def configurations() -> dict[str, list[tuple[str, dict[str, Any], list[str]]]]:
    """Name, config and tensors of every golden, by family."""
    found: dict[str, list[tuple[str, dict[str, Any], list[str]]]] = {}
    for path in sorted((_DATA / "goldens").glob("*.json")):
        fields = json.loads(path.read_text(encoding="utf-8"))
        entry = (path.stem, fields["config"], list(fields["tensors"]))
        found.setdefault(fields["config"]["model_type"], []).append(entry)
    return found


def table() -> str:
    """A line per family: what its configurations have, and the largest deviation of each call."""
    measured = json.loads((_DATA / "family_deviations.json").read_text(encoding="utf-8"))
    lines = [" | ".join(_COLUMNS), "|".join("---" for _ in _COLUMNS)]
    for family, entries in sorted(configurations().items()):
        entries = [
            (name, dict(text_part.config(config)), tensors) for name, config, tensors in entries
        ]
        configs = [config for _, config, _ in entries]
        known = [measured[name] for name, *_ in entries if name in measured]
        worst = [_worst([kinds[kind] for kinds in known], len(entries)) for kind in _KINDS]
        cells = (
            f"`{family}`",
            str(len(entries)),
            _each(f"{c['num_attention_heads']} / {_kv_heads(c)}" for c in configs),
            _each(_windows(c) for c in configs),
            _each(kind for c in configs for kind in _rope(c)),
            _each(word for _, c, tensors in entries for word in _also(c, tensors)),
            *worst,
        )
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" if "---" not in line else f"|{line}|" for line in lines)


def _worst(found: list[float], wanted: int) -> str:
    """The largest deviation, and of how many configurations, where some were not measured yet."""
    if not found:
        return "not measured"
    return f"{max(found):.1e}" + ("" if len(found) == wanted else f" ({len(found)} of {wanted})")


def _each(words: Any) -> str:
    return ", ".join(sorted({word for word in words if word})) or "-"


def _kv_heads(config: dict[str, Any]) -> int:
    return int(config.get("num_key_value_heads") or config["num_attention_heads"])


def _windows(config: dict[str, Any]) -> str:
    """The window where one slides: most are shorter than the prompt."""
    width = config.get("sliding_window")
    used = config.get("use_sliding_window", True) and width is not None
    kinds = config.get("layer_types")
    if not used or (kinds is not None and "sliding_attention" not in kinds):
        return ""
    everywhere = config["model_type"] in _ALL_SLIDE if kinds is None else len(set(kinds)) == 1
    return f"{width}{' in all layers' if everywhere else ''}"


def _rope(config: dict[str, Any]) -> list[str]:
    """The kinds of scaling, one per layer type where the config tells them apart."""
    table = config.get("rope_parameters") or config.get("rope_scaling") or {}
    tables = [part for part in table.values() if isinstance(part, dict)] or [table]
    return [str(part.get("rope_type") or part.get("type") or "default") for part in tables]


def _also(config: dict[str, Any], tensors: list[str]) -> list[str]:
    """What else is unusual about a configuration."""
    heads = config["num_attention_heads"]
    usual = config["hidden_size"] / heads
    return [
        "odd number of heads" if heads % 2 else "",
        "explicit head size" if (config.get("head_dim") or usual) != usual else "",
        "untied" if any(name.endswith("lm_head.weight") for name in tensors) else "tied",
        "biases" if any(_BIAS.search(name) for name in tensors) else "",
        "mxfp4" if any(name.endswith("_blocks") for name in tensors) else "",
    ]


def page(text: str) -> str:
    """The page with a fresh table between its marks."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n\n{table()}\n\n{_END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
