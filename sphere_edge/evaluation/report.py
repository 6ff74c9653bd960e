"""A comparison for people: rows of a table, and a plot of the divergence over the text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sphere_edge.errors import InvalidArgumentError
from sphere_edge.evaluation.comparison import Comparison
from sphere_edge.evaluation.figures import BLOCK_TOKENS, Interval
from sphere_edge.files import atomic_write

COLUMNS = ("MEASURED", "VALUE →", "95 % INTERVAL →")
PLOTS = (".svg", ".png")


def rows(comparison: Comparison) -> list[tuple[str, str, str]]:
    """One row per figure, as in `COLUMNS`."""
    return [
        ("perplexity of the reference", *_cells(comparison.reference_perplexity)),
        ("perplexity of the candidate", *_cells(comparison.candidate_perplexity)),
        ("candidate over reference", *_cells(comparison.perplexity_ratio)),
        ("KL divergence, mean (nats)", *_cells(comparison.divergence)),
        ("KL divergence, 99th percentile", f"{comparison.divergence_p99:.4g}", ""),
        ("same likeliest token", *_cells(comparison.agreement, percent=True)),
    ]


def check(path: Path) -> None:
    """InvalidArgumentError unless a plot can be written as `path`."""
    if path.suffix not in PLOTS:
        message = f"invalid value `{path.name}` for --plot"
        raise InvalidArgumentError(message, hint=f"end its name in one of: {', '.join(PLOTS)}")


def plot(comparison: Comparison, path: Path) -> None:
    """Divergence at every position with its running mean, as SVG or PNG by `path`'s suffix."""
    check(path)
    from matplotlib.figure import Figure

    divergence = comparison.each.divergence
    # A logarithmic axis has no zero.
    shown = np.maximum(divergence, 1e-7)
    kernel = np.ones(BLOCK_TOKENS) / BLOCK_TOKENS
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    axes.semilogy(shown, ".", markersize=2, color="#8fb8c9", label="each position")
    if len(divergence) > BLOCK_TOKENS:
        mean = np.convolve(shown, kernel, mode="valid")
        middle = np.arange(len(mean)) + BLOCK_TOKENS // 2
        axes.semilogy(middle, mean, color="#1f6f8b", label=f"mean of {BLOCK_TOKENS}")
    axes.axhline(comparison.divergence.value, color="#c8553d", linewidth=1, label="mean of all")
    axes.set_xlabel("position in the text (tokens)")
    axes.set_ylabel("KL divergence (nats)")
    axes.set_title(f"{comparison.candidate} against {comparison.reference}")
    axes.legend(loc="upper right", fontsize=8)
    with atomic_write(path) as partial:
        figure.savefig(partial)


def _cells(one: Interval, *, percent: bool = False) -> tuple[str, str]:
    def show(number: float) -> str:
        return f"{100 * number:.2f} %" if percent else f"{number:.4g}"

    known = np.isfinite(one.low)
    return show(one.value), f"{show(one.low)} to {show(one.high)}" if known else "text too short"
