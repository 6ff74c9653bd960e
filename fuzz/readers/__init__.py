"""What of the Python package is fuzzed: each file has a `read` for the bytes of one format."""
