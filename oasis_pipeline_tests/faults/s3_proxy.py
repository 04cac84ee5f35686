"""A proxy before an S3 server that spoils some of the answers.

Here: the proxy. Not here: the server behind it, and what a client has to make of it.
"""

from __future__ import annotations

import http.client
import random
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("500", "503", "slow", "truncated", "refused", "lost answer")
"""Two error statuses; a second of silence; an answer of which the end is missing; a connection closed at once; a request that the
server carried out but whose answer nobody gets."""

SLOW_S = 1.0


class FaultyProxy:
    """The proxy, listening on a port of this machine.

    Parameters
    ----------
    port : int
        Of the server behind it.
    """

    def __init__(self, port: int) -> None:
        self.behind = port
        self.faults: tuple[str, ...] = ()
        self.probability = 0.0
        self.rng = random.Random(0)
        self.struck = 0
        self._guard = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                proxy._handle(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815 - names of the base class

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that went away

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def spoil(self, faults: tuple[str, ...], probability: float, seed: int) -> None:
        """Spoil answers from now on; no faults: none."""
        with self._guard:
            self.faults, self.probability, self.struck = faults, probability, 0
            self.rng = random.Random(seed)

    def _choose(self) -> str:
        with self._guard:
            if self.faults and self.rng.random() < self.probability:
                self.struck += 1
                return self.rng.choice(self.faults)
        return ""

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        fault = self._choose()
        if fault == "refused":
            _hang_up(request)
            return
        body = _body(request)
        if fault in ("500", "503"):
            code = {"500": "InternalError", "503": "SlowDown"}[fault]
            text = (
                f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>made up</Message></Error>".encode()
            )
            request.send_response(int(fault))
            request.send_header("Content-Type", "application/xml")
            request.send_header("Content-Length", str(len(text)))
            request.end_headers()
            if request.command != "HEAD":
                request.wfile.write(text)
            return
        if fault == "slow":
            time.sleep(SLOW_S)
        connection = http.client.HTTPConnection("127.0.0.1", self.behind, timeout=60)
        try:
            headers = {
                name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP
            }
            if body is not None:
                headers["Content-Length"] = str(len(body))
            connection.request(request.command, request.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except OSError:
            _hang_up(request)
            return
        finally:
            connection.close()
        if fault == "lost answer":
            _hang_up(request)
            return
        request.send_response(answer.status)
        length = answer.getheader("Content-Length") if request.command == "HEAD" else None
        for name, value in answer.getheaders():
            if name.lower() not in (*_HOP_BY_HOP, "date", "server"):
                request.send_header(name, value)
        request.send_header("Content-Length", length or str(len(content)))
        request.end_headers()
        if fault == "truncated" and content:
            request.wfile.write(content[: len(content) // 2])
            request.wfile.flush()
            _hang_up(request)
            return
        request.wfile.write(content)

    def close(self) -> None:
        """Stop listening."""
        self.server.shutdown()
        self.server.server_close()


_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "host-unused", "expect")


def _body(request: BaseHTTPRequestHandler) -> bytes | None:
    if request.headers.get("Transfer-Encoding", "").lower() == "chunked":
        pieces = []
        while size := int(request.rfile.readline().split(b";")[0], 16):
            pieces.append(request.rfile.read(size))
            request.rfile.readline()
        while request.rfile.readline().strip():
            pass
        return b"".join(pieces)
    length = request.headers.get("Content-Length")
    return request.rfile.read(int(length)) if length is not None else None


def _hang_up(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True
    with suppress(OSError):
        request.connection.shutdown(socket.SHUT_RDWR)
