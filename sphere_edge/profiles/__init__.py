"""Device profiles: what is known of a device that models are packaged for, one TOML file each.

Where several devices share a system on a chip, its CPU, GPU and memory bandwidth are given once, in
`device_profiles/socs/NAME.toml`; a profile with `soc = "NAME"` takes them from there, and may
override single figures.
"""

from sphere_edge.profiles.loading import describe, host, load, names, parse, read
from sphere_edge.profiles.profile import DeviceProfile, Gpu, GpuLimits

__all__ = [
    "DeviceProfile",
    "Gpu",
    "GpuLimits",
    "describe",
    "host",
    "load",
    "names",
    "parse",
    "read",
]
