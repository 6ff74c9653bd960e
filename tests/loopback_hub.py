"""A hub on the loopback that speaks the paths we use, and that fails in the ways real ones fail."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class LoopbackHub:
    """One repository, `owner/model`; the fields change how it answers the next request."""

    files: dict[str, bytes]
    status: int = 200
    error_code: str | None = None
    file_status: int = 200
    file_error_code: str | None = None
    # Each answer ends after so many bytes of the body, though the header promised all.
    cut_after: int | None = None
    # How many answers are cut; None: all.
    cuts: int | None = None
    ranges: bool = True
    damaged: str | None = None
    info: Any = None
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    # Bytes of files that went out.
    sent_bytes: int = 0
    _server: ThreadingHTTPServer | None = None

    @property
    def endpoint(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def fetched(self) -> list[str]:
        """The files that were asked for, in order."""
        return [path.rsplit("/", 1)[1] for path, _ in self.requests if "/resolve/" in path]

    def __enter__(self) -> LoopbackHub:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = unquote(urlsplit(self.path).path)
                hub.requests.append((path, {k.lower(): v for k, v in self.headers.items()}))
                hub.answer(self, path)

            def log_message(self, *_: object) -> None:
                """The test's output stays its own."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Takes the hub down: connections are refused from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler, path: str) -> None:
        if path.startswith("/api/models/"):
            if self.status != 200:
                self._send(request, self.status, b"{}", self.error_code)
            else:
                self._send(request, 200, json.dumps(self.info or self._info()).encode())
            return
        name = path.split(f"/resolve/{COMMIT}/", 1)[1]
        if self.file_status != 200 or name not in self.files:
            status = self.file_status if self.file_status != 200 else 404
            self._send(request, status, b"", self.file_error_code)
            return
        body = self.files[name]
        if name == self.damaged:
            body = body[:-1] + bytes([body[-1] ^ 1])
        start = request.headers.get("Range")
        if not start or not self.ranges:
            self._send(request, 200, body, cut=True)
            return
        first, _, last = start.removeprefix("bytes=").partition("-")
        part = body[int(first) : int(last) + 1 if last else None]
        self._send(request, 206, part, cut=True)

    def _info(self) -> dict[str, Any]:
        siblings = []
        for name, body in self.files.items():
            blob = hashlib.sha1(f"blob {len(body)}\0".encode() + body).hexdigest()
            sibling: dict[str, Any] = {"rfilename": name, "size": len(body), "blobId": blob}
            if name.endswith((".safetensors", ".gguf", ".bin")):
                sha256 = hashlib.sha256(body).hexdigest()
                sibling["lfs"] = {"sha256": sha256, "size": len(body), "pointerSize": 130}
            siblings.append(sibling)
        return {"id": "owner/model", "sha": COMMIT, "siblings": siblings}

    def _send(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        error_code: str | None = None,
        cut: bool = False,
    ) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        if error_code is not None:
            request.send_header("X-Error-Code", error_code)
        request.end_headers()
        if cut and self.cuts != 0 and self.cut_after is not None and len(body) > self.cut_after:
            self.cuts = None if self.cuts is None else self.cuts - 1
            body = body[: self.cut_after]
        # A reader that has enough hangs up.
        with suppress(ConnectionError):
            request.wfile.write(body)
        self.sent_bytes += len(body)
