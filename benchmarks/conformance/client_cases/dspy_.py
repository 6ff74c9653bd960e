"""dspy: a signature, in words and as JSON."""

from __future__ import annotations

import dspy
from cases import KEY, QUESTION, Case, Where, run


def _answered(where: Where, adapter: dspy.Adapter) -> None:
    model = dspy.LM(
        f"openai/{where.text}",
        api_base=where.url,
        api_key=KEY,
        max_tokens=100,
        temperature=0,
        cache=False,
        num_retries=0,
    )
    with dspy.context(lm=model, adapter=adapter):
        assert dspy.Predict("question -> colour")(question=QUESTION).colour


def _case(adapter: type[dspy.Adapter]) -> Case:
    return lambda where: _answered(where, adapter())


if __name__ == "__main__":
    run("dspy", {"chat": _case(dspy.ChatAdapter), "chat, schema": _case(dspy.JSONAdapter)})
