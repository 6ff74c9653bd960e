"""POST /v1/embeddings, asked by openai-python."""

from __future__ import annotations

from typing import Any

import numpy as np
import openai as package
import pytest
from openai import OpenAI


def test_texts_and_tokens_become_vectors(openai: OpenAI) -> None:
    texts = [f"the sky {number}" for number in range(10)]
    made = openai.embeddings.create(model="random", input=texts, encoding_format="float")
    assert [one.index for one in made.data] == list(range(10))
    vectors = np.array([one.embedding for one in made.data])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert made.usage.prompt_tokens == made.usage.total_tokens > 10
    # The client asks for base64 where nothing is said.
    alone = openai.embeddings.create(model="random", input=texts[3])
    assert np.allclose(alone.data[0].embedding, vectors[3], atol=1e-3)
    ids = openai.embeddings.create(model="random", input=[[5, 6], [7]])
    assert len(ids.data) == 2
    assert len(openai.embeddings.create(model="tiny", input=texts).data) == len(texts)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": "a", "dimensions": 3}, "dimensions"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": [5, 6, "a"]}, "input[2]"),
        ({"input": ["a", [5, 6]]}, "input[1]"),
        ({"input": [[5, 6], [5, "a"]]}, "input[1][1]"),
        ({"input": "the sky " * 9000}, None),
        ({"input": "a", "model": "tiny-whisper"}, None),
    ],
)
def test_what_has_no_vector_is_a_400(
    openai: OpenAI, fields: dict[str, Any], param: str | None
) -> None:
    with pytest.raises(package.BadRequestError) as caught:
        openai.embeddings.create(**{"model": "random", **fields})
    if param is not None:
        assert caught.value.param == param
