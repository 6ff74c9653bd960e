"""The reference of texts on both sides of LongRoPE's switch: their frequencies differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sphere_edge.bundle.reference_plan import Plan
from sphere_edge.compiler.reference import ReferenceModel, compute
from sphere_edge.compiler.reference_kernels import ReferenceKernels
from sphere_edge.engines.tvm import rope_switch
from sphere_edge.models.registry import Family
from sphere_edge.quantization.weights import WeightFormat


def reference_logits(
    made: Family,
    fmt: WeightFormat,
    stored: Mapping[str, Any],
    token_ids: Sequence[int],
    lengths: Sequence[int],
) -> NDArray[np.float32]:
    """Logits after texts of each of `lengths` (ascending), float32 [lengths, vocabulary].

    `stored`: the arrays of a bundle's weights. Each text is computed as if it were the whole one.
    """
    switch = rope_switch(made.build(ReferenceKernels(), fmt))
    most = len(token_ids) if switch is None else switch.tokens
    rows = []
    for kept, replaced in (
        ([length for length in lengths if length <= most], {}),
        (
            [length for length in lengths if length > most],
            {} if switch is None else {switch.parameter: switch.beyond},
        ),
    ):
        if not kept:
            continue
        kernels = ReferenceKernels()
        model = made.build(kernels, fmt)
        columns = tuple(range(model.shape.vocab))
        # Traced at the last of them: nothing else is kept of a row that no logits belong to.
        plan = Plan(tuple(token_ids[: kept[-1]]), (), tuple(kept), columns, (), 0)

        def load(name: str, replaced: Mapping[str, str] = replaced) -> Any:
            return stored[replaced.get(name, name)]

        reference, logits = compute(ReferenceModel(model, kernels), plan, model.shape.vocab, load)
        assert [row.token for row in reference.rows] == list(logits.argmax(axis=1))
        rows.append(logits)
    return np.concatenate(rows)
