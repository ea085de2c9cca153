"""A proxy in front of an S3 server that answers some requests as a busy or broken one does."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_BUSY = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code>'
    "<Message>Please reduce your request rate.</Message></Error>"
)


@dataclass
class Faults:
    """Which requests fail, and how: ``rule(number, method, path)`` names a fault or None.

    Faults: ``503`` (SlowDown), ``500`` (InternalError), ``cut`` (the connection is cut in the
    middle of the answer), ``lost`` (the request is carried out, its answer is not delivered).
    """

    rule: Callable[[int, str, str], str | None] = lambda number, method, path: None
    answered: Counter[str] = field(default_factory=Counter)

    def __post_init__(self):
        self._numbers = itertools.count()

    def choose(self, method: str, path: str) -> str | None:
        fault = self.rule(next(self._numbers), method, path)
        self.answered[fault or "passed"] += 1
        return fault


@contextmanager
def fault_proxy(backend: str, faults: Faults) -> Iterator[str]:
    """The proxy's endpoint, in front of the server at ``backend``."""
    handler = type("Handler", (_Handler,), {"backend": urlsplit(backend).netloc, "faults": faults})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    backend: str
    faults: Faults

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _relay(self) -> None:
        body = self._body()
        fault = self.faults.choose(self.command, self.path)
        if fault in ("500", "503"):
            self._refuse(int(fault))
            return
        connection = HTTPConnection(self.backend, timeout=60)
        try:
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                # The signature covers the host by which the client knows the proxy.
                if name.lower() not in ("expect", "transfer-encoding", "connection"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if fault == "lost":
            self.close_connection = True
            return
        self._answer(response, content, cut=fault == "cut")

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _relay  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _refuse(self, status: int) -> None:
        code = "SlowDown" if status == 503 else "InternalError"
        content = _BUSY.format(code=code).encode() if self.command != "HEAD" else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _answer(self, response, content: bytes, cut: bool) -> None:
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        length = response.getheader("Content-Length") if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = cut
