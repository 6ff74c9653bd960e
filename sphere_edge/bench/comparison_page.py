"""The HTML page of a comparison: ratios with their intervals as a plot, and tables."""

from __future__ import annotations

from sphere_edge.bench import comparison_tables, report_file, tables
from sphere_edge.bench.compare import Comparison
from sphere_edge.bench.drawing import INK, SERIES, figure, styled, svg
from sphere_edge.bench.measurement import Measurement
from sphere_edge.bench.page import Head, Section, page


def render(baseline: Measurement, comparisons: list[Comparison]) -> str:
    """The page."""
    figures = [
        (f"{one.title}, run {number}", f"{one.ratio:.2f}", f"× ({one.result})")
        for number, comparison in enumerate(comparisons, 1)
        for one in comparison.ratios
        if one.title.startswith(("prefill", "decode", "sustained"))
    ]
    sections = [Section("Compared with the baseline", _ratios(comparisons))]
    for number, one in enumerate(comparisons, 1):
        sections.append(
            Section(
                f"Run {number}: {comparison_tables.name(one.measurement)}",
                None,
                tables.plain(comparison_tables.COLUMNS),
                comparison_tables.rows(one),
                note=comparison_tables.NOTE
                + (f" Differs: {'; '.join(one.differs)}." if one.differs else ""),
            )
        )
    raw = report_file.json_text(comparison_tables.as_json(baseline, comparisons, {}))
    title = f"{baseline.model}, {len(comparisons) + 1} runs compared"
    head = Head(title, f"baseline: {comparison_tables.name(baseline)}", figures)
    return page(head, sections, raw)


@styled
def _ratios(comparisons: list[Comparison]) -> str:
    titles = list(dict.fromkeys(one.title for some in comparisons for one in some.ratios))
    step = 1 / (len(comparisons) + 1)
    made, (axes,) = figure(9, 0.8 + 0.28 * len(titles) * (len(comparisons) + 1), 1)
    for number, (color, comparison) in enumerate(zip(SERIES * 9, comparisons, strict=False)):
        for one in comparison.ratios:
            at = titles.index(one.title) + (number + 1) * step - 0.5
            if one.low is not None and one.high is not None:
                axes.plot([one.low, one.high], [at, at], color=color, linewidth=2)
            first = one is comparison.ratios[0]
            label = f"run {number + 1}" if first else None
            axes.plot(one.ratio, at, "o", color=color, markersize=6, label=label)
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_yticks(range(len(titles)), titles)
    axes.set_ylim(len(titles) - 0.5, -0.5)
    axes.set_xlabel("times the baseline; right of 1 is better")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    ratios = "; ".join(
        f"run {number} {one.title} {one.ratio:.3f}"
        for number, comparison in enumerate(comparisons, 1)
        for one in comparison.ratios
    )
    return svg(made, "ratios", f"Ratios to the baseline. {ratios}.")
