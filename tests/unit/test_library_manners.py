"""What a library leaves alone: the environment of the process that imports it, and its terminal."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from sphere_edge import resources

# The process itself, whose environment and output are its own affair: here, and on a board.
PROGRAM = {"__main__.py", "boards/start.py", "server/on_board.py"}
CHANGES = {"setdefault", "pop", "update", "clear", "popitem"}
# Commands decide what is printed; everything below returns values or reports to its Progress.
# toolchain/early.py is a program of its own, which the Makefile runs.
MAY_PRINT = ("commands/", "cli/", "console.py", "toolchain/early.py")
PRINTING = {"say", "warn", "error", "write", "write_json", "write_table"}


def is_environ(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "environ"


def environment_changes(tree: ast.AST) -> Iterator[int]:
    """The lines on which os.environ is changed."""
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=value, ctx=ast.Store() | ast.Del()) if is_environ(value):
                yield node.lineno
            case ast.Call(func=ast.Attribute(value=value, attr=name)) if is_environ(value):
                if name in CHANGES:
                    yield node.lineno
            case ast.Attribute(attr="putenv" | "unsetenv"):
                yield node.lineno


def printing(tree: ast.AST) -> Iterator[int]:
    """The lines on which something is printed."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="print")):
                yield node.lineno
            case ast.Call(func=ast.Attribute(value=ast.Name(id="console"), attr=name)):
                if name in PRINTING:
                    yield node.lineno


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module of ours, by its path in the package, and what it says."""
    for path in sorted(resources.code().rglob("*.py")):
        name = path.relative_to(resources.code()).as_posix()
        if name not in PROGRAM:
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def test_no_module_changes_the_environment() -> None:
    found = [f"{name}:{line}" for name, tree in modules() for line in environment_changes(tree)]
    assert found == []


def test_only_commands_print() -> None:
    found = [
        f"{name}:{line}"
        for name, tree in modules()
        if not name.startswith(MAY_PRINT)
        for line in printing(tree)
    ]
    assert found == []


def test_each_way_to_print_is_found() -> None:
    code = (
        "print()\nconsole.say('a')\nconsole.human_bytes(1)\nprogress.say('b')\nconsole.write('c')"
    )
    assert list(printing(ast.parse(code))) == [1, 2, 5]


def test_each_way_to_change_it_is_found() -> None:
    code = (
        "os.environ['a'] = 'b'\ndel os.environ['a']\nos.environ.pop('a')\nos.environ.get('a')\n"
        "os.putenv('a', 'b')\nos.environ['a']\n"
    )
    assert list(environment_changes(ast.parse(code))) == [1, 2, 3, 5]
