"""The command line: names, flags and help only; what a command does lives in sphere_edge/commands/.

One file per group of commands, each with its own Typer. A command function returns its work instead
of doing it. So Typer only parses, `__main__` alone turns errors into exit codes, and `--help`
imports nothing heavy.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from sphere_edge import __version__
from sphere_edge.cli.flags import Action, help_unless_invoked

# Newer Typer carries its own click, older ones use the public one: this finds the right class.
_ClickUsageError: Any = typer.BadParameter.__base__
_QUOTED = re.compile(r"'([^']+)'")
# The module of each group, in the order of `--help`, and its commands.
GROUPS = {
    "models": ("package", "inspect", "sign", "verify"),
    "talk": ("run", "chat", "embed", "transcribe", "imagine", "generate-image"),
    "serve": ("serve",),
    "measure": ("certify", "eval"),
    "start": ("doctor", "quickstart"),
    "sdk": ("sdk",),
    "devices": ("devices", "deploy", "rollback", "device"),
    "simulate": ("simulate",),
    "bench": ("bench",),
    "profiles": ("profiles",),
    "runtime": ("runtime",),
}
# Groups whose name is typed before the command's.
_NAMED = ("bench", "profiles", "runtime", "sdk")


class UsageError(Exception):
    """The command line itself is wrong; exit code 64."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def app(words: Sequence[str] = ()) -> typer.Typer:
    """The command line; if `words` name a command, only its group, which starts sooner.

    No option of the program itself takes a value, so the first word without a dash is the command.
    """
    command = next((word for word in words if not word.startswith("-")), None)
    groups = [name for name, commands in GROUPS.items() if command in commands] or list(GROUPS)
    root = typer.Typer(
        name="sphere-edge",
        add_completion=False,
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        # Plain help: boxes leave too few columns for words, and markup eats what is in brackets.
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    root.callback(invoke_without_command=True)(sphere_edge)
    for group in groups:
        module = importlib.import_module(f"sphere_edge.cli.{group}")
        root.add_typer(module.app, name=group if group in _NAMED else None)
    return root


def parse(words: Sequence[str]) -> Action | None:
    """The action of the command line `words`; None when it asked for help, which is printed.

    Raises UsageError.
    """
    try:
        result = typer.main.get_command(app(words)).main(
            args=list(words), prog_name="sphere-edge", standalone_mode=False
        )
    except _ClickUsageError as error:
        command = error.ctx.command_path if error.ctx else "sphere-edge"
        message = error.format_message().removeprefix("Invalid value for ")
        message = _QUOTED.sub(r"`\1`", message).replace(": Input", ": input").rstrip(".")
        hint = f"see `{command} --help`"
        raise UsageError(message[:1].lower() + message[1:], hint) from error
    return result if callable(result) else None


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
