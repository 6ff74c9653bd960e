"""Many clients for minutes, half of whom hang up at random moments: nothing may leak or mix.

    python benchmarks/conformance/soak.py [MODEL] [--clients 64] [--minutes 10] [--json FILE]

Every client has a secret. In half of its requests a schema makes the model say it, in the others
the model says what it likes, which must be, word for word, what it said to the same request when
nobody else was there. So MODEL is a compiled one in q4 or q8, which computes the same alone and in
company, and each client's text is another one: without MODEL, one of random weights is packaged.
After a minute of warming up, and at the end, when all clients are gone: the server's threads,
files, memory, and turns that are still taken.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from random_model import Sizes, write_safetensors  # noqa: E402  from the folder above
from served import Served, serving

from sphere_edge import console

_TOKENS = 24
_MOST_GROWTH = 0.05
_SETTLED_S = 5.0
# asyncio's pool makes another thread when all others are busy, up to so many, and keeps it. Clients
# leave thousands behind if they leave any.
_POOL_THREADS = min(32, (os.cpu_count() or 1) + 4)


def main() -> None:
    """Warms up, runs, compares."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder, serving(_words(options, Path(folder))) as served:
        soak = Soak(served.port, options.clients, options.seed)
        soak.listen_alone()
        soak.run(60 * min(1.0, options.minutes / 4))
        before = _state(served)
        warm = Counter(soak.counts)
        console.say(f"warmed up: {dict(soak.counts)}, {before}")
        soak.run(30 * options.minutes)
        middle = _state(served)
        soak.run(30 * options.minutes)
        after = _state(served)
    growth = after["memory_bytes"] / before["memory_bytes"] - 1
    report = {
        "requests": dict(soak.counts - warm),
        "wrong": soak.wrong[:10],
        "before": before,
        # What grows until there were never so many at once grows no more; a leak does.
        "middle": middle,
        "after": after,
        "memory_growth": growth,
    }
    console.write(json.dumps(report, indent=1))
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    most = {**before, "threads": before["threads"] + _POOL_THREADS}
    leaks = [name for name in ("threads", "files", "running") if after[name] > most[name]]
    if soak.wrong or leaks or growth > _MOST_GROWTH:
        sys.exit(f"wrong: {len(soak.wrong)}, grown: {leaks}, memory {growth:+.1%}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    return parser.parse_args()


def _words(options: argparse.Namespace, folder: Path) -> list[str]:
    model = options.model or _random_model(folder)
    words = [f"model={model}", "--parallel", str(options.parallel), "--queue", "1000"]
    return [*words, "--store", str(folder / "responses.sqlite"), "--store-size", "8"]


def _random_model(folder: Path) -> Path:
    sizes = Sizes(256, 512, layers=4, heads=4, kv_heads=2, vocabulary=4096, context=2048)
    write_safetensors(folder / "random", sizes)
    bundle = folder / "random.host"
    words = ["package", str(folder / "random"), "--profile", "host", "--quant", "q8"]
    command = [sys.executable, "-m", "sphere_edge", *words, "--output", str(bundle)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return bundle


def _state(served: Served) -> dict[str, float]:
    """What must not grow, once nobody asks any more."""
    time.sleep(_SETTLED_S)
    (model,) = json.loads(served.read("/v1/models"))["data"]
    process = psutil.Process(served.process.pid)
    memory = process.memory_info()
    return {
        "running": model["running"] + model["waiting"],
        "threads": process.num_threads(),
        "files": process.num_fds(),
        # What files hold is left out: it is its own or shared as other processes come and go.
        "memory_bytes": memory.rss - memory.shared,
    }


class Soak:
    """The clients, and what they saw."""

    def __init__(self, port: int, clients: int, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._port = port
        self._seed = seed
        self._secrets = [f"{random.Random(seed + n).randrange(10**9):09}" for n in range(clients)]
        # What the model says to each one's request alone.
        self._alone: dict[str, str] = {}
        self._lock = threading.Lock()

    def listen_alone(self) -> None:
        """One client after the other."""
        for secret in self._secrets:
            body = {**_free(secret), "stream": False}
            answer = json.loads(self._whole("/v1/chat/completions", body))
            self._alone[secret] = answer["choices"][0]["message"]["content"]
        texts = len(set(self._alone.values()))
        console.say(f"{texts} texts of {len(self._alone)} clients differ")

    def run(self, seconds: float) -> None:
        """All of them at once."""
        end = time.monotonic() + seconds
        threads = [
            threading.Thread(target=self._client, args=(number, end))
            for number in range(len(self._secrets))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _client(self, number: int, end: float) -> None:
        chance = random.Random(self._seed * 1000 + number)
        hangs_up = number % 2 == 1
        while time.monotonic() < end:
            try:
                self._request(self._secrets[number], chance, hangs_up)
            except (AssertionError, OSError, ValueError, KeyError) as error:
                with self._lock:
                    self.wrong.append(f"client {number}: {type(error).__name__} {error}"[:500])

    def _request(self, secret: str, chance: random.Random, hangs_up: bool) -> None:
        is_told = chance.random() < 0.5
        body = _told(secret) if is_told else _free(secret)
        kind = chance.choice(["chat", "chat stream", "responses stream"])
        stops_after = chance.choice([0, 1, 2, 5, 10, 20]) if hangs_up else None
        if kind == "chat":
            if stops_after is not None:
                self._hang_up("/v1/chat/completions", body, chance.random() / 4)
                self._count("hung up")
                return
            answer = json.loads(self._whole("/v1/chat/completions", body))
            text = answer["choices"][0]["message"]["content"]
        else:
            path = "/v1/chat/completions" if kind == "chat stream" else "/v1/responses"
            body = body if kind == "chat stream" else _as_response(body)
            text = self._streamed(path, {**body, "stream": True}, stops_after)
        self._check(secret, text, is_told=is_told, is_whole=stops_after is None)
        self._count(kind if stops_after is None else "hung up")

    def _check(self, secret: str, text: str, *, is_told: bool, is_whole: bool) -> None:
        right = (
            json.dumps({"secret": secret}, separators=(",", ":"))
            if is_told
            else self._alone[secret]
        )
        said = "".join(text.split()) if is_told else text
        assert said == right if is_whole else right.startswith(said), f"{text!r} for {right!r}"

    def _count(self, kind: str) -> None:
        with self._lock:
            self.counts[kind] += 1

    def _whole(self, path: str, body: dict[str, Any]) -> bytes:
        connection = self._asked(path, body)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        assert response.status == 200, content[:300]
        return content

    def _asked(self, path: str, body: dict[str, Any]) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=600)
        head = {"Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body), head)
        return connection

    def _hang_up(self, path: str, body: dict[str, Any], after_s: float) -> None:
        connection = self._asked(path, body)
        time.sleep(after_s)
        connection.close()

    def _streamed(self, path: str, body: dict[str, Any], stops_after: int | None) -> str:
        """The text of all events, or of the first ones."""
        connection = self._asked(path, body)
        text = ""
        try:
            response = connection.getresponse()
            assert response.status == 200, response.read()[:300]
            for number, line in enumerate(_events(response)):
                if number == stops_after:
                    break
                if "choices" in line:
                    text += line["choices"][0]["delta"].get("content") or ""
                elif line["type"] == "response.output_text.delta":
                    text += line["delta"]
        finally:
            connection.close()
        return text


def _events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    for line in response:
        if line.startswith(b"data: {"):
            yield json.loads(line[6:])


def _free(secret: str) -> dict[str, Any]:
    message = {"role": "user", "content": f"My secret is {secret}. What is my secret?"}
    return {"model": "model", "messages": [message], "max_tokens": _TOKENS, "temperature": 0}


def _told(secret: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"secret": {"const": secret}},
        "required": ["secret"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "secret", "schema": schema}}
    return {**_free(secret), "max_tokens": 128, "response_format": form}


def _as_response(body: dict[str, Any]) -> dict[str, Any]:
    made = {"model": "model", "input": body["messages"], "temperature": 0}
    made["max_output_tokens"] = body["max_tokens"]
    if "response_format" in body:
        made["text"] = {"format": {"type": "json_schema", **body["response_format"]["json_schema"]}}
    return made


if __name__ == "__main__":
    main()
