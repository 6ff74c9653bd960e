"""How soon the server answers while its models work, and how soon they stop when they have to.

    python benchmarks/conformance/responsiveness.py [MODEL.gguf] [--rounds 5] [--json FILE]
        [--ends-by hang-up|timeout|cancel]

A client asks for something long, and hangs up when the model is at work: reading the prompt,
writing, transcribing, making an image, embedding. Or the server's time limit ends it, or, for what
can be cancelled, another client. Measured is when the model has nothing to do any more, by
`/v1/models`. All the while another client asks for /health, /metrics and /v1/models. The
aims are 200 ms and 50 ms, on a quiet machine; figures are medians and the worst of all rounds.
Without MODEL, one of random weights that reads slowly is made.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import re
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile

_HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE.parent.parent))

from served import Served, serving  # noqa: E402  from this folder

from sphere_edge import console, resources  # noqa: E402
from tests import random_gguf  # noqa: E402

_STOPS_WITHIN_S = 0.2
_ANSWERS_WITHIN_S = 0.05
_CONTEXT = 16_384
_ASKED = ("/health", "/metrics", "/v1/models")
# What is at work by then.
_BEGUN_S = 0.2
_TIMEOUT_S = 1
_RESPONSES = "/v1/responses"


@dataclass(frozen=True)
class Case:
    """A request that takes long. `seen`: what comes before it is ended, if anything."""

    name: str
    model: str
    path: str
    content: bytes
    kind: str = "application/json"
    seen: bytes = b""

    @property
    def can_be_cancelled(self) -> bool:
        """Whether its id is known while it is at work."""
        return self.path == _RESPONSES and bool(self.seen)


def main() -> None:
    """Measures case by case, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="1: also on a busy machine")
    parser.add_argument("-k", dest="words", default="", help="only cases with these words")
    parser.add_argument("--ends-by", choices=list(_ENDS), default="hang-up")
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    options = parser.parse_args()
    report: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or random_gguf.write(
            Path(folder) / "slow.gguf", layers=24, context=_CONTEXT
        )
        words = [f"text={model}", "sound=tiny-whisper", "image=tiny-image", "--allow-extensions"]
        words += ["--context", str(_CONTEXT), "--threads", str(options.threads)]
        if options.ends_by == "timeout":
            words += ["--timeout", str(_TIMEOUT_S)]
        ended = _ENDS[options.ends_by]
        with serving(words) as served:
            for case in _cases():
                is_left_out = options.ends_by == "cancel" and not case.can_be_cancelled
                if is_left_out or options.words not in case.name:
                    continue
                ended(served, case)
                with _asking(served) as answered:
                    stopped = [ended(served, case) for _ in range(options.rounds)]
                report[case.name] = {
                    "stopped_s": median(stopped),
                    "stopped_worst_s": max(stopped),
                    "answered_s": median(answered),
                    "answered_worst_s": max(answered),
                }
    columns = (
        f"{options.ends_by.upper()} WHILE",
        "STOPS AFTER ms →",
        "WORST →",
        "ANSWERS IN ms →",
        "WORST →",
    )
    rows = [
        (name, *(f"{1000 * seconds:.0f}" for seconds in one.values()))
        for name, one in report.items()
    ]
    console.write_table(columns, rows)
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    late = [
        name
        for name, one in report.items()
        if one["stopped_s"] > _STOPS_WITHIN_S or one["answered_s"] > _ANSWERS_WITHIN_S
    ]
    if late:
        sys.exit(f"too late: {', '.join(late)}")


def _cases() -> Iterator[Case]:
    long = [{"role": "user", "content": "x" * (_CONTEXT - 1500)}]
    short = [{"role": "user", "content": "Hello"}]
    chat = "/v1/chat/completions"
    yield _case("the prompt is read", "text", chat, messages=long)
    yield _case("the prompt is read, streamed", "text", _RESPONSES, input=long, stream=True)
    for name, more, seen in (("", {}, b""), (", streamed", {"stream": True}, b'"content":"')):
        fields = {"messages": short, "ignore_eos": True, **more}
        yield _case(f"text is written{name}", "text", chat, seen, **fields)
    delta = b"response.output_text.delta"
    yield _case("a response is written", "text", _RESPONSES, delta, input="Hello", stream=True)
    yield _case("texts are embedded", "text", "/v1/embeddings", input=["y" * 4000] * 64)
    for name, fields in (("", {}), (", streamed", {"stream": "true"})):
        kind, content = _form({"model": "sound", **fields}, _minutes_of_speech())
        path = "/v1/audio/transcriptions"
        yield Case(f"speech is transcribed{name}", "sound", path, content, kind)
    for name, more in (("", {}), (", streamed", {"stream": True})):
        fields = {"prompt": "a red circle", "steps": 200, **more}
        yield _case(f"an image is made{name}", "image", "/v1/images/generations", **fields)


def _case(name: str, model: str, path: str, seen: bytes = b"", **fields: Any) -> Case:
    return Case(name, model, path, json.dumps({"model": model, **fields}).encode(), seen=seen)


def _minutes_of_speech() -> bytes:
    folder = resources.speech_samples()
    sound, rate = soundfile.read(min(folder.glob("*.flac")), dtype="float32")
    whole = np.tile(sound, 10 * 60 * rate // len(sound))
    out = io.BytesIO()
    soundfile.write(out, whole, rate, format="FLAC")
    return out.getvalue()


def _form(fields: dict[str, str], file: bytes) -> tuple[str, bytes]:
    """A form's media type and bytes."""
    head = "--b\r\nContent-Disposition: form-data; name="
    texts = "".join(f'{head}"{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
    begin = f'{texts}{head}"file"; filename="a.flac"\r\n\r\n'
    return "multipart/form-data; boundary=b", begin.encode() + file + b"\r\n--b--\r\n"


@dataclass(frozen=True)
class Work:
    """When the model was first seen at work, and what had come of the answer later."""

    began: float
    come: bytes


@contextmanager
def _at_work(served: Served, case: Case) -> Iterator[Work]:
    """A client whose request is at work: it is sent, and its body has been read."""
    come = b""
    with socket.create_connection(("127.0.0.1", served.port)) as client:
        head = f"POST {case.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {case.kind}\r\n"
        client.sendall(f"{head}Content-Length: {len(case.content)}\r\n\r\n".encode() + case.content)
        while not _running(served, case.model):
            time.sleep(0.001)
        began = time.monotonic()
        if case.seen:
            while case.seen not in come:
                come += client.recv(65536)
        else:
            time.sleep(_BEGUN_S)
        assert _running(served, case.model), f"it was over before it was ended: {case.name}"
        yield Work(began, come)


def _until_free(served: Served, case: Case) -> float:
    """Seconds until the model is free."""
    began = time.monotonic()
    while _running(served, case.model):
        time.sleep(0.001)
    return time.monotonic() - began


def _hung_up(served: Served, case: Case) -> float:
    """Seconds from the end of the connection until the model is free."""
    with _at_work(served, case):
        pass
    return _until_free(served, case)


def _timed_out(served: Served, case: Case) -> float:
    """Seconds from the end of its time until the model is free; the time begins with the work."""
    case = replace(case, seen=b"")
    with _at_work(served, case) as work:
        _until_free(served, case)
    return time.monotonic() - work.began - _TIMEOUT_S


def _cancelled(served: Served, case: Case) -> float:
    """Seconds from the request that cancels it until the model is free."""
    with _at_work(served, case) as work:
        id = re.search(rb"resp_[0-9a-f]+", work.come)
        assert id is not None
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        began = time.monotonic()
        connection.request("POST", f"{_RESPONSES}/{id[0].decode()}/cancel")
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        connection.close()
        _until_free(served, case)
        return time.monotonic() - began


# Each ends the case, and returns the seconds until its model is free.
_ENDS: dict[str, Callable[[Served, Case], float]] = {
    "hang-up": _hung_up,
    "timeout": _timed_out,
    "cancel": _cancelled,
}


def _running(served: Served, model: str) -> int:
    return int(json.loads(served.read(f"/v1/models/{model}"))["running"])


@contextmanager
def _asking(served: Served) -> Iterator[list[float]]:
    """Seconds that each answer took, while the block lasts."""
    ended, took = threading.Event(), []

    def ask() -> None:
        while not ended.wait(0.005):
            for path in _ASKED:
                began = time.monotonic()
                served.read(path)
                took.append(time.monotonic() - began)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield took
    finally:
        ended.set()
        asking.join()


if __name__ == "__main__":
    main()
