"""The native core in Python: its C API through ctypes, and the managers on top of it."""
