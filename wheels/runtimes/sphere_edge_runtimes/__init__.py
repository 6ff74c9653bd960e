"""Finished runtimes for devices; `sphere_edge.toolchain.prebuilt` finds them in data/."""
