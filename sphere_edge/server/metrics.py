"""GET /metrics, for Prometheus: requests, queues, tokens, times to first token, per model.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from typing import Any

import prometheus_client as prometheus
from starlette.requests import Request

from sphere_edge.runtime.generation import Result
from sphere_edge.server.exchange import Output, Reply
from sphere_edge.server.models import Models

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """What is counted, in a registry of its own."""

    def __init__(self, models: Models) -> None:
        self.registry = prometheus.CollectorRegistry()
        made: dict[str, Any] = {"registry": self.registry, "namespace": "sphere_edge"}
        self._requests = prometheus.Counter(
            "requests", "Answered requests.", ["path", "status"], **made
        )
        self._tokens = prometheus.Counter(
            "tokens",
            "Of prompts, those of them from the cache, of answers; drafted, those accepted.",
            ["model", "kind"],
            **made,
        )
        self._first = prometheus.Histogram(
            "first_token_seconds",
            "From the engine's call to the first token.",
            ["model"],
            buckets=_SECONDS,
            **made,
        )
        self._decode = prometheus.Counter(
            "decode_seconds", "Time that answers took after their first token.", ["model"], **made
        )
        for name, help, value in (
            ("running", "Requests that have a turn.", lambda one: one.queue.running),
            ("waiting", "Requests that wait for a turn.", lambda one: one.queue.waiting),
            ("loaded", "1: the model is open.", lambda one: int(one.manager is not None)),
            ("memory_bytes", "Predicted peak.", lambda one: one.served.memory_bytes),
        ):
            gauge = prometheus.Gauge(name, help, ["model"], **made)
            for model in models.all():
                gauge.labels(model.served.name).set_function(lambda m=model, v=value: v(m))

    def count_request(self, path: str, http: int) -> None:
        """`path` as the table of paths has it: a client cannot make up new ones."""
        self._requests.labels(path, str(http)).inc()

    def count_text(self, model: str, result: Result) -> None:
        """The figures of a generation."""
        self._tokens.labels(model, "prompt").inc(result.prompt_tokens)
        self._tokens.labels(model, "cached").inc(result.cached_tokens)
        self._tokens.labels(model, "completion").inc(result.completion_tokens)
        self._tokens.labels(model, "draft").inc(result.draft_tokens)
        self._tokens.labels(model, "accepted").inc(result.accepted_tokens)
        self._decode.labels(model).inc(result.decode_seconds)
        if result.completion_tokens:
            self._first.labels(model).observe(result.first_token_seconds)


async def metrics(request: Request, _: None) -> Output:
    """All of it as text."""
    content = prometheus.generate_latest(request.app.state.metrics.registry)
    return Reply(content, prometheus.CONTENT_TYPE_LATEST)
