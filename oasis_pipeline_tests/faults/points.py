"""Points of a pass at which a fault can strike, counted, so that a number says where: each statement, each file operation.

Here: counting and striking inside the victim. Not here: faults that come from outside at some time.

A kill at a time lands where a pass spends its time; a kill at a point lands also between two steps that follow each other
at once, and lands there again with the same seed.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from oasis_pipeline.storage import postgres

_EVENTS = frozenset(
    {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.move", "shutil.rmtree", "os.link", "os.chmod"}
)
_count = 0
_kill_at = -1


def passed() -> int:
    """Points passed so far."""
    return _count


def arm(kill_at: int = -1, file_limit: int = 0) -> None:
    """Count points from now on.

    Parameters
    ----------
    kill_at : int
        Kill this process at the point of this number; -1 never.
    file_limit : int
        No file may grow beyond this many bytes; 0 for no limit.
    """
    global _count, _kill_at
    _count, _kill_at = 0, kill_at
    sys.addaudithook(_heard)
    for name in ("execute", "query", "ingest"):
        setattr(postgres.Transaction, name, _counted(getattr(postgres.Transaction, name)))
    os.fsync = _counted(os.fsync)
    if file_limit:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def _point() -> None:
    global _count
    if _count == _kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    _count += 1


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _EVENTS or (
        event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wxa+")
    ):
        _point()


def _counted(function: Any) -> Any:
    def call(*arguments: Any, **named: Any) -> Any:
        _point()
        return function(*arguments, **named)

    return call
