"""`sphere-edge embed`: prints a vector for each text."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sphere_edge import console
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.packaging.opening import Opening, open_text
from sphere_edge.runtime.embedding import EmbedRequest


def embed(opening: Opening, texts: Sequence[str], request: EmbedRequest, *, as_json: bool) -> None:
    """A line with a JSON list for each text, or one document; `-` reads texts from stdin."""
    if list(texts) == ["-"]:
        texts = [line for line in console.read_stdin("the texts").splitlines() if line.strip()]
    if not texts:
        message = "no text to embed"
        raise InvalidArgumentError(message, hint="give texts, or - to read lines from stdin")
    manager, _ = open_text(opening, console.progress())
    with manager:
        made = manager.embed(texts, request)
        if made.truncated:
            console.say(f"{made.truncated} of {len(texts)} texts were too long and cut off")
        # Nine digits give the same float32 again.
        vectors = [[float(f"{number:.9g}") for number in vector] for vector in made.vectors]
        if as_json:
            console.write_json(
                {"embeddings": vectors, "tokens": made.tokens, "truncated": made.truncated}
            )
            return
        for vector in vectors:
            console.write(json.dumps(vector))
