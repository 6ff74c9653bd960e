"""Our server beside llama.cpp's: tokens per second and times to first token with 1, 4, 8 clients.

    python benchmarks/serve.py model.gguf [--llama-server FILE] [--rounds 3] [--json FILE]

Both serve the same GGUF with the same threads and context, one at a time, in turn within each
round. Each client sends chats one after the other and streams 64 tokens of each, whatever the model
wants to say. No chat is sent twice to a server, so that every prompt is read, but for the beginning
that the model's chat template gives all of them. Figures are medians over the rounds. With one
client, the same chats are also generated in this process, without HTTP: `overhead` is what the
server takes more, in seconds of processor time of all its threads, which other work on this machine
changes little.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil

from sphere_edge import TextManager, console

_CLIENTS = (1, 4, 8)
_CHATS = 3
_TOKENS = 64
_CONTEXT = 1024
_STARTED_WITHIN_S = 120


@dataclass(frozen=True)
class Round:
    """What one server did for a number of clients."""

    tokens_per_s: float
    first_token_s: list[float]
    cpu_s: float


@dataclass(frozen=True)
class _Load:
    """Clients at once; `name` makes their chats other ones than those of any other load."""

    name: str
    clients: int


def main() -> None:
    """Measures round by round, prints the table."""
    options = _options()
    servers = {"sphere-edge": _ours(options)}
    if options.llama_server is not None:
        servers["llama-server"] = _theirs(options)
    samples: dict[str, dict[int, list[Round]]] = {
        name: {clients: [] for clients in _CLIENTS} for name in servers
    }
    alone: list[float] = []
    for number in range(options.rounds):
        for name, command in servers.items():
            with _running(command) as (port, process):
                _round(port, process, _Load("warm-up", 1))
                for clients in _CLIENTS:
                    load = _Load(f"{clients} at once", clients)
                    samples[name][clients].append(_round(port, process, load))
        alone.append(_without_http(options))
        console.say(f"round {number + 1} of {options.rounds}")
    report = _report(samples, alone)
    _print(report)
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("--llama-server", type=Path, help="a build of it; default: only ours")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--parallel", type=int, default=1, help="sequences that are decoded at once"
    )
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    return parser.parse_args()


def _ours(options: argparse.Namespace) -> list[str]:
    command = [sys.executable, "-m", "sphere_edge", "serve", f"model={options.model}"]
    command += ["--no-store", "--allow-extensions", "--context", str(_CONTEXT)]
    command += ["--threads", str(options.threads), "--port", "PORT"]
    return command + (["--parallel", str(options.parallel)] if options.parallel > 1 else [])


def _theirs(options: argparse.Namespace) -> list[str]:
    # Its context is that of all sequences together.
    context = str(_CONTEXT * options.parallel)
    command = [str(options.llama_server), "-m", str(options.model), "-c", context]
    command += ["-np", str(options.parallel), "--no-webui", "--port", "PORT"]
    return [*command, "-t", str(options.threads), "-tb", str(options.threads)]


@contextmanager
def _running(command: list[str]) -> Iterator[tuple[int, psutil.Process]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [str(port) if word == "PORT" else word for word in command]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + _STARTED_WITHIN_S
        while not _is_healthy(port):
            assert process.poll() is None, f"{command[0]} has ended"
            assert time.monotonic() < end, f"{command[0]} does not answer"
            time.sleep(0.1)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _round(port: int, process: psutil.Process, load: _Load) -> Round:
    before, began = _cpu_s(process), time.monotonic()
    with ThreadPoolExecutor(load.clients) as pool:
        names = [f"{load.name}, client {client}" for client in range(load.clients)]
        done = list(pool.map(lambda name: _client(port, name), names))
    seconds = time.monotonic() - began
    tokens = sum(count for count, _ in done)
    firsts = [first for _, times in done for first in times]
    return Round(tokens / seconds, firsts, _cpu_s(process) - before)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _message(name: str, chat: int) -> list[dict[str, str]]:
    """Nobody's prompt is the beginning of another's."""
    return [{"role": "user", "content": f"{name} {chat}: " + "tell me about the sky " * 8}]


def _client(port: int, name: str) -> tuple[int, list[float]]:
    tokens, firsts = 0, []
    for chat in range(_CHATS):
        body = {"model": "model", "messages": _message(name, chat), "stream": True}
        body |= {"max_tokens": _TOKENS, "temperature": 0.0, "ignore_eos": True}
        body |= {"stream_options": {"include_usage": True}}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        began = time.monotonic()
        head = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), head)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        first: float | None = None
        for line in response:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            if first is None and chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
                first = time.monotonic() - began
            tokens += (chunk.get("usage") or {}).get("completion_tokens", 0)
        connection.close()
        firsts.append(first if first is not None else time.monotonic() - began)
    return tokens, firsts


def _without_http(options: argparse.Namespace) -> float:
    """Seconds of processor time for the chats of one client, in this process."""
    fields: dict[str, Any] = {"max_tokens": _TOKENS, "temperature": 0.0}
    fields |= {"ignore_end_of_text": True}
    with TextManager.open(options.model, threads=options.threads, context_tokens=_CONTEXT) as text:
        text.chat(_message("warm-up", 0), **fields).text()
        before = time.process_time()
        for chat in range(_CHATS):
            text.chat(_message("1 at once, client 0", chat), **fields).text()
        return time.process_time() - before


def _report(samples: dict[str, dict[int, list[Round]]], alone: list[float]) -> dict[str, Any]:
    report: dict[str, Any] = {}
    for name, by_clients in samples.items():
        for clients, rounds in by_clients.items():
            firsts = [first for one in rounds for first in one.first_token_s]
            report[f"{name} {clients}"] = {
                "tokens_per_s": median(one.tokens_per_s for one in rounds),
                "first_token_s_p50": median(firsts),
                "first_token_s_p99": quantiles(firsts, n=100)[98] if len(firsts) > 1 else firsts[0],
                "cpu_s": median(one.cpu_s for one in rounds),
            }
    report["without_http_cpu_s"] = median(alone)
    report["overhead"] = report["sphere-edge 1"]["cpu_s"] / median(alone) - 1
    return report


def _print(report: dict[str, Any]) -> None:
    rows = [
        (
            name,
            f"{one['tokens_per_s']:.1f}",
            f"{one['first_token_s_p50'] * 1000:.0f}",
            f"{one['first_token_s_p99'] * 1000:.0f}",
            f"{one['cpu_s']:.2f}",
        )
        for name, one in report.items()
        if isinstance(one, dict)
    ]
    columns = ("CLIENTS", "TOKENS/S →", "FIRST p50 ms →", "FIRST p99 ms →", "CPU s →")
    console.write_table(columns, rows)
    console.write(f"overhead of HTTP, processor time: {report['overhead']:+.1%}")


if __name__ == "__main__":
    main()
