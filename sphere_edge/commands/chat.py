"""`sphere-edge chat`: a conversation in the terminal."""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import TYPE_CHECKING

from sphere_edge import console
from sphere_edge.errors import CancelledError, InvalidArgumentError, UnsupportedError
from sphere_edge.packaging.opening import Opening, open_text
from sphere_edge.runtime import arguments
from sphere_edge.runtime.request_file import ChatRequest

if TYPE_CHECKING:
    # At run time it is imported when the model is opened, after the command line was checked.
    from sphere_edge.runtime.text import TextManager

_HELP = "/exit ends, /reset starts over, Ctrl-C stops a response"


def chat(opening: Opening, chat_request: ChatRequest, *, system: str | None) -> None:
    """Reads lines until /exit or the end of input; each response builds on the conversation."""
    if chat_request.options.tools:
        message = "nobody answers calls of tools here"
        hint = "use `sphere-edge run`, or `sphere-edge serve` with a client that has tools"
        raise InvalidArgumentError(message, hint=hint)
    text, _ = open_text(opening, console.progress())
    with text:
        if not text.info.has_chat_template:
            message = f"the model of `{opening.model}` has no chat template"
            hint = f"continue a text: sphere-edge run {opening.model} '…'"
            raise UnsupportedError(message, hint=hint)
        first = [{"role": "system", "content": system}] if system is not None else []
        messages = list(first)
        if console.is_interactive():
            console.say(f"{text.info.name}: {_HELP}", style="dim")
            # Gives input() line editing and a history of this session.
            with suppress(ImportError):
                importlib.import_module("readline")
        while (line := _read_line()) is not None:
            if line == "/exit":
                return
            if line == "/reset":
                messages = list(first)
            elif line.startswith("/"):
                console.say(_HELP, style="dim")
            elif line:
                messages.append({"role": "user", "content": line})
                response = _respond(text, messages, chat_request)
                if response is None:
                    messages.pop()
                else:
                    messages.append({"role": "assistant", "content": response})


def _read_line() -> str | None:
    """The next line; None at the end of the input. Ctrl-C only clears the line, as in a shell."""
    while True:
        try:
            line = input("> " if console.is_interactive() else "").strip()
            arguments.utf8("the message", line)
            return line
        except UnicodeDecodeError as error:
            message = f"the message is not {error.encoding.upper()} text"
            raise InvalidArgumentError(
                message, hint="convert it, for example with iconv"
            ) from error
        except EOFError:
            return None
        except KeyboardInterrupt:
            console.say(f"\n{_HELP}", style="dim")


def _respond(
    text: TextManager, messages: list[dict[str, str]], chat_request: ChatRequest
) -> str | None:
    """Streams the response; as far as it got when it is stopped; None when there can be none."""
    pieces: list[str] = []
    request, options = chat_request.for_chat()
    stream = text.chat(messages, request, options=options)
    shown = console.ResponseStream()
    try:
        for delta in stream.deltas():
            shown.show(delta.kind, delta.text)
            if delta.kind == "text":
                pieces.append(delta.text)
    except (KeyboardInterrupt, CancelledError):
        stream.close()
    except InvalidArgumentError as error:
        # The context is full: the conversation is kept, so that the user can still decide.
        console.error(error.message, error.hint or "/reset starts over")
        return None
    console.write("")
    return "".join(pieces)
