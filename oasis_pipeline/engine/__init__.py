"""Where heavy functions of a batch are executed: on the cores of this machine, or on the nodes of a Ray cluster.

Here: the one way in which batches are read, computed and handed back in order, and the choice by ``OASIS_ENGINE``. Not here: what is
computed (``operations``), and anything of Ray, which ``on_ray`` alone imports, and only where it is chosen.

Whoever reads and stores is the process of the run: it hands each batch to the engine and gets the answers back in order, so that nodes
need no access to the warehouse and a batch that is computed twice is stored once.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from oasis_pipeline.settings import Settings

__all__ = ["LOCAL", "Engine", "EngineError", "LocalEngine", "open_engine"]

_CORES = os.cpu_count() or 1

Key = TypeVar("Key")
Inputs = TypeVar("Inputs")
Shared = TypeVar("Shared")
Computed = TypeVar("Computed")


class EngineError(RuntimeError):
    """Batches can't be executed where they should; the message says why and what to do."""


class Engine(ABC):
    """Executes functions of a batch.

    Attributes
    ----------
    threads : int
        Batches that this process looks after at once, at most.
    """

    threads: int

    @abstractmethod
    def width(self) -> int:
        """How many batches can be computed at once now."""

    @abstractmethod
    def share(self, value: Any) -> Any:
        """Make a value available to all batches of one call of `each`; returns what `run` takes for it."""

    @abstractmethod
    def run(self, compute: Callable[[Any, Any], Computed], shared: Any, inputs: Any) -> Computed:
        """Compute one batch and wait for it."""

    def report(self) -> dict[str, int]:
        """Rows that each node has computed since the last report; nothing where there are no nodes."""
        return {}

    def each(
        self,
        batches: Iterable[Key],
        read: Callable[[Key], Inputs],
        compute: Callable[[Shared, Inputs], Computed],
        shared: Shared,
    ) -> Iterator[tuple[Key, Computed]]:
        """Read and compute batches, in order, only one ahead of what can be computed at once.

        Parameters
        ----------
        batches : iterable
            What tells batches apart: days.
        read : callable
            Gives the inputs of a batch; called in this process, from several threads.
        compute : callable
            Pure function of a module, of what is shared and the inputs. NumPy and compiled code let other threads run.
        shared
            What all batches need and none changes.

        Yields
        ------
        tuple of (batch, Computed)
        """
        handle = self.share(shared)
        # wherever they are computed, the database is asked by no more than this machine's cores
        reading = BoundedSemaphore(_CORES)

        def one(batch: Key) -> Computed:
            with reading:
                inputs = read(batch)
            return self.run(compute, handle, inputs)

        wanted = iter(batches)
        ahead: deque[tuple[Key, Any]] = deque()
        with ThreadPoolExecutor(self.threads) as pool:
            while True:
                room = min(self.width(), self.threads) + 1 - len(ahead)
                ahead.extend((batch, pool.submit(one, batch)) for batch in islice(wanted, max(room, 0)))
                if not ahead:
                    return
                batch, future = ahead.popleft()
                yield batch, future.result()


class LocalEngine(Engine):
    """Threads of this process, as many as there are cores."""

    def __init__(self) -> None:
        self.threads = _CORES

    def width(self) -> int:
        """One for each core."""
        return self.threads

    def share(self, value: Any) -> Any:
        """Return the value itself."""
        return value

    def run(self, compute: Callable[[Any, Any], Computed], shared: Any, inputs: Any) -> Computed:
        """Call the function."""
        return compute(shared, inputs)


LOCAL = LocalEngine()
"""The engine of whoever chooses none."""


def open_engine(settings: Settings) -> Engine:
    """Return the engine that the settings choose; a cluster is joined once a process.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    Engine

    Raises
    ------
    EngineError
        If Ray is not installed, or the cluster does not answer.
    """
    if settings.engine == "local":
        return LOCAL
    assert settings.ray_address is not None, "checked by Settings"
    return _on_ray(settings.ray_address)


@lru_cache(maxsize=1)
def _on_ray(address: str) -> Engine:
    try:
        from oasis_pipeline.engine.on_ray import RayEngine
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise EngineError(
            "OASIS_ENGINE=ray needs a package that is not installed: pip install 'oasis-pipeline[ray]', or set OASIS_ENGINE=local"
        ) from None
    return RayEngine(address)
