"""Writes docs/cli.md from the command line's own help: `python docs/make_cli_reference.py`."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from sphere_edge import cli
from sphere_edge.errors import Status

OUT = Path(__file__).with_name("cli.md")
_HEAD = """\
# The command line

Made from the code by `python docs/make_cli_reference.py`; do not edit.

stdout carries data, stderr carries talk, progress and errors. `--json` writes one JSON document to
stdout, also when a command fails. `NO_COLOR` is honoured. A command that fails says why and what to
do:

```console
$ sphere-edge package ./qwen --profile pixel9000
error: no device profile named `pixel9000`

hint: choose one of: pixel9, pixel10, pixel8
```
"""


def reference() -> str:
    """The whole page."""
    parts = [_HEAD, _exit_codes()]
    for words, command in _commands((), typer.main.get_command(cli.app())):
        parts.append(f"## {' '.join(words)}\n\n{_section(words, command)}")
    return "\n".join(parts)


def _exit_codes() -> str:
    rows = "\n".join(f"| {code.value} | {code.name} |" for code in Status)
    return (
        "The exit code is the status code of `sphere_edge.h`, 64 for a wrong command line and 141 "
        f"where the reader\nof stdout has gone:\n\n| code | name |\n|---|---|\n{rows}\n"
    )


def _commands(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield words, command
        return
    for name, child in children.items():
        # A hidden one is the former name of another.
        if not child.hidden:
            yield from _commands((*words, name), child)


def _section(words: tuple[str, ...], command: Any) -> str:
    # From the parameters, not from the printed help, which differs between Typer's versions.
    parameters = [p for p in command.params if p.name != "help"]
    arguments = [p for p in parameters if p.param_type_name == "argument"]
    options = [p for p in parameters if p.param_type_name == "option" and not p.hidden]
    shown = "".join(f" {_metavar(argument)}" for argument in arguments)
    lines = [command.help.strip(), "", "```", f"sphere-edge {' '.join(words)}{shown} [OPTIONS]"]
    lines += ["```", ""]
    if parameters:
        lines += ["| argument or option | meaning | default |", "|---|---|---|"]
        lines += [f"| `{_metavar(p)}` | {p.help or ''} | |" for p in arguments]
        lines += [f"| `{_flags(p)}` | {p.help or ''} | {_default(p)} |" for p in options]
        lines.append("")
    examples = (command.epilog or "").split("\n")[2:]
    lines += ["```console", *(line.strip() for line in examples), "```", ""]
    return "\n".join(lines)


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _flags(option: Any) -> str:
    names = ", ".join(sorted(option.opts, key=len))
    if option.is_flag:
        return names
    return f"{names} {option.metavar or option.name.upper().replace('_', '-')}"


def _default(option: Any) -> str:
    if option.is_flag or option.default is None:
        return ""
    # As it is typed; how Python itself writes an enum differs between its versions.
    value = option.default.value if isinstance(option.default, Enum) else option.default
    return f"`{value}`"


if __name__ == "__main__":
    OUT.write_text(reference(), encoding="utf-8")
