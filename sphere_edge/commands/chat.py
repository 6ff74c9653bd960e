"""`sphere-edge chat`: a conversation in the terminal."""

from __future__ import annotations

import importlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from sphere_edge import console, packaged_once
from sphere_edge.engines.options import check_context
from sphere_edge.errors import CancelledError, InvalidArgumentError, UnsupportedError

_HELP = "/exit leaves, /reset starts anew, Ctrl-C stops an answer"


def chat(
    bundle: Path,
    *,
    system: str | None,
    chat_template_kwargs: dict[str, Any] | None,
    max_tokens: int,
    temperature: float | None,
    seed: int | None,
    context_tokens: int | None,
    threads: int,
    backend: str | None,
) -> None:
    """Reads lines until /exit or the end of input; each answer builds on all that was said."""
    check_context(context_tokens)
    path = packaged_once.opened(bundle, console.progress())

    from sphere_edge.certify import here
    from sphere_edge.runtime.text import TextManager

    backend, refused = here.trusted(path, backend)
    opened = TextManager.open(path, context_tokens=context_tokens, threads=threads, backend=backend)
    with opened as text:
        # What the runtime found out itself it has warned of.
        if refused:
            console.warn(f"{refused}; going on with `{text.info.backend}`")
        if not text.info.has_chat_template:
            message = f"the model of `{bundle}` has no chat template"
            raise UnsupportedError(message, hint=f"continue a text: sphere-edge run {bundle} '…'")
        beginning = [{"role": "system", "content": system}] if system is not None else []
        messages = list(beginning)
        if console.is_interactive():
            console.say(f"{text.info.name}: {_HELP}", style="dim")
            # Gives input() line editing and a history of this session.
            with suppress(ImportError):
                importlib.import_module("readline")
        while (line := _ask()) is not None:
            if line == "/exit":
                return
            if line == "/reset":
                messages = list(beginning)
            elif line.startswith("/"):
                console.say(_HELP, style="dim")
            elif line:
                messages.append({"role": "user", "content": line})
                options = {
                    "chat_template_kwargs": chat_template_kwargs,
                    "max_tokens": max_tokens,
                    "temperature": temperature,
                    "seed": seed,
                }
                answer = _answer(text, messages, options)
                if answer is None:
                    messages.pop()
                else:
                    messages.append({"role": "assistant", "content": answer})


def _ask() -> str | None:
    """The next line; None at the end of the input. Ctrl-C only empties the line, as in a shell."""
    while True:
        try:
            return input("> " if console.is_interactive() else "").strip()
        except EOFError:
            return None
        except KeyboardInterrupt:
            console.say(f"\n{_HELP}", style="dim")


def _answer(text: Any, messages: list[dict[str, str]], options: dict[str, Any]) -> str | None:
    """Streams the answer; what there is of it when it is stopped; None when there can be none."""
    pieces: list[str] = []
    stream = text.chat(messages, **options)
    try:
        for piece in stream:
            pieces.append(piece)
            console.write(piece, end="")
    except (KeyboardInterrupt, CancelledError):
        stream.close()
    except InvalidArgumentError as error:
        # The context is full: the conversation is kept, so that the user can still decide.
        console.error(error.message, error.hint or "/reset starts anew")
        return None
    console.write("")
    return "".join(pieces)
