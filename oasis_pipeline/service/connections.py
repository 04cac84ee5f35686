"""Connections: how many there may be, from whom, and how long they may keep the service waiting.

Here: `Places`, which counts them, the protocol that times them, and the server that accepts them. Not here: bodies and
requests (``asgi``), and processes (``server``).

Whoever opens connections and then sends nothing, or a byte a second, or takes no answer, takes the place of nobody but himself: an address has
so many places, and when they are all in use the one of its connections that has waited for its client the longest is closed for
the new one. The same goes for all addresses together.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import resource
import socket
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from oasis_pipeline.service import limits
from oasis_pipeline.service.asgi import GONE, TOLD
from oasis_pipeline.service.protocol import Scope, TakeAtOnce

_access = logging.getLogger("oasis.access")
_HEAD, _BODY, _IDLE, _ANSWER = range(4)
"""What a client is waited for: the head of a request, its body, another request, to take the answer."""

_SPARE_FILES = 128
"""Of a process: the database's sockets, logs, modules."""


class Place:
    """One connection's place.

    Attributes
    ----------
    address : str
        Whose it is.
    since : float
        When the client was last waited for anew.
    transport : asyncio.Transport or None
        None while TLS is still being agreed upon.
    protocol : Connection or None
    """

    __slots__ = ("_socket", "address", "protocol", "since", "transport")

    def __init__(self, address: str, connected: socket.socket) -> None:
        self.address = address
        self.since = time.monotonic()
        self._socket = connected
        self.transport: Any = None
        self.protocol: Connection | None = None

    def close(self) -> None:
        """End the connection at once."""
        if self.transport is not None:
            self.transport.abort()
        else:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class Places:
    """The places of one process.

    Parameters
    ----------
    most : int
        Of all addresses.
    of_address : int
        Of one.
    """

    def __init__(self, most: int, of_address: int) -> None:
        self._most = most
        self._of_address = min(of_address, most)
        self._taken: dict[str, set[Place]] = {}
        # in the order of waiting
        self._waiting: dict[str, dict[Place, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Number of places taken."""
        return self._count

    def take(self, address: str, connected: socket.socket) -> Place | None:
        """Take a place; None if there is none, not even one that waits for its client."""
        if len(self._taken.get(address, ())) >= self._of_address:
            if not self._give_way(address):
                return None
        elif self._count >= self._most and not self.make_room():
            return None
        place = Place(address, connected)
        self._taken.setdefault(address, set()).add(place)
        self._count += 1
        self.wait(place)
        return place

    def make_room(self) -> bool:
        """Close a connection of the address that has the most of those that wait for their clients."""
        if not self._waiting:
            return False
        return self._give_way(max(self._waiting, key=lambda address: len(self._waiting[address])))

    def _give_way(self, address: str) -> bool:
        for place in self._waiting.get(address, ()):
            self.leave(place)
            place.close()
            return True
        return False

    def wait(self, place: Place) -> None:
        """Note that a connection waits for its client from now on."""
        place.since = time.monotonic()
        if place in self._taken.get(place.address, ()):
            waiting = self._waiting.setdefault(place.address, {})
            waiting.pop(place, None)
            waiting[place] = None

    def work(self, place: Place) -> None:
        """Note that a connection's client waits for the service."""
        waiting = self._waiting.get(place.address)
        if waiting is not None:
            waiting.pop(place, None)
            if not waiting:
                del self._waiting[place.address]

    def leave(self, place: Place) -> None:
        """Give a place back; a second time nothing happens."""
        taken = self._taken.get(place.address)
        if taken is None or place not in taken:
            return
        self.work(place)
        taken.discard(place)
        if not taken:
            del self._taken[place.address]
        self._count -= 1

    def waiting(self) -> list[Place]:
        """Places that wait for their clients."""
        return [place for places in self._waiting.values() for place in places]


def owner_of(host: str) -> str:
    """Whom an address is counted for: an IPv6 network of 64 bits is one, for whoever has one address of it has all."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host


def most_connections() -> int:
    """Connections that the limit of open files lets this process have; raises that as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.CONNECTIONS + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
    if soft == resource.RLIM_INFINITY:
        return limits.CONNECTIONS
    return max(min(limits.CONNECTIONS, soft - _SPARE_FILES), 16)


class Connection(HttpToolsProtocol):
    """One connection: uvicorn's, watched.

    A request whose body has come together with its head is offered to ``take_at_once`` first; a task is made if that does not take it.
    """

    def __init__(
        self,
        *arguments: Any,
        place: Place,
        places: Places,
        take_at_once: TakeAtOnce | None = None,
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self._place = place
        self._places = places
        self._take_at_once = take_at_once
        self._receiving = False
        self._begun: tuple[RequestResponseCycle, Any] | None = None
        self._awaited: int | None = _HEAD
        self._head_bytes = 0
        self._moved = False
        self._left = (0.0, 0)
        self._told = False

    # ---- what uvicorn tells

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        self._place.transport, self._place.protocol = transport, self
        super().connection_made(transport)
        self._await(_HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._places.leave(self._place)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a piece of a request."""
        self._receiving = True
        try:
            if self._awaited == _IDLE:
                self._await(_HEAD)
            if self._awaited == _HEAD:
                self._head_bytes += len(data)
            super().data_received(data)
        finally:
            self._receiving = False
            if self._moved:
                self._settle()
        too_long = self._awaited == _HEAD and self._head_bytes > limits.MAX_HEAD_BYTES
        if (too_long or len(self.headers or ()) > limits.MAX_HEADERS) and not self.transport.is_closing():
            self._refuse(431, "the head of the request is too long")
        if self._begun is not None:
            self._start(*self._begun)

    def on_headers_complete(self) -> None:
        """Wait for the body."""
        self._head_bytes = 0
        if self._awaited == _HEAD:
            self._await(_BODY)
        super().on_headers_complete()
        if self.cycle is not None:
            cycle = self.cycle
            scope = cast(dict[str, Any], cycle.scope)
            scope[GONE] = lambda: cycle.disconnected
            scope[TOLD] = lambda: self._told

    def on_message_complete(self) -> None:
        """Let the client wait."""
        super().on_message_complete()
        if self._awaited == _BODY:
            self._await(None)

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it is here."""
        super().on_response_complete()
        if self._awaited != _ANSWER:
            self._await(self._next())

    def pause_writing(self) -> None:
        """Wait for the client to take the answer."""
        super().pause_writing()
        self._left = (time.monotonic(), self.transport.get_write_buffer_size())
        self._await(_ANSWER)

    def resume_writing(self) -> None:
        """Go on; the client has taken what there was."""
        super().resume_writing()
        self._await(self._next())

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no http."""
        # with a request under way it is its body that can't be read
        body = self.cycle is not None and self.cycle.more_body and not self.cycle.response_complete
        what = (
            "the body's chunks can't be read: nothing is stored" if body else "the request is not valid HTTP"
        )
        self._refuse(400, what)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._receiving:
            # the rest of what has come may be its body
            self._begun = cycle, app
        else:
            super()._start_asgi_task(cycle, app)

    # ---- what follows from it

    def _start(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Answer a request without a task if that is possible."""
        self._begun = None
        whole = not cycle.more_body and cycle.keep_alive and not cycle.waiting_for_100_continue
        sound = not self._told and not self.transport.is_closing()
        taken = (
            whole
            and sound
            and self._take_at_once is not None
            and self._take_at_once(cast(Scope, cycle.scope), bytes(cycle.body), partial(self._answer, cycle))
        )
        if not taken:
            super()._start_asgi_task(cycle, app)

    def _answer(
        self, cycle: RequestResponseCycle, status: int, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Send an answer whole."""
        cycle.response_started = cycle.response_complete = True
        if cycle.disconnected:
            return
        lines = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *headers):
            lines += (name, b": ", value, b"\r\n")
        # asked for by who stops the service meanwhile
        lines.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        lines.append(body)
        self.transport.write(b"".join(lines))
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    def _next(self) -> int | None:
        return _IDLE if self.cycle is None or self.cycle.response_complete else None

    def _await(self, what: int | None) -> None:
        self._awaited = what
        # a request that comes whole passes all states at once
        self._moved = True
        if not self._receiving:
            self._settle()

    def _settle(self) -> None:
        self._moved = False
        if self._awaited is None:
            self._places.work(self._place)
        else:
            self._places.wait(self._place)

    def expire(self, now: float) -> None:
        """End the connection if its client has been waited for long enough. Bodies have limits of their own (``asgi``)."""
        if self._awaited == _HEAD and now - self._place.since > limits.HEAD_SECONDS:
            if self._head_bytes:
                self._refuse(
                    408, f"the head of the request did not arrive within {limits.HEAD_SECONDS:.0f} s"
                )
            else:
                self.transport.close()
        elif self._awaited == _ANSWER:
            since, left = self._left
            waited, size = now - since, self.transport.get_write_buffer_size()
            if left - size >= limits.BYTES_PER_SECOND * waited and left > size:
                self._left = (now, size)
            elif waited > limits.ANSWER_SECONDS:
                self.transport.abort()

    def _refuse(self, status: int, reason: str) -> None:
        if self.transport.is_closing():
            return
        self._told = True
        fields: dict[str, Any] = {
            "status": status,
            "from": self.client[0] if self.client else "",
            "reason": reason,
        }
        if self.cycle is not None and not self.cycle.response_complete:
            fields = {"method": self.cycle.scope["method"], "path": self.cycle.scope["path"][:300], **fields}
        _access.info("", extra={"fields": fields})
        under_way = (
            self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        )
        # an answer can't begin inside of another
        if not under_way:
            body = json.dumps({"reason": reason}).encode()
            self.transport.write(
                STATUS_LINE[status] + b"content-type: application/json\r\nconnection: close\r\n"
                b"content-length: %d\r\n\r\n%b" % (len(body), body)
            )
        self.transport.close()


class HttpServer(uvicorn.Server):
    """Uvicorn with connections that have places."""

    def __init__(
        self, config: uvicorn.Config, *, count_addresses: bool, take_at_once: TakeAtOnce | None = None
    ) -> None:
        super().__init__(config)
        self._take_at_once = take_at_once
        most = most_connections()
        self.places = Places(most, limits.CONNECTIONS_PER_ADDRESS if count_addresses else most)
        self._running: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        await self.lifespan.startup()
        self.servers = []
        for listener in sockets or []:
            listener.setblocking(False)
            self._keep(self._accept(listener))
        self._keep(self._sweep())
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, and let requests under way finish."""
        for task in tuple(self._running):
            task.cancel()
        await super().shutdown(sockets)

    def _keep(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                # one at a time, so that processes that share a listener share its connections too
                connected, peer = await loop.sock_accept(listener)
            except OSError:
                # no more files, as a rule
                self.places.make_room()
                await asyncio.sleep(0.05)
                continue
            place = self.places.take(owner_of(str(peer[0])), connected)
            if place is None:
                connected.close()
                continue
            self._keep(self._connect(connected, place))

    async def _connect(self, connected: socket.socket, place: Place) -> None:
        loop = asyncio.get_running_loop()
        make = partial(
            Connection,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            _loop=loop,
            place=place,
            places=self.places,
            take_at_once=self._take_at_once,
        )
        tls: dict[str, Any] = {}
        if self.config.ssl is not None:
            tls = {
                "ssl": self.config.ssl,
                "ssl_handshake_timeout": limits.HEAD_SECONDS,
                "ssl_shutdown_timeout": limits.HEAD_SECONDS,
            }
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.connect_accepted_socket(make, connected, **tls)
        except (OSError, ssl.SSLError, asyncio.CancelledError):
            self.places.leave(place)
            connected.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(limits.HEAD_SECONDS / 10)
            now = time.monotonic()
            _expire(self.places.waiting(), now)


def _expire(places: Iterable[Place], now: float) -> None:
    for place in places:
        if place.protocol is not None:
            place.protocol.expire(now)
