"""The processes of the service: prepared, started, started again, stopped.

Here: a parent that holds the listening socket, and processes that accept from it. Not here: the command line (``commands.serve``), what
becomes of a connection (``connections``), and the application (``asgi``).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from oasis_pipeline.service import limits
from oasis_pipeline.service.asgi import HOST_VARIABLE, PARENT_VARIABLE
from oasis_pipeline.service.config import Exposure, configure
from oasis_pipeline.service.database import prepare_database
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.postgres import Warehouse

_BACKLOG = 1024
"""Connections that wait in the kernel; it takes fewer where it is told so."""

_SEND_BUFFER = 256 << 10

_STOP_SECONDS = 30.0
"""For requests under way, when the service is asked to stop."""

_SHORT_LIFE = 5.0
"""A process that ended sooner than this is started again later each time, up to `_LONGEST_PAUSE` seconds."""

_LONGEST_PAUSE = 30.0


@dataclass(frozen=True)
class Listening:
    """Where and with what the service listens.

    Attributes
    ----------
    host : str
    port : int
    workers : int
        Processes.
    certificate, key : Path or None
        Files of TLS; without them it speaks plain http.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 2
    certificate: Path | None = None
    key: Path | None = None

    @property
    def url(self) -> str:
        """Address for people."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificate else 'http'}://{name}:{self.port}"


def default_workers() -> int:
    """One process a core, four at most: the database has its share of the cores."""
    return max(1, min(os.cpu_count() or 1, 4))


def prepare(settings: Settings, warehouse: Warehouse, host: str) -> None:
    """Make the service's tables, the key and the groups; raises before anything listens.

    Parameters
    ----------
    settings : Settings
    warehouse : Warehouse
        Its tables are there.
    host : str
        Address that will be listened on.
    """
    configure(settings, warehouse.address, Exposure.from_environment(host))
    prepare_database(warehouse.address)


def serve_until_stopped(settings: Settings, listening: Listening) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are finished. A process that ends before that is started again.

    Parameters
    ----------
    settings : Settings
    listening : Listening
    """
    os.environ["OASIS_HOME"] = str(settings.home)
    os.environ[HOST_VARIABLE] = listening.host
    os.environ[PARENT_VARIABLE] = str(os.getpid())
    stop, wake = multiprocessing.Pipe(duplex=False)
    with _listener(listening.host, listening.port) as listener, _signals(lambda: wake.send(None)):
        workers = [_Worker(listening, listener) for _ in range(listening.workers)]
        try:
            while not stop.poll():
                for worker in workers:
                    worker.start_if_ended()
                wait([stop, *(worker.process.sentinel for worker in workers if worker.process)], timeout=1.0)
        finally:
            _stop(workers)


class _Worker:
    """One of the processes, and the next one in its place."""

    def __init__(self, listening: Listening, listener: socket.socket) -> None:
        self._arguments = (listening, listener)
        self._pause = 0.0
        self._began = 0.0
        self._again_at = 0.0
        self.process: SpawnProcess | None = None

    def start_if_ended(self) -> None:
        """Start it if it does not run and has not ended too often."""
        now = time.monotonic()
        if self.process is not None:
            if self.process.is_alive():
                return
            code, pid = self.process.exitcode, self.process.pid
            self.process.close()
            self.process = None
            brief = now - self._began < _SHORT_LIFE
            self._pause = min(max(2 * self._pause, 0.5), _LONGEST_PAUSE) if brief else 0.0
            self._again_at = now + self._pause
            print(  # noqa: T201 - the log of the service is its output
                f'{{"level": "error", "logger": "oasis", "message": "process {pid} of the service ended with {code};'
                f' another starts in {self._pause:.1f} s"}}',
                flush=True,
            )
        if now >= self._again_at:
            self._began = now
            # a fork would share the driver's connections and threads
            self.process = multiprocessing.get_context("spawn").Process(
                target=_serve, args=self._arguments, name="oasis-service"
            )
            self.process.start()


def _stop(workers: list[_Worker]) -> None:
    running = [worker.process for worker in workers if worker.process is not None]
    for process in running:
        with suppress(OSError):
            process.terminate()
    end = time.monotonic() + _STOP_SECONDS
    for process in running:
        process.join(max(end - time.monotonic(), 0.1))
        if process.is_alive():
            process.kill()
            process.join()


def _serve(listening: Listening, listener: socket.socket) -> None:
    """Serve in this process, until it is told to stop."""
    import uvicorn
    from django.conf import settings as django_settings

    from oasis_pipeline.service.asgi import make_application
    from oasis_pipeline.service.connections import Connection, HttpServer

    application = make_application()
    # of Django's, which is configured now
    from oasis_pipeline.service.posting import take_at_once

    config = uvicorn.Config(
        application,
        http=Connection,
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=limits.KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(_STOP_SECONDS) - 5,
        ssl_certfile=listening.certificate,
        ssl_keyfile=listening.key,
    )
    server = HttpServer(
        config,
        count_addresses=not django_settings.OASIS_EXPOSURE.behind_proxy,
        take_at_once=take_at_once,
    )
    server.run([listener])


@contextmanager
def _listener(host: str, port: int) -> Iterator[socket.socket]:
    (family, _, _, _, address), *_ = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # inherited: what a slow reader has not taken costs the kernel no more than this
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        listener.bind(address)
        listener.listen(_BACKLOG)
        yield listener


@contextmanager
def _signals(told: Callable[[], None]) -> Iterator[None]:
    """Be told of SIGINT and SIGTERM for the length of a block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, lambda *_: told()) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
