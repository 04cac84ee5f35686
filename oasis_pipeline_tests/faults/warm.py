"""A process that has imported everything and forks for each job, so that a trial pays for its fault and not for imports.

Here: the fork server and its client. Not here: what a job does (``victims``).

The server has one thread and opens nothing, so a fork of it is as good as a fresh process. A job runs in a session of its own:
its number is also the number of its process group. The answer is one line of JSON; no answer means that it was killed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

IMPORTS = (
    "adbc_driver_postgresql.dbapi",
    "boto3",
    "dbt.cli.main",
    "oasis_pipeline.automation.passes",
    "oasis_pipeline.definitions",
    "oasis_pipeline.intake",
    "oasis_pipeline_tests.faults.victims",
    "psycopg2",
    "sklearn.ensemble",
)


class Job:
    """A job under way.

    Attributes
    ----------
    pid : int
        Of the process and of its group.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("r")
        self.pid = int(self._file.readline())

    def wait(self, seconds: float) -> dict[str, Any] | None:
        """Wait for its answer; None if it was killed.

        Raises
        ------
        TimeoutError
            If it is still at work.
        """
        self._connection.settimeout(seconds)
        try:
            line = self._file.readline()
        except TimeoutError:
            raise
        except OSError:
            line = ""
        if not line:
            self._connection.close()
            return None
        answer: dict[str, Any] = json.loads(line)
        self._connection.close()
        return answer

    def kill(self) -> None:
        """Kill the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


class Warm:
    """A fork server.

    Parameters
    ----------
    folder : Path
        For its socket and its log.
    environment : mapping
        More variables of its environment: libraries to be loaded first, for example.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "warm.sock"
        self.log = folder / "warm.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "oasis_pipeline_tests.faults.warm", str(self.path), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def start(self, function: str, **arguments: Any) -> Job:
        """Start a job: a function of ``victims`` with arguments that JSON can hold."""
        end = time.monotonic() + 240
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self.path))
                break
            except OSError:
                connection.close()
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"the fork server ended: {self.log.read_text()[-2000:]}") from None
                time.sleep(0.1)
        connection.sendall(json.dumps([function, arguments]).encode() + b"\n")
        return Job(connection)

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def _serve(path: str, parent: int) -> None:
    for name in IMPORTS:
        importlib.import_module(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    listener.settimeout(1.0)
    while os.getppid() == parent:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        connection.settimeout(None)
        if os.fork():
            connection.close()
            continue
        listener.close()
        _work(connection)


def _work(connection: socket.socket) -> None:
    status = 1
    try:
        os.setsid()
        with connection.makefile("r") as file:
            function, arguments = json.loads(file.readline())
        connection.sendall(f"{os.getpid()}\n".encode())
        module = importlib.import_module("oasis_pipeline_tests.faults.victims")
        try:
            answer = {"done": getattr(module, function)(**arguments)}
        except Exception as error:
            answer = {
                "error": f"{type(error).__name__}: {' '.join(str(error).split())}",
                "trace": traceback.format_exc(),
            }
        connection.sendall(json.dumps(answer, default=str).encode() + b"\n")
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
