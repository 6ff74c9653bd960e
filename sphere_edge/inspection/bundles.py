"""A bundle by its manifest: what it was made of and for, and its files."""

from __future__ import annotations

from sphere_edge.bundle.manifest import Manifest, Quality
from sphere_edge.console import human_bytes
from sphere_edge.inspection.description import Description, Table, facts


def describe(manifest: Manifest) -> Description:
    """All of the manifest as JSON, the most of it in tables."""
    text = manifest.text
    features = ", ".join(manifest.target.cpu_features) or "any"
    rows = [
        ("bundle", manifest.name),
        ("id", manifest.id),
        ("made for", f"{manifest.profile} ({manifest.target.triple}, CPU features: {features})"),
        ("made from", f"{manifest.provenance.source} {manifest.provenance.revision or ''}".strip()),
        ("engine", f"{manifest.engine} on {manifest.target.backend}"),
        ("family", manifest.family),
        ("parameters", f"{manifest.parameters:,} as {manifest.quantization}"),
        *([("context", f"{text.context_tokens:,} tokens, KV {text.kv_dtype}")] if text else []),
        ("memory", f"{human_bytes(manifest.memory.peak_bytes)} at its peak"),
        *([("quality", _quality(manifest.quality))] if manifest.quality else []),
    ]
    files = [(f.path, f.role, human_bytes(f.bytes), f.sha256) for f in manifest.files]
    return Description(
        tables=(facts(rows), Table(("FILE", "ROLE", "SIZE →", "SHA256"), files)),
        as_json=manifest.model_dump(mode="json"),
    )


def _quality(quality: Quality) -> str:
    return (
        f"KL divergence {quality.kl_divergence:g} nats, perplexity {quality.perplexity:g} instead "
        f"of {quality.reference_perplexity:g}, same likeliest token in "
        f"{100 * quality.top1_agreement:.2f} % ({quality.predictions:,} predictions, "
        f"{quality.text}, against {quality.reference})"
    )
