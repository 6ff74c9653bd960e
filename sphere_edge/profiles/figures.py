"""The figures of device profiles as text, one by one or several devices side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sphere_edge import console
from sphere_edge.profiles.profile import DeviceProfile


def figures(profile: DeviceProfile) -> list[tuple[str, str, str]]:
    """Name, value and source of every figure."""
    fields = profile.model_dump(mode="json", exclude_none=True, exclude={"sources"})
    rows = [
        (figure, shown(figure, value), profile.source(figure) or "")
        for figure, value in _flat(fields, "")
    ]
    after = [figure for figure, *_ in rows].index("triple") + 1
    return [*rows[:after], ("oldest system", profile.oldest_system, ""), *rows[after:]]


def compared(profiles: Sequence[DeviceProfile]) -> list[tuple[str, ...]]:
    """A row per figure with the value of each profile; ` *` after its name where they differ."""
    known = [{figure: value for figure, value, _ in figures(one)} for one in profiles]
    rows = []
    for figure in _order(known):
        values = [one.get(figure, "-") for one in known]
        rows.append((figure if len(set(values)) == 1 else f"{figure} *", *values))
    return rows


def _flat(fields: dict[str, object], group: str) -> Iterator[tuple[str, object]]:
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{group}{name}.")
        else:
            yield f"{group}{name}", value


def _order(known: list[dict[str, str]]) -> list[str]:
    """All figures of several devices; one that the first lacks follows its neighbour."""
    order: list[str] = []
    for values in known:
        at = 0
        for figure in values:
            if figure not in order:
                order.insert(at, figure)
            at = order.index(figure) + 1
    return order


def shown(figure: str, value: object) -> str:
    """`value` with the unit of its figure; `-` for None."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int):
        return str(value)
    # Bandwidth and arithmetic are given in decimal units everywhere, memory in binary ones.
    if figure.endswith("flops_per_s"):
        return f"{value / 1e12:.2f} TFLOPS"
    if figure.endswith("per_s"):
        return f"{value / 1e9:.1f} GB/s"
    return console.human_bytes(value) if "bytes" in figure else str(value)
