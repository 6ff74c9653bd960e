"""The most that a device can do with a model, from its memory bandwidth and its arithmetic.

decode    every token reads all weights once and the cache half full on average:
          tokens/s <= bandwidth / (weights + KV cache / 2)
prefill   every token multiplies and adds once per parameter:
          tokens/s <= operations per second / (2 * parameters)

Williams, Waterman & Patterson 2009, "Roofline". Operations: of the GPU where the profile prefers
it, twice its float32 figure where it computes in float16; otherwise of the CPU, performance cores *
clock * operations per cycle, two 128-bit units per ARM core and two of 256 or 512 bits per x86
core. Measured speeds are lower: half of the bandwidth and a third of the arithmetic are good.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sphere_edge.bundle.manifest import Memory
from sphere_edge.fit.memory import Choice, ModelSpec, predict
from sphere_edge.profiles import DeviceProfile, Gpu

# Operations (a multiplication and an addition are two) that one core starts per cycle.
_PER_CYCLE = {"avx512vnni": 256, "avx2": 64, "i8mm": 128, "dotprod": 64, "neon": 16}
_CLUSTER = re.compile(r"(\d{1,4})x .*?(\d{1,4}(?:\.\d{1,9})?) GHz")


@dataclass(frozen=True)
class Roofline:
    """Upper bounds in tokens per second; None where the profile does not tell enough."""

    decode: float | None
    prefill: float | None


def roofline(family: str, spec: ModelSpec, choice: Choice, profile: DeviceProfile) -> Roofline:
    """The bounds for `spec`, a model of `family`, with `choice` on `profile`."""
    return bounds(family, predict(spec, choice), spec.parameters, profile)


def bounds(family: str, memory: Memory, parameters: int, profile: DeviceProfile) -> Roofline:
    """The same from the memory and size in a bundle's manifest."""
    if _is_mixture(family):
        return Roofline(None, None)
    moved = memory.weights_bytes + memory.kv_cache_bytes / 2
    bandwidth, operations = profile.memory.bandwidth_bytes_per_s, operations_per_s(profile)
    return Roofline(
        decode=bandwidth / moved if bandwidth else None,
        prefill=operations / (2 * parameters) if operations else None,
    )


def _is_mixture(family: str) -> bool:
    """Whether a token reads only some of the weights, which ones being unknown before."""
    return "moe" in family or family.replace("-", "_") == "gpt_oss"


def operations_per_s(profile: DeviceProfile) -> float | None:
    """What the profile's first choice of processor can do, as far as it is known."""
    if profile.backends[0] != "cpu":
        return _gpu_operations_per_s(profile.gpu) if profile.gpu else None
    hertz = _hertz(profile)
    known = [_PER_CYCLE[feature] for feature in profile.cpu.features if feature in _PER_CYCLE]
    return hertz * max(known) if hertz and known else None


def _gpu_operations_per_s(gpu: Gpu) -> float | None:
    if gpu.flops_per_s is None:
        return None
    # Two of float16 take the place of one of float32.
    return gpu.flops_per_s * (2.0 if gpu.half_precision else 1.0)


def _hertz(profile: DeviceProfile) -> float | None:
    """The clocks of all performance cores together; the clusters are listed fastest first."""
    left, total = profile.cpu.performance_cores, 0.0
    for cluster in profile.cpu.clusters:
        match = _CLUSTER.match(cluster)
        if match is None:
            return None
        cores = min(left, int(match[1]))
        total += cores * float(match[2]) * 1e9
        left -= cores
    return total if left == 0 and total else None
