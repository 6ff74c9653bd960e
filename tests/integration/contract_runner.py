"""Runs the cases of tests/contract with the Python library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sphere_edge import AudioManager, ImageManager, TextManager, errors
from sphere_edge.runtime import sound
from sphere_edge.runtime.embedding import EmbedRequest
from tests.contract_cases import Case

CAPABILITIES = {"text", "audio", "image", "embed", "save", "structured", "tools", "close"}
MANAGERS: dict[str, Any] = {
    **{"text": TextManager, "gguf": TextManager},
    **{"audio": AudioManager, "image": ImageManager},
}
Output = dict[str, Any]


class Run:
    """One case: a model that is open, and what its steps gave."""

    def __init__(self, models: Mapping[str, str], folder: Path) -> None:
        """`models`: where each lies; `folder`: for files that the case writes."""
        self._models = models
        self._folder = folder
        self._outputs: dict[str, Output] = {}
        self._manager: Any = None

    def case(self, case: Case) -> None:
        """Raises AssertionError for what is otherwise than the case says."""
        model = case.document.get("model")
        if model is not None:
            options = case.document.get("open", {})
            self._manager = MANAGERS[model].open(self._models[model], **options)
        try:
            for number, step in enumerate(case.document["steps"]):
                unknown = step.keys() - {"id", "call", "with", "after", "expect"}
                assert not unknown, f"unknown keys: {unknown}"
                output = self._outputs[step.get("id", "")] = self._step(step)
                for field, expected in step["expect"].items():
                    problem = self._problem(output, field, expected)
                    assert problem is None, f"step {number}, {field}: {problem} in {output}"
        finally:
            if self._manager is not None:
                self._manager.close()

    def _step(self, step: Mapping[str, Any]) -> Output:
        function = CALLS[step["call"]]
        try:
            output = function(self, step.get("with", {}), step.get("after"))
        except errors.SphereEdgeError as error:
            return {"status": error.code.name, "message": error.message}
        return {"status": "OK", **output}

    def _problem(self, output: Output, field: str, expected: Any) -> str | None:
        found = output.get(field)
        if not isinstance(expected, dict):
            expected = {"equals": expected}
        for condition, value in expected.items():
            other = (
                self._outputs[value][field] if condition in ("same_as", "differs_from") else value
            )
            if not CONDITIONS[condition](found, other):
                return f"`{found}` is not {condition} `{other}`"
        return None

    def open(self, wanted: Mapping[str, Any], _: object, *, name: str) -> Output:
        """Opens another model, and closes it."""
        MANAGERS[name].open(self._models[wanted["model"]], **wanted.get("options", {})).close()
        return {}

    def close(self, _: object, __: object) -> Output:
        self._manager.close()
        return {}

    def generate(self, wanted: Mapping[str, Any], after: Any) -> Output:
        request = dict(wanted.get("request", {}))
        if (biases := request.get("logit_bias")) is not None:
            request["logit_bias"] = {int(token): float(bias) for token, bias in biases.items()}
        options = wanted.get("options", {})
        begin = self._manager.generate if "prompt" in wanted else self._manager.chat
        made = begin(wanted.get("prompt", wanted.get("messages")), **request, **options)
        pieces, logprobs = 0, []
        for delta in made.deltas():
            pieces += delta.kind == "text" and bool(delta.text)
            logprobs += delta.logprobs
            if after is not None and pieces == after["pieces"]:
                if after["do"] == "end_reader":
                    made.close()
                    return {"pieces": pieces}
                {"cancel": made.cancel, "close": self._manager.close}[after["do"]]()
                after = None
        result, message = made.result, made.message()
        status = "CANCELLED" if result.finish_reason == "cancelled" else "OK"
        text = message["content"] or ""
        return {
            **vars(result),
            **{"status": status, "text": text, "json": _json(text), "pieces": pieces},
            "logprobs": len(logprobs),
            "top_logprobs": sum(len(one.top_logprobs) for one in logprobs),
            "tool_calls": [
                {
                    "name": call["function"]["name"],
                    "arguments": _json(call["function"]["arguments"]),
                }
                for call in message.get("tool_calls", [])
            ],
        }

    def embed(self, wanted: Mapping[str, Any], _: object) -> Output:
        made = self._manager.embed(wanted["texts"], EmbedRequest(**wanted.get("request", {})))
        lengths = [round(float(np.linalg.norm(one)), 4) for one in made.vectors]
        count, size = made.vectors.shape
        return {"vectors": count, "size": size, "lengths": lengths, "truncated": made.truncated}

    def conversation(self, wanted: Mapping[str, Any], _: object, *, does: str) -> Output:
        """Saves or restores one."""
        file = self._models[wanted["model"]] if "model" in wanted else self._folder / wanted["file"]
        return {
            "tokens": getattr(self._manager, does)(file, sequence_key=wanted.get("sequence_key"))
        }

    def transcribe(self, wanted: Mapping[str, Any], _: object) -> Output:
        made = self._manager.transcribe(self._models[wanted["file"]], **wanted.get("request", {}))
        segments = list(made)
        counts = {"segments": len(segments), "words": sum(len(one.words) for one in segments)}
        return {"text": made.text(), "language": made.result.language, **counts}

    def stream(self, wanted: Mapping[str, Any], _: object) -> Output:
        with sound.opened(self._models[wanted["file"]]) as speech:
            samples = np.concatenate(list(speech))
        with self._manager.stream(**wanted.get("request", {})) as live:
            found = []
            for block in np.split(samples, range(wanted["block"], len(samples), wanted["block"])):
                found += live.push(block)
            found += live.finish()
        final = [one.segment.text for one in found if one.is_final]
        return {"text": "".join(final).strip(), "segments": len(final)}

    def draw(self, wanted: Mapping[str, Any], _: object) -> Output:
        steps: list[int] = []
        made = self._manager.generate(
            wanted["prompt"], on_progress=lambda at: steps.append(at.step), **wanted["request"]
        )
        (width, height), pixels = made[0].image.size, b"".join(one.image.tobytes() for one in made)
        return {
            **{"images": len(made), "seeds": [one.seed for one in made], "progress": len(steps)},
            **{"width": width, "height": height, "pixels": hashlib.sha256(pixels).hexdigest()},
        }


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _calls(name: str, *positional: str) -> Callable[[Run, Mapping[str, Any], object], Output]:
    """The method `name` of the manager; what it returns is the output's field `positional[0]`."""
    field, *arguments = positional

    def call(run: Run, wanted: Mapping[str, Any], _: object) -> Output:
        others = {key: value for key, value in wanted.items() if key not in arguments}
        return {field: getattr(run._manager, name)(*(wanted[one] for one in arguments), **others)}

    return call


CALLS: dict[str, Callable[[Run, Mapping[str, Any], Any], Output]] = {
    **{f"{one}.open": partial(Run.open, name=one) for one in ("text", "audio", "image")},
    **{"close": Run.close, "text.generate": Run.generate, "text.chat": Run.generate},
    "text.render_chat": _calls("render_chat", "text", "messages"),
    "text.tokenize": _calls("tokenize", "ids", "text"),
    "text.detokenize": _calls("detokenize", "text", "ids"),
    "text.reset": _calls("reset", "nothing"),
    **{f"text.{one}": partial(Run.conversation, does=one) for one in ("save", "restore")},
    **{"text.embed": Run.embed, "audio.transcribe": Run.transcribe, "audio.stream": Run.stream},
    "image.generate": Run.draw,
}
CONDITIONS: dict[str, Callable[[Any, Any], bool]] = {
    "equals": lambda found, value: found == value,
    "same_as": lambda found, value: found == value,
    "differs_from": lambda found, value: found != value,
    "at_least": lambda found, value: found >= value,
    "at_most": lambda found, value: found <= value,
    "contains": lambda found, value: value in found,
}
