"""What the native core can be built for: one value per system, architecture and CPU level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sphere_edge import errors
from sphere_edge.profiles import DeviceProfile

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
    def library_suffix(self) -> str:
        """How a shared library's name ends there."""
        return ".dylib" if self.system in ("macos", "ios") else ".so"


# glibc 2.28 is that of Debian 10 and of the oldest JetPack still in use.
_ARM_GNU = "aarch64-linux-gnu.2.28"
_ARM_MUSL = "aarch64-linux-musl"
_X86_GNU = "x86_64-linux-gnu.2.28"

_ARM_DOTPROD = "generic+v8_2a+dotprod+fullfp16"
_ARM_I8MM = "generic+v8_2a+dotprod+fullfp16+i8mm"
_DOTPROD: tuple[Feature, ...] = ("neon", "dotprod", "fp16")
_I8MM: tuple[Feature, ...] = (*_DOTPROD, "i8mm")
_AVX2: tuple[Feature, ...] = ("avx2", "fma", "f16c")

_ALL = (
    Target("linux-arm64", "linux", _ARM_GNU, "generic", ("neon",)),
    Target("linux-arm64-dotprod", "linux", _ARM_GNU, _ARM_DOTPROD, _DOTPROD),
    Target("linux-arm64-i8mm", "linux", _ARM_GNU, _ARM_I8MM, _I8MM),
    Target("musl-arm64-dotprod", "linux", _ARM_MUSL, _ARM_DOTPROD, _DOTPROD),
    Target("musl-arm64-i8mm", "linux", _ARM_MUSL, _ARM_I8MM, _I8MM),
    Target("linux-x86-64", "linux", _X86_GNU, "x86_64_v2"),
    Target("linux-x86-64-v3", "linux", _X86_GNU, "x86_64_v3", _AVX2),
    Target("linux-x86-64-vnni", "linux", _X86_GNU, "x86_64_v4+avx512vnni", (*_AVX2, "avx512vnni")),
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


def for_profile(profile: DeviceProfile) -> Target:
    """The target with the highest CPU level that `profile` still runs. Raises UnsupportedError."""
    if profile.name == "host":
        return host()
    architecture = "arm64" if profile.triple.split("-")[0] in ("aarch64", "arm64") else "x86-64"
    fitting = [
        target
        for target in _ALL
        if target.name.startswith(f"{profile.os}-{architecture}")
        and set(target.features) <= set(profile.cpu.features)
    ]
    if not fitting:
        message = f"the runtime cannot be built for profile `{profile.name}` (`{profile.triple}`)"
        raise errors.UnsupportedError(message)
    return max(fitting, key=lambda target: len(target.features))
