"""What the machine we run on offers: CPU features, cores, memory, within our process's limits."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from sphere_edge.errors import UnsupportedError
from sphere_edge.run import run

# Feature names as in device profiles, and the flags of /proc/cpuinfo that all must be there.
_X86_FLAGS = {
    "avx2": {"avx2"},
    "fma": {"fma"},
    "f16c": {"f16c"},
    "avx512vnni": {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"},
}
_ARM_FLAGS = {
    "neon": {"asimd"},
    "dotprod": {"asimddp"},
    "fp16": {"asimdhp", "fphp"},
    "i8mm": {"i8mm"},
}
# https://developer.apple.com/documentation/kernel/1387446-sysctlbyname; all M-series have NEON.
_MAC_ARM_KEYS = {"dotprod": "FEAT_DotProd", "fp16": "FEAT_FP16", "i8mm": "FEAT_I8MM"}
_MAC_X86_WORDS = {"avx2": {"AVX2"}, "fma": {"FMA"}, "f16c": {"F16C"}}

# linux/include/uapi/linux/auxvec.h, linux/arch/arm64/include/uapi/asm/hwcap.h: (type, bit) of each.
_AT_HWCAP, _AT_HWCAP2 = 16, 26
_ARM_HWCAPS = {
    "neon": (_AT_HWCAP, 1),
    "fp16": (_AT_HWCAP, 10),
    "dotprod": (_AT_HWCAP, 20),
    "i8mm": (_AT_HWCAP2, 13),
}

_PROC_CPUINFO = Path("/proc/cpuinfo")
_PROC_AUXV = Path("/proc/self/auxv")
_CGROUP = Path("/sys/fs/cgroup")
_CPUS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Host:
    """The machine: `os` and `triple` as in device profiles, memory in bytes."""

    title: str
    os: str
    triple: str
    features: tuple[str, ...]
    performance_cores: int
    memory_bytes: int


def probe() -> Host:
    """Asks the system; UnsupportedError on anything but 64-bit x86 or ARM under Linux or macOS."""
    system, machine = platform.system(), platform.machine().lower()
    arm = machine in ("arm64", "aarch64")
    if system not in ("Linux", "Darwin") or not (arm or machine in ("x86_64", "amd64")):
        message = f"sphere-edge does not run on `{system} {machine}`"
        raise UnsupportedError(message, hint="use 64-bit Linux or macOS on x86-64 or ARM")
    if system == "Darwin":
        title, features = _mac_cpu(arm)
        # Always with a version: without one the object files carry no platform load command.
        triple = "arm64-apple-macosx13.0" if arm else "x86_64-apple-macosx13.0"
        name = "macos"
    else:
        title, features = linux_cpu(_PROC_CPUINFO.read_text("utf-8", "replace"), arm)
        if arm and (told := arm_features(_auxv())) is not None:
            features = told
        triple = "aarch64-unknown-linux-gnu" if arm else "x86_64-unknown-linux-gnu"
        name = "linux"
    return Host(title, name, triple, features, performance_cores(), memory_bytes())


def linux_cpu(cpuinfo: str, arm: bool) -> tuple[str, tuple[str, ...]]:
    """Title and features from /proc/cpuinfo: what every core has, as a thread may run on any."""
    fields = [line.partition(":") for line in cpuinfo.splitlines()]
    wanted, field = (_ARM_FLAGS, "Features") if arm else (_X86_FLAGS, "flags")
    cores = [set(value.split()) for key, _, value in fields if key.strip() == field]
    common = set.intersection(*cores) if cores else set()
    titles = [value.strip() for key, _, value in fields if key.strip() == "model name"]
    features = tuple(name for name, flags in wanted.items() if flags <= common)
    return titles[0] if titles else platform.machine(), features


def arm_features(capabilities: Mapping[int, int]) -> tuple[str, ...] | None:
    """What the kernel tells programs in their auxiliary vector; None if it holds nothing of it.

    Under an emulator cpuinfo may be another machine's.
    """
    if _AT_HWCAP not in capabilities:
        return None
    return tuple(
        name for name, (kind, bit) in _ARM_HWCAPS.items() if capabilities.get(kind, 0) >> bit & 1
    )


def _auxv() -> dict[int, int]:
    """Of this process: pairs of 64-bit words."""
    try:
        words = memoryview(_PROC_AUXV.read_bytes()).cast("Q").tolist()
    except (OSError, TypeError):
        return {}
    return dict(zip(words[0::2], words[1::2], strict=False))


def _mac_cpu(arm: bool) -> tuple[str, tuple[str, ...]]:
    def sysctl(key: str) -> str:
        return run(["/usr/sbin/sysctl", "-n", key], timeout_s=5, check=False).stdout.strip()

    title = sysctl("machdep.cpu.brand_string") or platform.machine()
    if arm:
        found = [f for f, key in _MAC_ARM_KEYS.items() if sysctl(f"hw.optional.arm.{key}") == "1"]
        return title, ("neon", *found)
    words = set(sysctl("machdep.cpu.features").split())
    words |= set(sysctl("machdep.cpu.leaf7_features").split())
    return title, tuple(name for name, needed in _MAC_X86_WORDS.items() if needed <= words)


def performance_cores() -> int:
    """Physical cores this process may use, without the small ones of a mixed CPU; at least 1."""
    if not hasattr(os, "sched_getaffinity"):
        # macOS has no affinity; it counts its performance cores by itself.
        output = run(
            ["/usr/sbin/sysctl", "-n", "hw.perflevel0.physicalcpu"], timeout_s=5, check=False
        ).stdout.strip()
        return int(output) if output.isdigit() else (psutil.cpu_count(logical=False) or 1)
    allowed = os.sched_getaffinity(0)
    capacity = {cpu: _number(_CPUS / f"cpu{cpu}" / "cpu_capacity") or 1024 for cpu in allowed}
    fast = [cpu for cpu in allowed if 2 * capacity[cpu] > max(capacity.values())]
    # Two threads of one core share its arithmetic units: a second one only disturbs.
    cores = {_core(cpu) for cpu in fast}
    return max(1, min(len(cores), _cgroup_cpus()))


def _core(cpu: int) -> tuple[int | None, int]:
    topology = _CPUS / f"cpu{cpu}" / "topology"
    core = _number(topology / "core_id")
    return _number(topology / "physical_package_id"), cpu if core is None else core


def _cgroup_cpus() -> int:
    """Whole CPUs' worth of time that a container's limit leaves (cgroup v2 `cpu.max`)."""
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        return max(1, round(int(quota) / int(period)))
    except (OSError, ValueError):
        # No limit: the file is missing outside a container and contains `max` in an unlimited one.
        return os.cpu_count() or 1


def memory_bytes() -> int:
    """Memory of this machine, or of the container it runs in."""
    limits = [
        _number(path)
        for path in (_CGROUP / "memory.max", _CGROUP / "memory" / "memory.limit_in_bytes")
    ]
    total: int = psutil.virtual_memory().total
    return min([total, *(limit for limit in limits if limit)])


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
