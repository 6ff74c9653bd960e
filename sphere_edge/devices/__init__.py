"""Devices: a file per way to reach one (local, ssh, adb), the probe, and the store on them."""
