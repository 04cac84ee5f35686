"""Real receivers on this machine: a mail server, and a web server that keeps what was posted."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.header import decode_header, make_header
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller


@dataclass
class Mailbox:
    """What a mail server took: subject and text of each."""

    port: int = 0
    mails: list[tuple[str, str]] = field(default_factory=list)
    refusing: bool = False

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refusing:
            return "451 not now"
        mail = message_from_bytes(envelope.content)
        part = next(each for each in mail.walk() if each.get_content_type() == "text/plain")
        text = part.get_payload(decode=True)
        assert isinstance(text, bytes)
        self.mails.append((str(make_header(decode_header(mail["Subject"]))), text.decode()))
        return "250 taken"


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    box = Mailbox(port)
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


@dataclass
class Posts:
    """What a web server was sent: path and body of each."""

    port: int = 0
    came: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    status: int = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def web_server() -> Iterator[Posts]:
    posts = Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if posts.status == 200:
                posts.came.append((self.path, json.loads(body)))
            self.send_response(posts.status)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    posts.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield posts
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
