"""Connections that keep the service waiting: each kind ends, and none keeps others from being answered."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import uvicorn

from oasis_pipeline.service import limits
from oasis_pipeline.service.connections import Connection, HttpServer, Places, most_connections, owner_of

LARGE = 16 << 20


class Front:
    """The server with an application that says hello, or sends a large answer, or waits for a body."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self.listener.getsockname()[1]
        self.finished: list[str] = []
        config = uvicorn.Config(
            self.answer,
            http=Connection,
            loop="uvloop",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
        self.server = HttpServer(config, count_addresses=True)
        self.thread = threading.Thread(target=self.server.run, args=([self.listener],), daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            while (await receive()).get("more_body"):
                pass
        body = bytes(LARGE if scope["path"] == "/large" else 5)
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self.finished.append(scope["path"])

    def connect(self, data: bytes = b"") -> socket.socket:
        connected = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connected.sendall(data)
        return connected

    def status(self, path: str = "/") -> int:
        with closing(self.connect(get(path))) as connected:
            return int(connected.recv(65536).split()[1])

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def until_closed(connected: socket.socket) -> bytes:
    """Read until the other side has closed."""
    came = b""
    with closing(connected):
        try:
            while piece := connected.recv(65536):
                came += piece
        except ConnectionResetError:
            pass
    return came


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    for name, value in {
        "HEAD_SECONDS": 1.0,
        "ANSWER_SECONDS": 1.0,
        "CONNECTIONS_PER_ADDRESS": 16,
        "MAX_HEAD_BYTES": 4096,
    }.items():
        monkeypatch.setattr(limits, name, value)
    one = Front()
    try:
        yield one
    finally:
        one.stop()


@pytest.mark.parametrize("kind", ["silent", "head", "body", "idle", "reader"])
def test_many_that_wait_keep_nobody_else_out(front: Front, kind: str) -> None:
    sent = {
        "silent": b"",
        "head": b"GET / HTTP/1.1\r\nHost: x\r\n",
        "body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1",
        "idle": get("/"),
        "reader": get("/large"),
    }[kind]
    held = []
    for _ in range(80):
        held.append(front.connect(sent))
        if len(held) % 20 == 0:
            assert front.status() == 200
    assert len(front.server.places) <= limits.CONNECTIONS_PER_ADDRESS
    for one in held:
        one.close()


def test_who_keeps_the_service_waiting_is_told_so_or_cut_off(front: Front) -> None:
    assert until_closed(front.connect()) == b"", "said nothing"
    assert b" 408 " in until_closed(front.connect(b"GET / HTTP/1.1\r\nHost:"))
    assert until_closed(front.connect(b"\r\n")).count(b" 408 ") <= 1

    slow = front.connect(get("/large"))
    time.sleep(2.5)
    assert len(until_closed(slow)) < LARGE, "took nothing for too long"
    steady = front.connect(get("/large"))
    came = b""
    while len(came) < LARGE:
        came += steady.recv(1 << 20)
        time.sleep(0.1)
    steady.close()


def test_a_trickled_head_ends_in_time_all_the_same(front: Front) -> None:
    connected = front.connect(b"GET / HTTP/1.1\r\n")
    came = b""
    connected.settimeout(0.1)
    for _ in range(100):
        try:
            connected.sendall(b"X-A: b\r\n")
            came += connected.recv(1000)
        except TimeoutError:
            continue
        except OSError:
            break
        if came:
            break
    assert b" 408 " in came
    connected.close()


def test_what_is_no_http_is_refused_in_json(front: Front) -> None:
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    for bad, status in (
        (b"\x16\x03\x01\x00", b" 400 "),
        (b"GET / SPAM/7\r\n\r\n", b" 400 "),
        (chunked + b"zz\r\nabc\r\n", b" 400 "),
        (b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 300 + b"\r\n", b" 431 "),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 8000, b" 431 "),
        (chunked + b"1\r\na\r\n0\r\n" + b"X-T: b\r\n" * 300, b" 431 "),
    ):
        came = until_closed(front.connect(bad))
        assert status in came, (bad[:40], came)
        assert came.endswith(b'"}'), came
        assert b"application/json" in came


def test_requests_of_one_connection_are_answered_in_turn(front: Front) -> None:
    with closing(front.connect(get("/a") + get("/b") + get("/c"))) as connected:
        came = b""
        while came.count(b"HTTP/1.1 200") < 3:
            came += connected.recv(1000)
        time.sleep(1.5)
        connected.sendall(get("/d"))
        assert b" 200 " in connected.recv(1000), "an idle connection has longer than a head"
    assert front.finished == ["/a", "/b", "/c", "/d"]


def test_places_go_to_the_newest_and_to_every_address() -> None:
    async def play() -> None:
        pairs = [socket.socketpair() for _ in range(12)]
        places = Places(6, 3)
        taken = [places.take("a", one) for one, _ in pairs[:3]]
        assert all(taken)
        places.work(taken[0])  # type: ignore[arg-type]
        fourth = places.take("a", pairs[3][0])
        assert fourth is not None
        assert pairs[1][1].recv(1) == b"", "the one that has waited longest was closed, not the one at work"
        assert len(places) == 3
        others = [places.take("b", one) for one, _ in pairs[4:7]]
        assert all(others)
        assert len(places) == 6
        assert places.take("c", pairs[7][0]) is not None, "a new address takes from the one that has most"
        assert len(places) == 6
        for place in (*taken, fourth, *others):
            if place is not None:
                places.leave(place)
                places.leave(place)
        assert len(places) == 1
        for pair in pairs:
            for end in pair:
                end.close()

    asyncio.run(play())


def test_when_all_are_at_work_a_newcomer_is_refused() -> None:
    places = Places(2, 1)
    with socket.socket() as one:
        place = places.take("a", one)
        assert place is not None
        places.work(place)
        assert places.take("a", one) is None
        assert places.take("b", one) is not None
        assert len(places) == 2


def test_whom_an_address_is_counted_for() -> None:
    assert owner_of("10.0.0.1") == "10.0.0.1"
    assert owner_of("::ffff:10.0.0.1") == "10.0.0.1"
    assert owner_of("2001:db8::1%eth0") == owner_of("2001:db8::ffff:2") == "2001:db8::/64"
    assert owner_of("2001:db8:0:1::1") != owner_of("2001:db8::1")
    assert 16 <= most_connections() <= limits.CONNECTIONS


class Desk:
    """Takes posts to /taken at once; answers when it is told to."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.waiting: list[tuple[Any, Any]] = []

    def take(self, scope: Any, data: bytes, send: Any) -> bool:
        if scope["path"] != "/taken":
            return False
        self.bodies.append(data)
        self.waiting.append((asyncio.get_running_loop(), send))
        return True

    def answer(self, body: bytes = b"taken") -> None:
        end = time.monotonic() + 20
        while not self.waiting:
            assert time.monotonic() < end
            time.sleep(0.005)
        loop, send = self.waiting.pop(0)
        loop.call_soon_threadsafe(send, 200, [(b"content-length", b"%d" % len(body))], body)


@pytest.fixture
def desk(front: Front) -> Desk:
    made = Desk()
    front.server._take_at_once = made.take
    return made


def post(path: str, body: bytes, head: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"POST %b HTTP/%b\r\nHost: localhost\r\nContent-Length: %d\r\n%b\r\n%b" % (
        path.encode(),
        version,
        len(body),
        head,
        body,
    )


def test_a_request_that_comes_whole_may_be_taken_at_once(front: Front, desk: Desk) -> None:
    with closing(front.connect()) as connected:
        for body in (b"one", b"", b"three"):
            connected.sendall(post("/taken", body))
            desk.answer(b"taken " + body)
            came = connected.recv(65536)
            assert came.startswith(b"HTTP/1.1 200 ")
            assert came.endswith(b"\r\n\r\ntaken " + body)
        connected.sendall(post("/", b"not taken"))
        assert connected.recv(65536).startswith(b"HTTP/1.1 200 ")
        # the answer of the application is two pieces
        connected.sendall(get("/"))
        assert b" 200 " in connected.recv(65536)
    assert desk.bodies == [b"one", b"", b"three"]
    assert front.finished[0] == "/"


def test_others_go_to_the_application(front: Front, desk: Desk) -> None:
    with closing(front.connect()) as connected:
        whole = post("/taken", b"in pieces")
        connected.sendall(whole[:-3])
        time.sleep(0.1)
        connected.sendall(whole[-3:])
        assert b" 200 " in connected.recv(65536)
    for request in (
        post("/taken", b"x", b"Expect: 100-continue\r\n"),
        post("/taken", b"x", b"Connection: close\r\n"),
        post("/taken", b"x", version=b"1.0"),
    ):
        with closing(front.connect(request)) as connected:
            assert b"HTTP/1.1 " in connected.recv(65536)
    # a chunk that can't be read
    chunks = b"POST /taken HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"
    assert b" 400 " in until_closed(front.connect(chunks))
    # more headers than there may be
    many = b"".join(b"X-%d: 1\r\n" % i for i in range(limits.MAX_HEADERS + 1))
    assert b" 431 " in until_closed(front.connect(post("/taken", b"x", many)[:4000]))
    assert desk.bodies == []


def test_requests_behind_one_that_was_taken_wait_for_it(front: Front, desk: Desk) -> None:
    with closing(front.connect(post("/taken", b"one") + get("/") + post("/taken", b"two"))) as connected:
        time.sleep(0.2)
        assert front.finished == []
        desk.answer(b"first of all")
        came = b""
        while came.count(b"HTTP/1.1 200 ") < 3:
            came += connected.recv(65536)
        assert came.index(b"first of all") < came.index(bytes(5))
    assert desk.bodies == [b"one"], "what has waited in line goes to the application"
    assert front.finished == ["/", "/taken"]


def test_who_has_gone_is_not_answered_and_who_waits_is_answered_before_the_end(
    front: Front, desk: Desk
) -> None:
    front.connect(post("/taken", b"gone")).close()
    time.sleep(0.1)
    desk.answer()
    assert front.status() == 200, "and nobody else is harmed"
    with closing(front.connect(post("/taken", b"waits"))) as connected:
        while not desk.waiting:
            time.sleep(0.005)
        front.server.should_exit = True
        time.sleep(0.3)
        desk.answer()
        came = until_closed(connected)
    assert came.endswith(b"taken")
    assert b"connection: close" in came
