"""`sphere-edge run`: answers one prompt, streamed to stdout."""

from __future__ import annotations

import dataclasses

from sphere_edge import console
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.packaging.opening import Opening, open_text
from sphere_edge.runtime import arguments
from sphere_edge.runtime.text_request import TextRequest


@dataclasses.dataclass(frozen=True)
class Prompt:
    """What to answer; `raw`: continue the text, without the model's chat template."""

    text: str
    system: str | None = None
    raw: bool = False


def run(opening: Opening, prompt: Prompt, request: TextRequest, *, as_json: bool) -> None:
    """A model without a chat template continues the text; `-` as the text reads stdin."""
    text = console.read_stdin("the prompt") if prompt.text == "-" else prompt.text
    arguments.utf8("the prompt", text)
    if not text.strip():
        message = "the prompt is empty"
        raise InvalidArgumentError(message, hint="give a text, or - to read it from stdin")
    for_template = [
        name
        for name, given in (
            ("--system", prompt.system),
            ("--chat-template-kwargs", request.chat_template_kwargs),
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
            plain = dataclasses.replace(request, chat_template_kwargs=None)
            stream = manager.generate(text, plain)
        else:
            system = [] if prompt.system is None else [{"role": "system", "content": prompt.system}]
            stream = manager.chat([*system, {"role": "user", "content": text}], request)
        shown = console.ResponseStream()
        for delta in stream.deltas():
            if not as_json:
                shown.show(delta.kind, delta.text)
        said = stream.message()
    if as_json:
        backend = {"backend": manager.info.backend, "backend_reason": reason}
        result = dataclasses.asdict(stream.result)
        reasoning = said.get("reasoning_content", "")
        console.write_json({"text": said["content"], "reasoning": reasoning, **backend, **result})
    else:
        console.write("")
