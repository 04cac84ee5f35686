"""What a process of the service shares among its requests: the warehouse, the throttle, places to read and write.

Here: one object of each a process. Not here: what requests do with them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from oasis_pipeline.service import limits
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.throttle import Throttle
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.postgres import Transaction, Warehouse

_writers = threading.BoundedSemaphore(limits.WRITERS)
_readers = threading.BoundedSemaphore(limits.READERS)


@lru_cache(maxsize=1)
def installation() -> Settings:
    """The installation that Django was configured for."""
    from django.conf import settings

    found: Settings = settings.OASIS_SETTINGS
    return found


@lru_cache(maxsize=1)
def warehouse() -> Warehouse:
    """The warehouse, its tables made or brought up to date when the service started."""
    from django.conf import settings

    return Warehouse(settings.OASIS_ADDRESS)


@lru_cache(maxsize=1)
def throttle() -> Throttle:
    """The buckets of this installation."""
    return Throttle(installation().home / "service" / "throttle")


@contextmanager
def _place(places: threading.BoundedSemaphore) -> Iterator[None]:
    if not places.acquire(timeout=limits.WAIT_SECONDS):
        raise ApiError(503, "the service is busy: try again in a few seconds", headers={"Retry-After": "5"})
    try:
        yield
    finally:
        places.release()


@contextmanager
def writing() -> Iterator[None]:
    """Hold one of this process's places for writers."""
    with _place(_writers):
        yield


@contextmanager
def reading(seconds: int = limits.QUERY_SECONDS) -> Iterator[Transaction]:
    """Hold one of this process's places for readers, and a read-only transaction with a limit of time.

    Parameters
    ----------
    seconds : int
        For each statement.

    Yields
    ------
    Transaction
    """
    with _place(_readers), warehouse().transaction() as tx:
        tx.execute("SET TRANSACTION READ ONLY")
        tx.execute(f"SET LOCAL statement_timeout = '{int(seconds)}s'")
        yield tx
