"""What the native core can be built for: one value per system, architecture and CPU level."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from sphere_edge import errors
from sphere_edge.profiles import DeviceProfile
from sphere_edge.profiles.host_probe import probe

Feature = str


@dataclass(frozen=True)
class Target:
    """One machine to build for; `name` is part of the cache folder's name.

    `triple` is what zig's `-target` takes (None: the machine we run on) and `cpu` what its `-mcpu`
    takes; `features`, as in device profiles, are what the CPU must have to run the result.
    """

    name: str
    system: Literal["linux", "macos", "android", "ios"]
    triple: str | None
    cpu: str
    features: tuple[Feature, ...] = ()
    # Android and iOS have compilers of their own: zig holds neither's C++ library.
    compiler: Literal["zig", "ndk", "xcode"] = "zig"

    @property
    def architecture(self) -> str:
        """`aarch64` or `x86_64`, or empty for the machine we run on."""
        if self.triple is not None:
            return self.triple.split("-")[0]
        return "" if self.name == "host" else "aarch64"

    @property
    def libc(self) -> Literal["gnu", "musl"] | None:
        """The C library of a Linux target other than `host`; None for everything else."""
        if self.triple is None:
            return None
        return "musl" if "musl" in self.triple else "gnu"

    @property
    def is_static(self) -> bool:
        """Whether the runner is one file that needs nothing of the system but its kernel."""
        return self.libc == "musl"

    @property
    def is_tvm_from_source(self) -> bool:
        """Whether TVM's runtime is compiled along, because TVM has no libraries for it."""
        return self.is_static or self.system == "android"

    @property
    def library_suffix(self) -> str:
        """How a shared library's name ends there."""
        return ".dylib" if self.system in ("macos", "ios") else ".so"


# glibc 2.27 is that of JetPack 4, the oldest still in use, and what TVM's wheels ask for.
_ARM_GNU = "aarch64-linux-gnu.2.27"
_ARM_MUSL = "aarch64-linux-musl"
_X86_GNU = "x86_64-linux-gnu.2.28"
_X86_MUSL = "x86_64-linux-musl"

_ARM_DOTPROD = "generic+v8_2a+dotprod+fullfp16"
_ARM_I8MM = "generic+v8_2a+dotprod+fullfp16+i8mm"
_DOTPROD: tuple[Feature, ...] = ("neon", "dotprod", "fp16")
_I8MM: tuple[Feature, ...] = (*_DOTPROD, "i8mm")
_AVX2: tuple[Feature, ...] = ("avx2", "fma", "f16c")

_ALL = (
    Target("linux-arm64", "linux", _ARM_GNU, "generic", ("neon",)),
    Target("linux-arm64-dotprod", "linux", _ARM_GNU, _ARM_DOTPROD, _DOTPROD),
    Target("linux-arm64-i8mm", "linux", _ARM_GNU, _ARM_I8MM, _I8MM),
    Target("musl-arm64", "linux", _ARM_MUSL, "generic", ("neon",)),
    Target("musl-arm64-dotprod", "linux", _ARM_MUSL, _ARM_DOTPROD, _DOTPROD),
    Target("musl-arm64-i8mm", "linux", _ARM_MUSL, _ARM_I8MM, _I8MM),
    Target("linux-x86-64", "linux", _X86_GNU, "x86_64_v2"),
    Target("linux-x86-64-v3", "linux", _X86_GNU, "x86_64_v3", _AVX2),
    Target("linux-x86-64-vnni", "linux", _X86_GNU, "x86_64_v4+avx512vnni", (*_AVX2, "avx512vnni")),
    Target("musl-x86-64", "linux", _X86_MUSL, "x86_64_v2"),
    Target("android-arm64", "android", None, "generic", ("neon",), "ndk"),
    Target("android-arm64-dotprod", "android", None, _ARM_DOTPROD, _DOTPROD, "ndk"),
    Target("android-arm64-i8mm", "android", None, _ARM_I8MM, _I8MM, "ndk"),
    Target("ios-arm64", "ios", None, "generic", _DOTPROD, "xcode"),
)
NAMED = {target.name: target for target in _ALL}


def host() -> Target:
    """The machine we run on, with all that its CPU can do."""
    import platform

    system: Literal["linux", "macos"] = "macos" if platform.system() == "Darwin" else "linux"
    return Target("host", system, None, "native")


def host_levels() -> list[Target]:
    """The targets for Linux that this machine's CPU runs, the highest level first."""
    machine = probe()
    if machine.os != "linux":
        return []
    architecture = "arm64" if machine.triple.startswith("aarch64") else "x86-64"
    return _fitting(f"linux-{architecture}", machine.features)


def for_profile(profile: DeviceProfile) -> Target:
    """The target with the highest CPU level that `profile` still runs. Raises UnsupportedError."""
    if profile.name == "host":
        return host()
    architecture = "arm64" if profile.is_arm else "x86-64"
    found = best(f"{profile.os}-{architecture}", profile.cpu.features)
    if found is None:
        message = f"the runtime cannot be built for profile `{profile.name}` (`{profile.triple}`)"
        raise errors.UnsupportedError(message)
    return found


def best(family: str, features: Collection[Feature]) -> Target | None:
    """The target of `family`, as `linux-arm64`, with the highest level that `features` allow."""
    return next(iter(_fitting(family, features)), None)


def _fitting(family: str, features: Collection[Feature]) -> list[Target]:
    fitting = [
        target
        for target in _ALL
        if (target.name == family or target.name.startswith(f"{family}-"))
        and set(target.features) <= set(features)
    ]
    return sorted(fitting, key=lambda target: len(target.features), reverse=True)
