"""What a device is and has right now: one small shell script's answers as typed values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sphere_edge import errors, whole_number
from sphere_edge.devices import sensors
from sphere_edge.devices.device import Device
from sphere_edge.devices.sensors import Sensor
from sphere_edge.profiles import host_probe

# The last section of one script are the sensors; nothing may come after them but the end.
_SCRIPT = Path(__file__).with_name("probe.sh").read_text("utf-8") + sensors.SCRIPT + "section end\n"
_TEXT_LIMIT = 120
_LIST_LIMIT = 512

Os = Literal["linux", "android", "macos"]


@dataclass(frozen=True)
class Cluster:
    """Cores of one kind."""

    cores: int
    max_mhz: int | None


@dataclass(frozen=True)
class Probe:
    """A device as it is now. What it does not report is None or empty, never a guess."""

    os: Os
    os_release: str | None
    kernel: str | None
    architecture: str
    libc: Literal["gnu", "musl", "bionic"] | None
    model: str | None
    soc: str | None
    cpu_model: str | None
    # Our names, the ones of DeviceProfile.cpu.features.
    cpu_features: tuple[str, ...]
    cores: int | None
    # Physical cores at more than half the speed of the fastest, as the runtime counts them.
    performance_cores: int | None
    # Fastest first.
    clusters: tuple[Cluster, ...]
    memory_total_bytes: int | None
    # What a new program could take without swapping: free and reclaimable, within the cgroup.
    memory_available_bytes: int | None
    storage_free_bytes: int | None
    page_bytes: int | None
    gpu: str | None
    gpu_driver: str | None
    sensors: tuple[Sensor, ...]
    # Free memory of the GPU's own; None where it shares the RAM or is not known.
    gpu_memory_available_bytes: int | None = None


def probe(device: Device, *, folder: str | None = None, sysfs: str = "/sys") -> Probe:
    """Asks `device`; free storage is that of `folder` (by default where the store goes).

    `sysfs` is where the device's sensors are looked for.
    Raises UnavailableError: no answer, or none that can be read.
    """
    path = folder or device.default_store
    path = path.removeprefix("~/")
    completed = device.run(["sh", "-s", "--", path, sysfs], stdin=_SCRIPT.encode(), timeout_s=30)
    return parse(completed.stdout, device.uri)


def parse(text: str, uri: str) -> Probe:
    """Reads what probe.sh printed. Raises UnavailableError if it is not that."""
    sections = parse_sections(text)
    if "end" not in sections:
        message = f"{uri} does not answer the probe: {_clean(text[:_TEXT_LIMIT]) or 'no output'}"
        hint = "a POSIX shell is needed there"
        raise errors.UnavailableError(message, hint=hint)
    system, kernel, machine = ([*sections.get("uname", []), "", "", ""])[:3]
    properties = _pairs(sections.get("getprop", []))
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(machine, machine)
    os = _OS.get("Android" if properties.get("ro.build.version.sdk") else system)
    if os is None:
        message = f"{uri} runs `{_clean(system) or 'an unknown system'}`"
        raise errors.UnsupportedError(message, hint="Linux and Android devices are supported")
    clusters = _clusters(sections.get("cpus", []))
    online = _number(_line(sections, "online"))
    memory = _memory(sections)
    capabilities = _auxv(sections.get("auxv", []))
    gpu, driver = _gpu(sections, properties)
    return Probe(
        os=os,
        os_release=_os_release(sections, properties),
        kernel=_clean(kernel),
        architecture=_clean(machine) or "unknown",
        libc=_libc(sections.get("libc", [])),
        model=_model(sections, properties),
        soc=_soc(sections, properties),
        cpu_model=_cpu_model(sections.get("cpuinfo", [])),
        cpu_features=_features(machine, sections, capabilities),
        cores=online or (sum(cluster.cores for cluster in clusters) or None),
        performance_cores=_performance_cores(sections, online),
        clusters=clusters,
        memory_total_bytes=memory[0],
        memory_available_bytes=memory[1],
        storage_free_bytes=free_storage(sections.get("storage", [])),
        page_bytes=capabilities.get(_AT_PAGESZ) or _number(_line(sections, "page")),
        gpu=gpu,
        gpu_driver=driver,
        sensors=sensors.parse(sections.get("sensors", [])),
        gpu_memory_available_bytes=_gpu_memory(sections.get("gpu memory", [])),
    )


_OS: dict[str, Os] = {"Linux": "linux", "Android": "android", "Darwin": "macos"}
# linux/include/uapi/linux/auxvec.h.
_AT_PAGESZ = 6
# "CPU part" of /proc/cpuinfo for implementer 0x41, Arm (Arm's MIDR_EL1 part numbers).
_ARM_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd0d": "Cortex-A77",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
    "0xd42": "Cortex-A78AE",
    "0xd44": "Cortex-X1",
    "0xd46": "Cortex-A510",
    "0xd47": "Cortex-A710",
    "0xd48": "Cortex-X2",
    "0xd49": "Neoverse-N2",
    "0xd4d": "Cortex-A715",
    "0xd4e": "Cortex-X3",
    "0xd4f": "Neoverse-V2",
    "0xd80": "Cortex-A520",
    "0xd81": "Cortex-A720",
    "0xd82": "Cortex-X4",
}


def parse_sections(text: str) -> dict[str, list[str]]:
    """Lines that are not blank by the `== name` line before them; the first of a name counts."""
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("== "):
            lines = []
            sections.setdefault(line[3:], lines)
        elif line.strip():
            lines.append(line.strip())
    return sections


def _clean(text: str | None) -> str | None:
    """`text` from a device made fit for a terminal and a table; None if nothing is left."""
    printable = "".join(char if char.isprintable() else " " for char in (text or ""))
    return " ".join(printable.split())[:_TEXT_LIMIT] or None


def _line(sections: dict[str, list[str]], section: str) -> str | None:
    lines = sections.get(section, [])
    return lines[0] if lines else None


def _number(text: str | None) -> int | None:
    """A positive number below 2^63, or None."""
    return whole_number.parse((text or "").strip()) or None


def _pairs(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition("=") for line in lines)
    return {key: value for key, _, value in pairs if value}


def _os_release(sections: dict[str, list[str]], properties: dict[str, str]) -> str | None:
    if release := properties.get("ro.build.version.release"):
        return _clean(f"Android {release}")
    return _clean(_pairs(sections.get("os-release", [])).get("PRETTY_NAME", "").strip('"'))


def _libc(lines: list[str]) -> Literal["gnu", "musl", "bionic"] | None:
    output = " ".join(lines)
    if "/system/bin/linker64" in output:
        return "bionic"
    if "glibc" in output or "ld-linux" in output:
        return "gnu"
    return "musl" if "ld-musl" in output else None


def _model(sections: dict[str, list[str]], properties: dict[str, str]) -> str | None:
    phone = (properties.get("ro.product.manufacturer", ""), properties.get("ro.product.model", ""))
    return (
        _clean(" ".join(phone))
        or _clean(_line(sections, "device-tree"))
        or _clean(_line(sections, "dmi"))
    )


def _soc(sections: dict[str, list[str]], properties: dict[str, str]) -> str | None:
    named = (properties.get("ro.soc.manufacturer", ""), properties.get("ro.soc.model", ""))
    # `compatible` names the board first and the SoC last.
    compatible = sections.get("device-tree", [])[1:]
    return (
        _clean(" ".join(named))
        or _clean(properties.get("ro.board.platform"))
        or _clean(compatible[-1] if compatible else None)
    )


def _cpu_model(lines: list[str]) -> str | None:
    parts: list[str] = []
    for line in lines:
        key, _, value = (part.strip() for part in line.partition(":"))
        if key in ("model name", "Hardware") and value:
            return _clean(value)
        if key == "CPU part" and len(parts) < _LIST_LIMIT:
            parts.append(_ARM_PARTS.get(value.lower(), value))
    # Each kind once, the last cores (the fast ones on phones) first.
    return _clean(" + ".join(dict.fromkeys(reversed(parts))))


def _features(
    machine: str, sections: dict[str, list[str]], capabilities: dict[int, int]
) -> tuple[str, ...]:
    if machine == "aarch64" and (features := host_probe.arm_features(capabilities)) is not None:
        return features
    if machine not in ("aarch64", "x86_64"):
        return ()
    return host_probe.linux_cpu("\n".join(sections.get("cpuinfo", [])), machine == "aarch64")[1]


def _auxv(lines: list[str]) -> dict[int, int]:
    words = re.findall(r"\b[0-9a-f]{16}\b", " ".join(lines[:_LIST_LIMIT]))
    numbers = [int(word, 16) for word in words]
    return dict(zip(numbers[0::2], numbers[1::2], strict=False))


def _clusters(lines: list[str]) -> tuple[Cluster, ...]:
    counts: dict[tuple[int, int], int] = {}
    for line in lines[:_LIST_LIMIT]:
        fields = line.split()
        if len(fields) < 3:
            continue
        kind = (_number(fields[1]) or 0, _number(fields[2]) or 0)
        counts[kind] = counts.get(kind, 0) + 1
    return tuple(
        Cluster(cores, kind[0] // 1000 or None)
        for kind, cores in sorted(counts.items(), reverse=True)
    )


def _performance_cores(sections: dict[str, list[str]], online: int | None) -> int | None:
    """See Probe.performance_cores; a container's share of time (cgroup v2 `cpu.max`) counts."""
    speeds: dict[str, int] = {}
    for line in sections.get("cpus", [])[:_LIST_LIMIT]:
        number, frequency, capacity, *siblings = [*line.split(), "-", "-"][:4]
        speed = _number(capacity) or _number(frequency) or 0
        # Threads of one core share its arithmetic units.
        core = siblings[0] if siblings and siblings[0] != "-" else number
        speeds[core] = max(speed, speeds.get(core, 0))
    if not speeds:
        return online
    fast = sum(2 * speed > max(speeds.values()) or speed == 0 for speed in speeds.values())
    quota, period = ([*(_line(sections, "cgroup-cpu") or "").split(), "", ""])[:2]
    share = (_number(quota) or 0) / (_number(period) or 1)
    return max(1, min(fast, online or fast, round(share) or fast))


def _memory(sections: dict[str, list[str]]) -> tuple[int | None, int | None]:
    kib: dict[str, int] = {}
    for line in sections.get("meminfo", []):
        if found := re.fullmatch(r"(\w+):\s+(\d{1,15}) kB", line, re.ASCII):
            kib[found[1]] = int(found[2])
    total = kib.get("MemTotal")
    available = kib.get("MemAvailable")
    total_bytes = total * 1024 if total else None
    available_bytes = available * 1024 if available is not None else None
    limit, used = (_number(line) for line in [*sections.get("cgroup", []), "", ""][:2])
    if limit is not None and total_bytes is not None and limit < total_bytes:
        total_bytes = limit
        room = max(0, limit - (used or 0))
        available_bytes = room if available_bytes is None else min(available_bytes, room)
    return total_bytes, available_bytes


def free_storage(lines: Sequence[str]) -> int | None:
    """Bytes free, from the output of `df -k`; None if not found."""
    # A long device name is wrapped by some: count the fields from the end of the last line.
    fields = lines[-1].split() if len(lines) > 1 else []
    percent = next((at for at, field in enumerate(fields) if field.endswith("%")), 0)
    free = fields[percent - 1] if percent >= 1 else ""
    return int(free) * 1024 if re.fullmatch(r"\d{1,15}", free, re.ASCII) else None


def _gpu_memory(lines: list[str]) -> int | None:
    """The free bytes of the first of NVIDIA's GPUs, sections in MiB; a Jetson's answers `[N/A]`."""
    mebibytes = _number(lines[0]) if lines else None
    return mebibytes * 2**20 if mebibytes is not None and mebibytes < 2**40 else None


def _gpu(
    sections: dict[str, list[str]], properties: dict[str, str]
) -> tuple[str | None, str | None]:
    """The GPU's name and the driver that serves it."""
    lines = sections.get("gpu", [])
    pairs = _pairs(lines)
    name = next((value for key, value in pairs.items() if "kgsl" in key or "mali" in key), None)
    driver = properties.get("ro.hardware.vulkan") or properties.get("ro.hardware.egl")
    tegra = _line(sections, "tegra")
    if tegra or any("nvgpu" in line or "nvhost-gpu" in line for line in lines):
        name = name or "NVIDIA Tegra"
        driver = f"L4T {tegra.lstrip('# ')}" if tegra else "nvgpu"
    elif nvidia := pairs.get("/proc/driver/nvidia/version"):
        name, driver = name or "NVIDIA", nvidia.removeprefix("NVRM version:")
    return _clean(name or properties.get("ro.hardware.egl")), _clean(driver or pairs.get("drm"))
