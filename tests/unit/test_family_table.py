"""The table of families in the docs is that of the goldens and of what was measured with them."""

import json
import runpy
from pathlib import Path

from sphere_edge.formats import text_part
from sphere_edge.models.registry import FAMILIES

ROOT = Path(__file__).parents[2]


def made():
    return runpy.run_path(str(ROOT / "docs" / "make_family_table.py"))


def test_the_table_is_that_of_the_goldens():
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    told = "run `python tests/integration/check_family.py --goldens`"
    assert made()["page"](text) == text, told


def test_what_was_measured_belongs_to_goldens_and_lies_within_the_tolerance():
    measured = json.loads((ROOT / "tests" / "data" / "family_deviations.json").read_text())
    names = {path.stem for path in (ROOT / "tests" / "data" / "goldens").glob("*.json")}
    assert set(measured) <= names
    assert max(max(kinds.values()) for kinds in measured.values()) < 1e-4


def test_every_family_has_four_configurations_with_few_and_with_full_key_heads():
    found = made()["configurations"]()
    assert set(found) == set(FAMILIES.values()) | set(text_part.known())
    for family in FAMILIES.values():
        entries = found[family]
        assert len(entries) >= 4, family
        shares = {
            (config.get("num_key_value_heads") or 0) / config["num_attention_heads"]
            for _, config, _ in entries
        }
        assert 1 in shares, family
        assert min(shares) < 1, family
        text = made()["_also"]
        words = {word for _, config, tensors in entries for word in text(config, tensors)}
        assert {"tied", "untied"} <= words, family
        assert "odd number of heads" in words, family
