"""Functions with more than four arguments take a dataclass; those from before become fewer."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "sphere_edge"
MOST = 4
# Whoever regroups one lowers this number. The command line's functions are Typer's: an argument
# is an option there.
LEFT = 37


def too_many() -> list[str]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith(("cli/", "_data/")):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                count = sum(argument.arg not in ("self", "cls") for argument in given)
                if count > MOST:
                    found.append(f"{name}:{node.lineno} {node.name} has {count}")
    return found


def test_no_function_gains_arguments_beyond_four() -> None:
    found = too_many()
    assert len(found) <= LEFT, "\n".join(found)
