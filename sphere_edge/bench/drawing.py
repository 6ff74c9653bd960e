"""The style of plots: SVG in the colours of the page around it, so that they follow dark mode."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, TypeVar, cast

import matplotlib

# No display, and nothing outside the figures that are made here.
matplotlib.use("svg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Each is replaced by a variable of the page's style sheet.
INK, MUTED, GRID = "#010203", "#010204", "#010205"
SERIES = ("#010301", "#010302", "#010303", "#010304", "#010305", "#010306")
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    **{color: f"--series-{number}" for number, color in enumerate(SERIES, 1)},
}
# As Any: the type of its keys is a list of all that matplotlib knows.
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
}


Plot = TypeVar("Plot", bound=Callable[..., Any])


def styled(plot: Plot) -> Plot:
    """Runs `plot` in our style, whatever the process around us uses."""

    @functools.wraps(plot)
    def in_style(*given: Any) -> Any:
        with matplotlib.rc_context(_STYLE):
            return plot(*given)

    return cast("Plot", in_style)


def figure(width: float, height: float, rows: int, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of `width` × `height` inches with `rows` × `columns` all_axes, row by row."""
    made = Figure(figsize=(width, height), layout="constrained")
    made.set_facecolor("none")
    all_axes = made.subplots(rows, columns, squeeze=False).flatten()
    for axes in all_axes:
        axes.set_facecolor("none")
    return made, list(all_axes)


def svg(made: Figure, name: str, description: str) -> str:
    """The figure as one SVG element that a screen reader announces as `description`."""
    out = io.StringIO()
    # Fixed ids, so that the same measurement gives the same page; `name` keeps plots apart.
    with matplotlib.rc_context({"svg.hashsalt": f"sphere-edge {name}"}):
        made.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = out.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    for color, variable in _VARIABLES.items():
        drawn = drawn.replace(color, f"var({variable})")
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{escape(description)}" ', 1)


def line(axes: Axes, xs: Sequence[float], ys: Sequence[float], color: str, **how: Any) -> None:
    """A line; one point alone is drawn as such."""
    axes.plot(xs, ys, color=color, marker="o" if len(xs) < 40 else None, markersize=3.5, **how)
