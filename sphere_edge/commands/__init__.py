"""One file per command; commands do not import each other."""
