"""`sphere-edge run`: answers one prompt, streamed to stdout."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from sphere_edge import console
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.packaging.opening import Opening, open_text
from sphere_edge.runtime import arguments
from sphere_edge.runtime.request_file import ChatRequest


@dataclasses.dataclass(frozen=True)
class Prompt:
    """What to answer; `raw`: continue the text, without the model's chat template.

    `images`: files that are shown before the text.
    """

    text: str
    system: str | None = None
    raw: bool = False
    images: tuple[Path, ...] = ()


def run(opening: Opening, prompt: Prompt, chat_request: ChatRequest, *, as_json: bool) -> None:
    """A model without a chat template continues the text; `-` as the text reads stdin."""
    text = console.read_stdin("the prompt") if prompt.text == "-" else prompt.text
    arguments.utf8("the prompt", text)
    if not text.strip():
        message = "the prompt is empty"
        raise InvalidArgumentError(message, hint="give a text, or - to read it from stdin")
    for_template = [
        name
        for name, given in (
            ("--image", prompt.images or None),
            ("--system", prompt.system),
            ("--chat-template-kwargs", chat_request.request.chat_template_kwargs),
            *((f"`{name}`", True) for name in chat_request.chat_fields()),
        )
        if given is not None
    ]
    if prompt.raw and for_template:
        message = f"{for_template[0]} is for the chat template, which --raw leaves out"
        raise InvalidArgumentError(message, hint=f"leave out --raw or {for_template[0]}")
    manager, reason = open_text(opening, console.progress())
    with manager:
        has_template = manager.info.has_chat_template
        if for_template and not has_template:
            message = f"{for_template[0]} is for a chat template, and the model has none"
            hint = f"leave out {for_template[0]}, or package the model with --chat-template FILE"
            raise InvalidArgumentError(message, hint=hint)
        if prompt.raw or not has_template:
            plain = dataclasses.replace(chat_request.request, chat_template_kwargs=None)
            stream = manager.generate(text, plain)
        else:
            system = [] if prompt.system is None else [{"role": "system", "content": prompt.system}]
            shown_first = [{"type": "image", "image": path} for path in prompt.images]
            content: Any = [*shown_first, {"type": "text", "text": text}] if shown_first else text
            messages = [*system, {"role": "user", "content": content}]
            request, options = chat_request.for_chat()
            stream = manager.chat(messages, request, options=options)
        shown = console.ResponseStream()
        for delta in stream.deltas():
            if not as_json and delta.kind in ("text", "reasoning"):
                shown.show(delta.kind, delta.text)
        said = stream.message()
    if as_json:
        backend = {"backend": manager.info.backend, "backend_reason": reason}
        result = dataclasses.asdict(stream.result)
        reasoning = said.get("reasoning_content", "")
        calls = {"tool_calls": said["tool_calls"]} if "tool_calls" in said else {}
        answer = {"text": said["content"], "reasoning": reasoning, **calls}
        console.write_json({**answer, **backend, **result})
        return
    console.write("")
    for call in said.get("tool_calls", ()):
        console.write(json.dumps(call["function"], ensure_ascii=False))
