"""A web server with a bundle's files, for tests of downloads: whole, cut off, and wrong."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_CUT_AFTER = 3
_SILENT_S = 4


class _Handler(BaseHTTPRequestHandler):
    """`/KIND/PATH` is the file `PATH` of the bundle, answered as KIND says."""

    protocol_version = "HTTP/1.1"
    bundle: Path
    requests: list[str]

    def do_GET(self) -> None:  # noqa: N802  http.server's name
        _, kind, path = self.path.split("/", 2)
        wanted = self.headers["Range"]
        self.requests.append(f"{self.path} {wanted}")
        if kind == "nothing":
            self.send_error(404)
            return
        content = (self.bundle / path).read_bytes()
        if path == "bundle.json":
            kind = "whole"
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", wanted)
        assert asked is not None
        begin, end = int(asked[1]), int(asked[2]) + 1
        if kind == "silent":
            time.sleep(_SILENT_S)
        part = {"plain": content, "long": content * 2}.get(kind, content[begin:end])
        if kind == "shifted":
            begin += 1
        self.send_response(200 if kind == "plain" else 206)
        self.send_header("Content-Range", f"bytes {begin}-{begin + len(part) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if kind == "cut" and path.startswith("weights/"):
            before = [one for one in self.requests if one.startswith(f"{self.path} ")]
            if len(before) == _CUT_AFTER + 1:
                part = part[: len(part) // 2]
                self.close_connection = True
        self.wfile.write(part)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
        """Nothing: what was asked for is in `requests`."""


@contextmanager
def serving(bundle: Path) -> Iterator[tuple[str, list[str]]]:
    """The server's address, and path and range of each request so far."""
    requests: list[str] = []
    handler = type("Handler", (_Handler,), {"bundle": bundle, "requests": requests})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()
