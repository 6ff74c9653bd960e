"""`sphere-edge run`: answers one prompt, streamed to stdout."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from sphere_edge import console, packaged_once
from sphere_edge.engines.options import check_context
from sphere_edge.errors import InvalidArgumentError


def run(
    bundle: Path,
    prompt: str,
    *,
    raw: bool,
    system: str | None,
    chat_template_kwargs: dict[str, Any] | None,
    max_tokens: int,
    temperature: float | None,
    seed: int | None,
    context_tokens: int | None,
    threads: int,
    backend: str | None,
    as_json: bool,
) -> None:
    """Through the model's chat template where it has one, unless `raw`; `-` reads stdin."""
    if prompt == "-":
        prompt = sys.stdin.read()
    if not prompt.strip():
        message = "the prompt is empty"
        raise InvalidArgumentError(message, hint="give a text, or - to read it from stdin")
    for name, given in (("--system", system), ("--chat-template-kwargs", chat_template_kwargs)):
        if raw and given is not None:
            message = f"{name} is for the chat template, which --raw leaves out"
            raise InvalidArgumentError(message, hint=f"leave out --raw or {name}")
    check_context(context_tokens)
    path = packaged_once.opened(bundle, console.progress())

    from sphere_edge.certify import here
    from sphere_edge.runtime.text import TextManager

    backend, refused = here.trusted(path, backend)
    opened = TextManager.open(path, context_tokens=context_tokens, threads=threads, backend=backend)
    with opened as text:
        reason = text.info.backend_reason or refused
        # What the runtime found out itself it has warned of.
        if refused:
            console.warn(f"{refused}; going on with `{text.info.backend}`")
        options: dict[str, Any] = {
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
        }
        if raw or not text.info.has_chat_template:
            stream = text.generate(prompt, **options)
        else:
            messages = [{"role": "system", "content": system}] if system is not None else []
            messages.append({"role": "user", "content": prompt})
            stream = text.chat(messages, chat_template_kwargs=chat_template_kwargs, **options)
        pieces = []
        for piece in stream:
            pieces.append(piece)
            if not as_json:
                console.write(piece, end="")
    if as_json:
        told = {
            "text": "".join(pieces),
            "backend": opened.info.backend,
            "backend_reason": reason,
        }
        console.write_json({**told, **dataclasses.asdict(stream.result)})
    else:
        console.write("")
