"""A response as it grows: OpenAI's events in their order, and the document at the end.

created, in_progress, then for each item added, its parts and deltas, done; at last completed,
incomplete or failed. Ids never change. https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from sphere_edge.runtime.generation import Result
from sphere_edge.runtime.text_delta import TextDelta
from sphere_edge.server import logprobs
from sphere_edge.server.http_error import HttpError

Document = dict[str, Any]
# The one argument of a custom tool, which is a function to the model.
CUSTOM_INPUT = "input"


def new_id(prefix: str) -> str:
    """`resp_…`, `msg_…`, and so on."""
    return f"{prefix}_{uuid.uuid4().hex}"


class GrowingResponse:
    """Takes deltas, gives events; `document` is the response so far."""

    def __init__(self, document: Document, custom_tools: frozenset[str]) -> None:
        self.document = document
        self._custom_tools = custom_tools
        self._sequence_number = 0
        # The item that is being made, None between two.
        self._item: Document | None = None
        self._text: list[str] = []
        self._logprobs: list[Document] = []

    def begin(self) -> list[Document]:
        """The first two events."""
        return [
            self._event("response.created", response=self._snapshot()),
            self._event("response.in_progress", response=self._snapshot()),
        ]

    def add(self, delta: TextDelta) -> list[Document]:
        """The events of one delta."""
        if delta.kind == "tool_call_begin":
            return [*self._end_item(), *self._begin_call(delta)]
        if delta.kind == "tool_call_end":
            return self._end_item()
        if delta.kind == "tool_call_arguments":
            return self._arguments(delta)
        wanted = "message" if delta.kind == "text" else "reasoning"
        events = []
        if self._item is None or self._item["type"] != wanted:
            events = [*self._end_item(), *self._begin_text(wanted)]
        self._text.append(delta.text)
        found = logprobs.of_tokens(delta.logprobs)
        self._logprobs += found
        name = "output_text" if wanted == "message" else "reasoning_text"
        at = {"item_id": self._of_item("id"), **self._index(), "content_index": 0}
        more: Document = {"logprobs": found} if wanted == "message" else {}
        events.append(self._event(f"response.{name}.delta", **at, delta=delta.text, **more))
        return events

    def finish(self, result: Result) -> list[Document]:
        """The last events of a response that was made."""
        is_whole = result.finish_reason in ("stop", "tool_calls")
        is_cancelled = result.finish_reason == "cancelled"
        events = []
        if self._item is None and not self.document["output"]:
            events += self._begin_text("message")
        events += self._end_item("completed" if is_whole else "incomplete")
        status = "completed" if is_whole else "cancelled" if is_cancelled else "incomplete"
        if status == "incomplete":
            self.document["incomplete_details"] = {"reason": "max_output_tokens"}
        self.document["usage"] = usage(result)
        return [*events, self._end(status)]

    def fail(self, error: HttpError, *, instead_of: Document | None = None) -> list[Document]:
        """The last events of one that failed after it had begun.

        `instead_of`: the event that would have been the last one, which nobody has seen.
        """
        if instead_of is not None:
            self._sequence_number = instead_of["sequence_number"]
        self._item = None
        self.document["completed_at"] = None
        code = "server_error" if error.http >= 500 else "invalid_prompt"
        self.document["error"] = {"code": code, "message": error.message}
        # OpenAI's error event is flat, Open Responses' is nested: this is both.
        nested = {"type": error.type, "code": error.code, "message": error.message}
        flat = {"code": error.code, "message": error.message, "param": error.param}
        return [
            self._event("error", **flat, error={**nested, "param": error.param}),
            self._end("failed"),
        ]

    def _end(self, status: str) -> Document:
        self.document["status"] = status
        if status == "completed":
            self.document["completed_at"] = int(time.time())
        # OpenAI has no event of its own for a cancelled response.
        name = "incomplete" if status == "cancelled" else status
        return self._event(f"response.{name}", response=self._snapshot())

    def _begin_text(self, kind: str) -> list[Document]:
        item: Document = {"id": new_id("msg"), "type": kind, "role": "assistant", "content": []}
        if kind == "reasoning":
            item = {"id": new_id("rs"), "type": kind, "summary": [], "content": []}
        events = self._begin_item({**item, "status": "in_progress"})
        at = {"item_id": item["id"], **self._index(), "content_index": 0}
        part = self._part()
        return [*events, self._event("response.content_part.added", **at, part=part)]

    def _begin_call(self, delta: TextDelta) -> list[Document]:
        call_id = delta.tool_call_id or new_id("call")
        item = {"call_id": call_id, "name": delta.tool_name, "status": "in_progress"}
        if delta.tool_name in self._custom_tools:
            return self._begin_item(
                {"id": new_id("ctc"), "type": "custom_tool_call", **item, "input": ""}
            )
        return self._begin_item(
            {"id": new_id("fc"), "type": "function_call", **item, "arguments": ""}
        )

    def _begin_item(self, item: Document) -> list[Document]:
        self._item = item
        self._text, self._logprobs = [], []
        return [self._event("response.output_item.added", **self._index(), item=_copy(item))]

    def _arguments(self, delta: TextDelta) -> list[Document]:
        self._text.append(delta.text)
        if self._of_item("type") == "custom_tool_call":
            # Its text is inside JSON, which is whole at its end only.
            return []
        at = {"item_id": self._of_item("id"), **self._index()}
        return [self._event("response.function_call_arguments.delta", **at, delta=delta.text)]

    def _end_item(self, status: str = "completed") -> list[Document]:
        item = self._item
        if item is None:
            return []
        whole = "".join(self._text)
        at = {"item_id": item["id"], **self._index()}
        item["status"] = status
        if item["type"] == "function_call":
            item["arguments"] = whole
            events = [
                self._event(
                    "response.function_call_arguments.done",
                    **at,
                    name=item["name"],
                    arguments=whole,
                )
            ]
        elif item["type"] == "custom_tool_call":
            item["input"] = custom_input(whole)
            name = "response.custom_tool_call_input"
            events = [
                self._event(f"{name}.delta", **at, delta=item["input"]),
                self._event(f"{name}.done", **at, input=item["input"]),
            ]
        else:
            at["content_index"] = 0
            part = self._part(whole)
            item["content"] = [part]
            is_message = item["type"] == "message"
            name = "output_text" if is_message else "reasoning_text"
            more: Document = {"logprobs": self._logprobs} if is_message else {}
            events = [
                self._event(f"response.{name}.done", **at, text=whole, **more),
                self._event("response.content_part.done", **at, part=_copy(part)),
            ]
        events.append(self._event("response.output_item.done", **self._index(), item=_copy(item)))
        self.document["output"].append(item)
        self._item = None
        return events

    def _part(self, text: str = "") -> Document:
        if self._of_item("type") == "message":
            known = list(self._logprobs)
            return {"type": "output_text", "text": text, "annotations": [], "logprobs": known}
        return {"type": "reasoning_text", "text": text}

    def _of_item(self, key: str) -> Any:
        assert self._item is not None
        return self._item[key]

    def _index(self) -> Document:
        return {"output_index": len(self.document["output"])}

    def _snapshot(self) -> Document:
        return _copy(self.document)

    def _event(self, type: str, **values: Any) -> Document:
        event = {"type": type, "sequence_number": self._sequence_number, **values}
        self._sequence_number += 1
        return event


def usage(result: Result) -> Document:
    """All five keys, and what OpenAI asks for inside them."""
    return {
        "input_tokens": result.prompt_tokens,
        "input_tokens_details": {"cached_tokens": result.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": result.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": result.reasoning_tokens},
        "total_tokens": result.prompt_tokens + result.completion_tokens,
    }


def custom_input(arguments: str) -> str:
    """A custom tool's text from the JSON that the model wrote; all of it if there is none."""
    try:
        found = json.loads(arguments)[CUSTOM_INPUT]
    except (ValueError, KeyError, TypeError, RecursionError):
        return arguments
    return found if isinstance(found, str) else arguments


def _copy(document: Document) -> Document:
    """What later changes do not reach: items change in place, their parts never do."""
    output = document.get("output")
    copied = dict(document)
    if isinstance(output, list):
        copied["output"] = list(output)
    return copied
