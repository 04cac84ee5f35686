"""Reports that take seconds: made in the background, one at a time, and kept for all processes of the service.

Here: the thread that makes them, and where they are kept. Not here: what a report tells, and for how long it is true: its name says that.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

from django.core.cache.backends.filebased import FileBasedCache

from oasis_pipeline.home import open_lock

_T = TypeVar("_T")


class MadeReports(Generic[_T]):
    """Reports by name, some of the newest kept.

    Parameters
    ----------
    folder : Path
        Made if absent.
    most : int
        How many are kept.
    """

    def __init__(self, folder: Path, most: int = 100) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._kept = FileBasedCache(str(folder), {"timeout": None, "max_entries": most})
        self._lock = folder.with_suffix(".lock")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="report")
        self._guard = threading.Lock()
        self._being_made: dict[str, Future[_T]] = {}

    def get(self, name: Any, make: Callable[[], _T], patience: float) -> _T | None:
        """Give a report, and have it made where there is none.

        Parameters
        ----------
        name : object
            All that the report depends on; its ``repr`` tells it from others.
        make : callable
            Makes it, in another thread. The report is pickled, and is not None.
        patience : float
            Seconds to wait for it.

        Returns
        -------
        report or None
            None while it is being made: ask again.

        Raises
        ------
        Exception
            What `make` raised, to one of those who ask; for the next one it is made again.
        """
        key = sha256(repr(name).encode()).hexdigest()
        kept: _T | None = self._kept.get(key)
        if kept is not None:
            return kept
        with self._guard:
            making = self._being_made.get(key)
            if making is None:
                making = self._being_made[key] = self._thread.submit(self._make, key, make)
        try:
            return making.result(patience)
        except NotYet:
            # what was raised in the other thread may be of this kind too
            if making.done():
                raise
            return None
        finally:
            if making.done():
                with self._guard:
                    self._being_made.pop(key, None)

    def clear(self) -> None:
        """Forget all reports."""
        self._kept.clear()

    def _make(self, key: str, make: Callable[[], _T]) -> _T:
        # one at a time on this machine, and none twice; a process that dies lets go of the lock
        with open_lock(self._lock) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found: _T | None = self._kept.get(key)
            if found is None:
                found = make()
                self._kept.set(key, found)
        return found
