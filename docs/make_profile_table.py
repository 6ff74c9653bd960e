"""Writes the table in docs/profiles.md from the catalogue: `python docs/make_profile_table.py`."""

from __future__ import annotations

from pathlib import Path

from sphere_edge import profiles
from sphere_edge.console import human_bytes

PAGE = Path(__file__).parent / "profiles.md"
_BEGIN, _END = "<!-- catalogue -->", "<!-- end of catalogue -->"


def table() -> str:
    """The catalogue as Markdown, one line per device."""
    columns = (
        *("profile", "device", "chip", "system", "RAM", "for an app", "bandwidth"),
        *("GPU", "work groups", "backends"),
    )
    lines = [" | ".join(columns), "|".join("---" for _ in columns)]
    for name in profiles.names()[1:]:
        profile = profiles.load(name)
        memory = profile.memory
        bandwidth = memory.bandwidth_bytes_per_s
        entitled = f" ({human_bytes(memory.entitled_bytes)})" if memory.entitled_bytes else ""
        cells = (
            f"`{name}`",
            profile.title,
            profile.soc or "-",
            profile.os,
            human_bytes(memory.total_bytes),
            human_bytes(memory.usable_bytes) + entitled,
            f"{bandwidth / 1e9:.1f} GB/s" if bandwidth else "-",
            profile.gpu.name if profile.gpu else "-",
            _groups(profile.gpu.limits) if profile.gpu else "-",
            ", ".join(profile.backends),
        )
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" if "---" not in line else f"|{line}|" for line in lines)


def _groups(limits: profiles.GpuLimits) -> str:
    """`1024 threads, subgroups of 16, 32.0 KiB, buffers up to 1.00 GiB`, as far as it is known."""
    known = (
        f"{limits.group_threads} threads" if limits.group_threads else "",
        f"subgroups of {limits.subgroup_threads}" if limits.subgroup_threads else "",
        human_bytes(limits.group_memory_bytes) if limits.group_memory_bytes else "",
        f"buffers up to {human_bytes(limits.allocation_bytes)}" if limits.allocation_bytes else "",
    )
    return ", ".join(filter(None, known)) or "-"


def page(text: str) -> str:
    """The page with a fresh table between its marks."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n\n{table()}\n\n{_END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
