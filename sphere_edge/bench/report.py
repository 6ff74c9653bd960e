"""A measurement for people: as a table, as Markdown, and as one HTML file with plots in it."""

from __future__ import annotations

import io
import json
from pathlib import Path

from sphere_edge.bench.measurement import Measurement, Series
from sphere_edge.console import human_bytes
from sphere_edge.errors import InvalidArgumentError

COLUMNS = ("MEASURED", "MEDIAN →", "P10 →", "P90 →", "UNIT", "SAMPLES →")
FORMATS = (".html", ".md", ".json")

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .75rem; border-bottom: 1px solid #ccc; text-align: right; }
th:first-child, td:first-child { text-align: left; }
svg { max-width: 100%; height: auto; }
details { margin: 1rem 0; }
pre { overflow-x: auto; background: #f4f4f4; color: #222; padding: 1rem; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>{{ subtitle }}</p>
{% for table in tables %}
<table>
<tr>{% for cell in table[0] %}<th>{{ cell }}</th>{% endfor %}</tr>
{% for row in table[1:] %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>
{% endfor %}
{{ plot }}
<details><summary>Raw samples</summary><pre>{{ raw }}</pre></details>
</body>
</html>
"""


def check(path: Path) -> None:
    """InvalidArgumentError unless `path` ends in a format that can be written."""
    if path.suffix not in FORMATS:
        message = f"a report cannot be written as `{path.name}`"
        raise InvalidArgumentError(message, hint=f"end its name in one of: {', '.join(FORMATS)}")


def write(measurement: Measurement, path: Path) -> None:
    """Writes the report in the format of `path`'s suffix, beside it first."""
    check(path)
    text = {".html": _html, ".md": markdown, ".json": _json}[path.suffix](measurement)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def rows(measurement: Measurement) -> list[tuple[str, ...]]:
    """One row per series, as in `COLUMNS`."""
    return [
        (
            one.title,
            _number(one.median),
            _number(one.percentile(10)),
            _number(one.percentile(90)),
            one.unit,
            str(len(one.samples)),
        )
        for one in measurement.series
    ]


def memory_rows(measurement: Measurement) -> list[tuple[str, str, str]]:
    """Predicted beside measured."""
    predicted = measurement.predicted
    if predicted is None:
        return [("peak", "-", human_bytes(measurement.peak_rss_bytes))]
    return [
        ("weights", human_bytes(predicted.weights_bytes), ""),
        ("KV cache", human_bytes(predicted.kv_cache_bytes), ""),
        ("workspace", human_bytes(predicted.workspace_bytes), ""),
        ("peak", human_bytes(predicted.peak_bytes), human_bytes(measurement.peak_rss_bytes)),
    ]


def subtitle(measurement: Measurement) -> str:
    """What was measured where, in one line."""
    return (
        f"{measurement.family} {measurement.quantization} by the {measurement.engine} engine, "
        f"{measurement.threads} threads, context {measurement.context_tokens}, "
        f"on {measurement.device}"
    )


def markdown(measurement: Measurement) -> str:
    """Two tables."""
    header = [column.removesuffix(" →").lower() for column in COLUMNS]
    lines = [f"# {measurement.model}", "", subtitle(measurement), ""]
    lines += _markdown_table([tuple(header), *rows(measurement)])
    lines += [
        "",
        *_markdown_table([("memory", "predicted", "measured"), *memory_rows(measurement)]),
    ]
    return "\n".join(lines) + "\n"


def _markdown_table(table: list[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table]
    return [lines[0], "|" + "---|" * len(table[0]), *lines[1:]]


def _json(measurement: Measurement) -> str:
    return json.dumps(measurement.as_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _html(measurement: Measurement) -> str:
    import jinja2
    import markupsafe

    header = tuple(column.removesuffix(" →").lower() for column in COLUMNS)
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return page.from_string(_PAGE).render(
        title=measurement.model,
        subtitle=subtitle(measurement),
        tables=[
            [header, *rows(measurement)],
            [("memory", "predicted", "measured"), *memory_rows(measurement)],
        ],
        # Our own drawing, whose texts matplotlib has escaped.
        plot=markupsafe.Markup(_plot(measurement)),
        raw=_json(measurement),
    )


def _plot(measurement: Measurement) -> str:
    """Every sample of every series, and memory, as one SVG element."""
    import matplotlib

    # No display and no state outside this figure; fixed ids, so that a report can be made again.
    matplotlib.use("svg")
    from matplotlib.figure import Figure

    count = len(measurement.series) + 1
    with matplotlib.rc_context({"svg.hashsalt": "sphere-edge", "font.size": 9}):
        figure = Figure(figsize=(9, 2.6 * ((count + 2) // 3)), layout="constrained")
        axes = figure.subplots((count + 2) // 3, 3, squeeze=False).flatten()
        for one, place in zip(measurement.series, axes, strict=False):
            _draw_series(place, one)
        _draw_memory(axes[count - 1], measurement)
        for place in axes[count:]:
            place.set_axis_off()
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    drawn = out.getvalue()
    return drawn[drawn.index("<svg") :]


def _draw_series(place: object, one: Series) -> None:
    from matplotlib.axes import Axes

    assert isinstance(place, Axes)
    place.plot(range(1, len(one.samples) + 1), one.samples, "o-", color="#1f6f8b", markersize=4)
    place.axhline(one.median, color="#c8553d", linewidth=1)
    place.set_title(f"{one.title}: {_number(one.median)} {one.unit}")
    place.set_ylim(bottom=0)
    place.set_xlabel("sample")


def _draw_memory(place: object, measurement: Measurement) -> None:
    from matplotlib.axes import Axes

    assert isinstance(place, Axes)
    mib = 2**20
    predicted = measurement.predicted
    if predicted is not None:
        rest = predicted.peak_bytes - (
            predicted.weights_bytes + predicted.kv_cache_bytes + predicted.workspace_bytes
        )
        bottom = 0.0
        for name, size in (
            ("weights", predicted.weights_bytes),
            ("KV cache", predicted.kv_cache_bytes),
            ("workspace", predicted.workspace_bytes),
            ("runtime", rest),
        ):
            place.bar("predicted", size / mib, bottom=bottom, label=name)
            bottom += size / mib
        place.legend(fontsize=7)
    place.bar("measured", measurement.peak_rss_bytes / mib, color="#666666")
    place.set_title(f"peak memory: {human_bytes(measurement.peak_rss_bytes)}")
    place.set_ylabel("MiB")


def _number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"
