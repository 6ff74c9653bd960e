"""Builds the native core and links models: pinned sources, compilers, targets, the cache."""
