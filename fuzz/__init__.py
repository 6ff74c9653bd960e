"""Coverage-guided fuzzing of what reads files, answers and requests of others (CONTRIBUTING.md).

    python -m fuzz [NAME ...] [--minutes N | --executions N] [--list]

A target is a file that hands bytes to one reader: of the Python package in `readers/`, under
atheris; of the native core in `core/`, under libFuzzer, AddressSanitizer and UBSan, its name with
`core-` in front. `corpus/FORMAT/` holds what both begin with.
"""
