"""The configurations of tests/data/goldens; each sets only what it is about.

`style` 4 or 5 says in which of the two config.json dialects a configuration is stored; without one
it is stored as it stands here.
"""

from __future__ import annotations

from typing import Any

import golden_ropes

from golden_cases import gemmas, glms, llamas, mixtures, nemotrons, others, phis, qwens, wrappers
from golden_cases.sizes import SMALL

__all__ = ["CASES", "SMALL"]

CASES: dict[str, dict[str, Any]] = {
    **llamas.CASES,
    **qwens.CASES,
    **phis.CASES,
    **gemmas.CASES,
    **glms.CASES,
    **nemotrons.CASES,
    **mixtures.CASES,
    **others.CASES,
    **wrappers.CASES,
    **golden_ropes.CASES,
}
