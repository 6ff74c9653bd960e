"""A speech model: its sizes, and on which devices it fits in which format."""

from __future__ import annotations

from sphere_edge.bundle.manifest import Memory
from sphere_edge.console import human_bytes
from sphere_edge.engines import whisper_fit
from sphere_edge.formats import whisper
from sphere_edge.formats.source import ModelSource
from sphere_edge.inspection import formats_that_fit
from sphere_edge.inspection.description import Description, facts


def describe(source: ModelSource) -> Description:
    """Of a whisper.cpp file or a Whisper checkpoint."""
    sizes = whisper_fit.sizes(source.path)
    languages = whisper.languages(sizes.vocab_size)
    found = formats_that_fit.fits(sizes.best)
    smallest = min(sizes.weights_bytes, key=lambda name: sizes.weights_bytes[name])

    def memory(best: str | None) -> Memory:
        return sizes.memory(best or smallest)

    layers = f"{sizes.audio_layers} in the encoder, {sizes.text_layers} in the decoder"
    rows = [
        ("model", source.name),
        ("format", source.kind),
        ("family", "whisper"),
        ("parameters", f"{sizes.parameters:,}"),
        ("layers", f"{layers}, width {sizes.width}"),
        ("languages", str(languages) if languages > 1 else "English only"),
        *((f"as {name}", human_bytes(size)) for name, size in sizes.weights_bytes.items()),
    ]
    return Description(
        tables=(facts(rows), formats_that_fit.table(found, memory, "NEEDS →")),
        as_json={
            "name": source.name,
            "format": source.kind,
            "revision": source.revision,
            "family": "whisper",
            "parameters": sizes.parameters,
            "languages": languages,
            "weights_bytes": dict(sizes.weights_bytes),
            "fit": formats_that_fit.as_json(found, memory),
        },
    )
