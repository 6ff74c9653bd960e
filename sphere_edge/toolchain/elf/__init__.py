"""A linker for compiled models: the object files that TVM makes become an ELF shared library."""
