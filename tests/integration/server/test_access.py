"""Who may call, what a request may be, and what everybody may read."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import cli_process
from tests.server_process import Served, serving

KEY = "0123456789abcdef0123456789abcdef"


def asked(
    served: Served, path: str, body: bytes | None = None, method: str | None = None, **headers: str
) -> tuple[int, dict[str, str], Any]:
    """Status, headers and body, JSON if it is; `_` in names of headers are dashes."""
    address = urlsplit(served.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method or ("GET" if body is None else "POST"), path, body, named)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    told = {name.lower(): value for name, value in response.getheaders()}
    is_json = told.get("content-type") == "application/json"
    return response.status, told, json.loads(content) if is_json else content


@pytest.fixture(scope="module")
def locked(bundles: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    keys = tmp_path_factory.mktemp("keys") / "keys.txt"
    keys.write_text(f"# ours\n{KEY}\n")
    origin = ["--allow-origin", "http://my.site", "--allow-host", "my.server"]
    with serving(*bundles, "--api-key-file", str(keys), *origin) as served:
        yield served


def test_every_path_but_health_and_the_page_needs_the_key(locked: Served) -> None:
    for path in ("/health", "/", "/page/script.js"):
        assert asked(locked, path)[0] == 200
    for path in (
        "/v1/models",
        "/ready",
        "/metrics",
        "//v1//models",
        "/page",
        "/openapi.json",
        "/nothing",
    ):
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}):
            http_status, headers, body = asked(locked, path, **given)
            assert (http_status, body["error"]["code"]) == (401, "invalid_api_key")
            assert headers["www-authenticate"] == "Bearer"
    assert asked(locked, "/v1/models", Authorization=f"Bearer {KEY}")[0] == 200
    assert KEY not in "".join(locked.log)


def test_pages_of_other_sites_may_not_call(server: Served, locked: Served) -> None:
    for foreign in ("http://evil.example", "null", server.url.replace("127.0.0.1", "localhost")):
        assert asked(server, "/v1/models", Origin=foreign)[0] == 403
    http_status, headers, _ = asked(server, "/v1/models", Origin=server.url)
    assert (http_status, headers["access-control-allow-origin"]) == (200, server.url)
    http_status, headers, _ = asked(
        locked, "/v1/responses", method="OPTIONS", Origin="http://my.site"
    )
    assert http_status == 204
    assert headers["access-control-allow-origin"] == "http://my.site"
    assert "access-control-allow-origin" not in asked(server, "/v1/models")[1]


def test_a_name_that_was_made_to_mean_this_machine_is_refused(
    server: Served, locked: Served
) -> None:
    for host in ("evil.example", "evil.example:8080", "localhost.evil.example", ""):
        http_status, _, body = asked(server, "/v1/models", Host=host)
        assert (http_status, body["error"]["code"]) == (403, "host_not_allowed")
    for host in ("localhost:80", "127.0.0.1", "[::1]:8080", "192.168.1.5"):
        assert asked(server, "/v1/models", Host=host)[0] == 200
    assert asked(locked, "/health", Host="my.server:8080")[0] == 200


def test_another_address_needs_keys(tmp_path: Path) -> None:
    run = cli_process.in_process("serve", "tiny", "--host", "0.0.0.0")
    cli_process.refused(run, 10, "no key is asked for")
    short = tmp_path / "keys.txt"
    short.write_text("secret\n")
    run = cli_process.in_process("serve", "tiny", "--api-key-file", short)
    cli_process.refused(run, 10, "16 or more")
    assert "secret" not in run.stderr
    run = cli_process.in_process("serve", "tiny", "tiny", "--port", "0")
    cli_process.refused(run, 10, "two models are named `tiny`")


CHAT: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize(
    ("body", "http_status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b"[]", 400, "invalid_value"),
        (b"\xff\xfe", 400, "invalid_json"),
        (b'{"model": "tiny", "temperature": NaN}', 400, "invalid_json"),
        (b'{"model": "tiny", "temperature": 1e999}', 400, "invalid_json"),
        (json.dumps({**CHAT, "tools": [{"type": "function", "function": {"name": "x", "parameters":
            {"minimum": 0}}}]}).encode().replace(b": 0", b": -1E+0400"), 400, "invalid_json"),
        (json.dumps({**CHAT, "chat_template_kwargs": {"x": 0}}).encode().replace(
            b": 0", b": " + b"9" * 400), 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b'{"model": "' + b"x" * (17 * 2**20) + b'"}', 413, "body_too_large"),
        (json.dumps({**CHAT, "response_format": {"type": "json_schema", "json_schema": {
            "name": "x", "schema": {"enum": ["y" * 70_000]}}}}).encode(), 400, "invalid_value"),
        (json.dumps({**CHAT, "messages": CHAT["messages"] * 5000}).encode(), 400, "invalid_value"),
    ],
)  # fmt: skip
def test_hostile_bodies_are_refused(
    server: Served, body: bytes, http_status: int, code: str
) -> None:
    found, _, told = asked(server, "/v1/chat/completions", body)
    assert (found, told["error"]["code"]) == (http_status, code)
    assert asked(server, "/health")[0] == 200


def test_wrong_paths_and_methods_are_told_in_the_same_body(server: Served) -> None:
    for path, method, http_status in (
        ("/v1/nothing", "GET", 404),
        ("/v1/responses/compact", "POST", 400),
        ("/v1/responses/compact", "GET", 400),
        ("/v1/files", "POST", 400),
        ("/v1/files/file-1/content", "GET", 400),
        ("/v1/audio/speech", "POST", 400),
        ("/v1/chat/completions/chatcmpl-1/messages", "GET", 400),
        ("/page/../app.py", "GET", 404),
        ("/page/%2e%2e%2fapp.py", "GET", 404),
        ("/v1/chat/completions", "GET", 405),
        ("/v1/models", "DELETE", 405),
    ):
        found, _, body = asked(server, path, method=method)
        assert (found, body["error"]["type"]) == (http_status, "invalid_request_error")
        assert (body["error"]["code"] == "unsupported_endpoint") is (found == 400)
    form = asked(server, "/v1/audio/transcriptions", b"{}", Content_Type="application/json")
    assert (form[0], form[2]["error"]["code"]) == (400, "invalid_form")


def test_slashes_that_a_client_put_together_are_one(server: Served) -> None:
    assert asked(server, "//v1//models")[2]["object"] == "list"
    body = json.dumps({**CHAT, "max_tokens": 1}).encode()
    assert asked(server, "/v1//chat/completions", body)[0] == 200


def test_an_upload_may_be_longer_than_openai_takes(server: Served) -> None:
    head = b"--b\r\nContent-Disposition: form-data; name="
    text = head + b'"model"\r\n\r\ntiny-whisper\r\n' + head + b'"file"; filename="a.wav"\r\n\r\n'
    content = text + bytes(40 * 2**20) + b"\r\n--b--\r\n"
    kind = "multipart/form-data; boundary=b"
    found = asked(server, "/v1/audio/transcriptions", content, Content_Type=kind)
    # All of it was read: the answer says that it is not audio.
    assert (found[0], found[2]["error"]["param"]) == (400, "file")


def test_bytes_behind_a_form_are_not_worth_a_line_in_the_log_each(server: Served) -> None:
    part = '--b\r\ncontent-disposition: form-data; name="model"\r\n\r\ntiny-whisper\r\n--b--\r\n'
    lines = len(server.log)
    for behind in (b"", b"my secret" * 50):
        kind = "multipart/form-data; boundary=b"
        found = asked(server, "/v1/audio/transcriptions", part.encode() + behind, Content_Type=kind)
        assert (found[0], found[2]["error"]["param"]) == (400, "file")
    assert server.log[lines:] == []


def test_more_text_than_any_context_holds_is_refused_unread(server: Served) -> None:
    endless = "z" * 15_000_000
    for path, fields in (
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": endless}]}),
        ("/v1/responses", {"input": endless}),
        ("/v1/responses", {"input": endless, "truncation": "auto"}),
        ("/v1/responses/input_tokens", {"input": endless}),
        ("/v1/embeddings", {"input": ["short", endless]}),
    ):
        found = asked(server, path, json.dumps({"model": "random", **fields}).encode())
        assert (found[0], found[2]["error"]["code"]) == (400, "context_length_exceeded")


def test_unknown_fields_and_extensions_pass_where_they_may(bundles: list[str]) -> None:
    with serving(*bundles, "--lenient", "--allow-extensions") as served:

        def answered(**fields: Any) -> tuple[int, Any]:
            body = json.dumps({**CHAT, "max_tokens": 4, **fields}).encode()
            http_status, _, document = asked(served, "/v1/chat/completions", body)
            return http_status, document

        assert answered(temperatur=1)[0] == 200
        http_status, held = answered(grammar='root ::= "yes"')
        assert (http_status, held["choices"][0]["message"]["content"]) == (200, "yes")
        # One that cannot be read holds nothing, so nothing may be answered.
        http_status, refused = answered(grammar="root ::= (")
        assert (http_status, refused["error"]["param"]) == (400, "grammar")


def test_the_description_names_what_is_checked(server: Served) -> None:
    described = asked(server, "/openapi.json")[2]
    chat = described["paths"]["/v1/chat/completions"]["post"]
    reference = chat["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema = described["components"]["schemas"][reference.rpartition("/")[2]]
    assert schema["required"] == ["model", "messages"]
    assert schema["additionalProperties"] is False
    form = described["paths"]["/v1/audio/transcriptions"]["post"]["requestBody"]["content"]
    assert form["multipart/form-data"]["schema"]["required"] == ["model", "file"]
    assert "/v1/models/{name}" in described["paths"]
    assert schema["properties"]["model"]["enum"] == ["tiny", "random"]
    assert form["multipart/form-data"]["schema"]["properties"]["model"]["enum"] == ["tiny-whisper"]


def test_figures_are_counted_by_model(bundles: list[str]) -> None:
    with serving(*bundles) as served:
        for stream in (False, True):
            body = {**CHAT, "max_tokens": 3, "stream": stream}
            assert asked(served, "/v1/chat/completions", json.dumps(body).encode())[0] == 200
        lines = asked(served, "/metrics")[2].decode().splitlines()
        figures = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        assert figures['sphere_edge_tokens_total{kind="completion",model="tiny"}'] == "6.0"
        assert figures['sphere_edge_first_token_seconds_count{model="tiny"}'] == "2.0"
        assert figures['sphere_edge_loaded{model="tiny"}'] == "1.0"
        path = "/v1/chat/completions"
        assert figures[f'sphere_edge_requests_total{{path="{path}",status="200"}}'] == "2.0"
