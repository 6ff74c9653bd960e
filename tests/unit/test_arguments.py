"""Functions with more than four arguments take a dataclass."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "sphere_edge"
MOST = 4
# Why it has more. A function of the command line has an argument for each flag: Typer reads them.
KEPT = {"run.py run": "its keywords are those of subprocess.run, which every reader knows"}


def too_many() -> set[str]:
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith(("cli/", "_data/")):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                if sum(argument.arg not in ("self", "cls") for argument in given) > MOST:
                    found.add(f"{name} {node.name}")
    return found


def test_no_function_has_more_than_four_arguments_but_those_named() -> None:
    assert too_many() == set(KEPT)
