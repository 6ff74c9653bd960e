"""The command line: names, flags and help only; what a command does lives in sphere_edge/commands/.

One file per group of commands, each with its own Typer. A command function returns its work instead
of doing it. So Typer only parses, `__main__` alone turns errors into exit codes, and `--help`
imports nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from sphere_edge import __version__
from sphere_edge.cli import (
    bench,
    devices,
    measure,
    models,
    profiles,
    runtime,
    simulate,
    start,
    talk,
)
from sphere_edge.cli.flags import Action, help_unless_invoked

# Newer Typer carries its own click, older ones use the public one: this finds the right class.
_ClickUsageError: Any = typer.BadParameter.__base__
_QUOTED = re.compile(r"'([^']+)'")

app = typer.Typer(
    name="sphere-edge",
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    # Plain help: boxes leave too few columns for words, and markup eats what is in brackets.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# In the order of `--help`.
for group in (models, talk, measure, start, devices, simulate):
    app.add_typer(group.app)
app.add_typer(bench.app, name="bench")
app.add_typer(profiles.app, name="profiles")
app.add_typer(runtime.app, name="runtime")


class UsageError(Exception):
    """The command line itself is wrong; exit code 64."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def parse(words: Sequence[str]) -> Action | None:
    """The action of the command line `words`; None when it asked for help, which is printed.

    Raises UsageError.
    """
    try:
        result = typer.main.get_command(app).main(
            args=list(words), prog_name="sphere-edge", standalone_mode=False
        )
    except _ClickUsageError as error:
        command = error.ctx.command_path if error.ctx else "sphere-edge"
        message = error.format_message().removeprefix("Invalid value for ")
        message = _QUOTED.sub(r"`\1`", message).replace(": Input", ": input").rstrip(".")
        hint = f"see `{command} --help`"
        raise UsageError(message[:1].lower() + message[1:], hint) from error
    return result if callable(result) else None


@app.callback(invoke_without_command=True)
def sphere_edge(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> Action | None:
    """Put AI models on phones and edge boards: package, verify, run and measure them."""
    if version:

        def action() -> None:
            from sphere_edge import console

            console.write(__version__)

        return action
    help_unless_invoked(context)
    return None
