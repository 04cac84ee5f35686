"""The processes of the service: prepared, started, stopped.

Here: Granian with its numbers. Not here: the command line (``commands.serve``) and the application (``asgi``).
"""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import dataclass
from pathlib import Path

from oasis_pipeline.service.asgi import HOST_VARIABLE, PARENT_VARIABLE
from oasis_pipeline.service.config import Exposure, configure
from oasis_pipeline.service.database import prepare_database
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.postgres import Warehouse

_REQUESTS_AT_ONCE = 64
"""Of one process; more wait in the kernel's queue."""


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
    """Serve until SIGINT or SIGTERM; requests under way are finished.

    Parameters
    ----------
    settings : Settings
    listening : Listening
    """
    from granian.constants import Interfaces
    from granian.log import LogLevels
    from granian.server import Server

    # a fork would share the driver's connections and threads
    multiprocessing.set_start_method("spawn", force=True)
    os.environ["OASIS_HOME"] = str(settings.home)
    os.environ[HOST_VARIABLE] = listening.host
    os.environ[PARENT_VARIABLE] = str(os.getpid())
    server = Server(
        "oasis_pipeline.service.asgi:make_application",
        factory=True,
        address=listening.host,
        port=listening.port,
        interface=Interfaces.ASGI,
        workers=listening.workers,
        backpressure=_REQUESTS_AT_ONCE,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=30,
        ssl_cert=listening.certificate,
        ssl_key=listening.key,
        log_level=LogLevels.warning,
    )
    server.serve()
