"""Batches as tasks of Ray Core, on the nodes of a cluster that is there already.

Here: joining a cluster, shipping inputs as Arrow tables, executing a batch again whose node was lost. Not here: starting nodes
(``docs/many-machines.md``).

The process of the run reads the inputs and ships them: nodes need neither the warehouse's password nor the bucket's, and rows that
change meanwhile can't make a batch that is executed again come out otherwise.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import pyarrow as pa

# read when Ray is imported: nothing is told to its makers
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

import oasis_pipeline
from oasis_pipeline.engine import Engine, EngineError

Computed = TypeVar("Computed")

RETRIES = 10
"""So often a batch is executed again that was lost with its node."""

MOST_AT_ONCE = 256
"""Batches under way at most, whatever the size of the cluster: each holds its inputs in memory."""

WITHOUT_NODES_SECONDS = 300.0
"""So long a batch waits while the cluster has no processor at all."""

_LOOK_SECONDS = 10.0
_NUMERICS = ("numba", "numpy", "pyarrow", "scikit-learn", "scipy")
"""Packages of which another release may give other last digits."""


class RayEngine(Engine):
    """Nodes of a Ray cluster.

    Parameters
    ----------
    address : str
        ``host:port`` of its head; this machine has to be a node of it.
    """

    def __init__(self, address: str) -> None:
        self.threads = MOST_AT_ONCE
        self._guard = Lock()
        self._rows: Counter[str] = Counter()
        self._seen_at, self._processors = 0.0, 0
        host, _, port = address.rpartition(":")
        try:
            # Ray itself tries for minutes
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
            ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, configure_logging=False)
        except (OSError, RayError, RuntimeError, ValueError) as error:
            why = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise EngineError(
                f"there is no Ray cluster at {address} that this machine is a node of ({why}): start one, join it with "
                "'ray start --address', or set OASIS_ENGINE=local"
            ) from None

    def width(self) -> int:
        """Two batches for each processor that the cluster has now: one is computed while the next is on its way."""
        return max(2 * self._count_processors(), 1)

    def share(self, value: Any) -> Any:
        """Put a value into the cluster's memory, once for all batches."""
        # pickled here, so that arrays can be written to on a node as they can in this process
        return ray.put(pickle.dumps(value, protocol=5))

    def run(self, compute: Callable[[Any, Any], Computed], shared: Any, inputs: Any) -> Computed:
        """Execute one batch on a node; again if the node is lost meanwhile."""
        tables = [each for each in (inputs if isinstance(inputs, tuple) else (inputs,)) if _is_table(each)]
        rows = max((each.num_rows for each in tables), default=1)
        if rows == 0:
            return compute(pickle.loads(ray.get(shared)), inputs)  # noqa: S301  pickled by `share`
        task = _TASK.remote(compute, [shared], inputs, fingerprint())
        found: Computed
        node, found = self._wait(task)
        with self._guard:
            self._rows[node] += rows
        return found

    def report(self) -> dict[str, int]:
        """Rows by address of the node."""
        with self._guard:
            found, self._rows = dict(sorted(self._rows.items())), Counter()
        return found

    def _wait(self, task: Any) -> Any:
        alone = 0.0
        while True:
            try:
                return ray.get(task, timeout=_LOOK_SECONDS)
            except GetTimeoutError:
                alone = 0.0 if self._count_processors() else alone + _LOOK_SECONDS
                if alone >= WITHOUT_NODES_SECONDS:
                    raise EngineError(
                        f"the Ray cluster has had no processor for {alone:.0f} s: start nodes, or set OASIS_ENGINE=local"
                    ) from None
            except RayTaskError as error:
                # the error itself, as if the batch had been computed here
                cause = getattr(error, "cause", None)
                if isinstance(cause, Exception) and not isinstance(cause, RayError):
                    raise cause from error
                raise EngineError(f"a node can't execute a batch: {_last_line(error)}") from error
            except RayError as error:
                raise EngineError(
                    f"a batch was lost {RETRIES + 1} times, each time with its process or its node: {_last_line(error)}"
                ) from error

    def _count_processors(self) -> int:
        # a question to the head, which need not be asked by every batch
        with self._guard:
            if time.monotonic() - self._seen_at > 1.0:
                self._processors = int(ray.cluster_resources().get("CPU", 0))
                self._seen_at = time.monotonic()
            return self._processors


def _is_table(value: Any) -> bool:
    return isinstance(value, pa.Table)


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


@lru_cache(maxsize=1)
def fingerprint() -> str:
    """Name the code of this process: the platform's files and the packages that results hang on."""
    digest = hashlib.sha256()
    for text in _code():
        digest.update(text)
    return digest.hexdigest()[:16]


def _code() -> Iterator[bytes]:
    root = Path(oasis_pipeline.__file__).parent
    for path in sorted([*root.rglob("*.py"), *root.rglob("*.model")]):
        yield path.relative_to(root).as_posix().encode()
        yield path.read_bytes()
    for name in _NUMERICS:
        yield f"{name} {version(name)}".encode()


def _work(
    compute: Callable[[Any, Any], Any], shared: list[Any], inputs: Any, expected: str
) -> tuple[str, Any]:
    """Execute one batch; on a node."""
    if fingerprint() != expected:
        raise EngineError(
            f"node {ray.util.get_node_ip_address()} has another release of oasis-pipeline, or of {', '.join(_NUMERICS)}, than the "
            "process of the run: install the same on every node, and start the node again"
        )
    (reference,) = shared
    return ray.util.get_node_ip_address(), compute(_shared(reference), inputs)


_held: dict[str, Any] = {}
"""What the batches of one call share, unpacked once a process."""


def _shared(reference: Any) -> Any:
    name = reference.hex()
    if name not in _held:
        _held.clear()
        _held[name] = pickle.loads(ray.get(reference))  # noqa: S301  pickled by `RayEngine.share`
    return _held[name]


# not by a decorator: nodes find the function by its name
_TASK: Any = ray.remote(num_cpus=1, max_retries=RETRIES, scheduling_strategy="SPREAD")(_work)
