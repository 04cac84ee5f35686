"""The PostgreSQL server that comes as a wheel: made, started, found again and stopped.

Here: the life of one server process over one data folder, for any number of our processes at once. Not here: databases,
tables and connections.

Three files beside the data folder hold the rules together. ``<data>.lock`` is locked while a process starts or stops the
server, so that only one does. ``<data>.users`` is locked shared by every process that holds a `lease`; the last one out stops the
server, but only if a lease started it (``<data>.leased`` exists): a server started by `start` stays until `stop`. Locks
of a killed process vanish with it, so nothing has to be cleaned up.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import socket
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.binaries import (
    MAJOR,
    binaries,
    open_the_way,
    reason_in,
    require_own,
    run,
    server_user,
)
from oasis_pipeline.storage.errors import StorageError, one_line

SUPERUSER = "postgres"
START_TIMEOUT_S = 120
"""Crash recovery after a large load takes its time."""

_SOCKET_PATH_LIMIT = 103 if sys.platform == "darwin" else 107
_LOG_LIMIT_BYTES = 10_000_000

_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "effective_cache_size": "1GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "datestyle": "iso, mdy",
    "log_line_prefix": "%m [%p] ",
    "random_page_cost": "1.1",
    "jit": "off",
}


def start(data: Path, *, keep: bool = False) -> Address:
    """Start the server over a data folder, or find it running.

    Parameters
    ----------
    data : Path
        Data folder; made with everything above it if absent.
    keep : bool
        True leaves the server running when the last `lease` ends, whoever started it.

    Returns
    -------
    Address
        Address of the database ``postgres``. The server outlives this process.

    Raises
    ------
    StorageError
        If the server can't be made or started; the message ends with the server's own reason.
    """
    data = _resolved(data)
    with _locked(data):
        if keep:
            _leased(data).unlink(missing_ok=True)
        return _start(data)


def running(data: Path) -> Address | None:
    """Address of the server over a data folder, or None if it does not run.

    Parameters
    ----------
    data : Path
        Data folder.

    Returns
    -------
    Address or None
        An address that answers right now. Nothing is started.
    """
    data = _resolved(data)
    pid = _PidFile.read(data)
    return pid.address() if pid is not None and pid.ready and pid.answers() else None


def stop(data: Path) -> bool:
    """Stop the server over a data folder; open transactions are rolled back, connections closed.

    Parameters
    ----------
    data : Path
        Data folder.

    Returns
    -------
    bool
        False if it did not run.

    Raises
    ------
    StorageError
        If it does not stop in time.
    """
    data = _resolved(data)
    if not data.parent.is_dir():
        return False
    with _locked(data):
        return _stop(data)


@contextmanager
def lease(data: Path, *, even_if_used: bool = False) -> Iterator[Address]:
    """Keep the server running for the length of a block.

    Parameters
    ----------
    data : Path
        Data folder.
    even_if_used : bool
        True stops the server at the end although a person's ``psql`` or a dashboard is connected.

    Yields
    ------
    Address
        As `start`. At the end the server is stopped if a lease started it, no other process holds a lease, and nobody
        else is connected.
    """
    data = _resolved(data)
    data.parent.mkdir(parents=True, exist_ok=True)
    with _beside(data, ".users").open("a") as users:
        with _locked(data):
            fcntl.flock(users, fcntl.LOCK_SH)
            if running(data) is None:
                _leased(data).touch()
            address = _start(data)
        try:
            yield address
        finally:
            with _locked(data):
                _stop_if_last(data, users.fileno(), None if even_if_used else address)


def _stop_if_last(data: Path, users: int, address: Address | None) -> None:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    if _leased(data).exists() and running(data) is not None and (address is None or _strangers(address) == 0):
        _stop(data)


def _strangers(address: Address) -> int:
    """Count connections of people and other programs: those that are neither this process's nor nameless nor dbt's."""
    import psycopg2

    try:
        connection = psycopg2.connect(address.uri())
    except psycopg2.Error:
        return 0
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND pid <> pg_backend_pid() AND application_name NOT IN (%s, 'dbt', '')",
            (application_name(),),
        )
        row = cursor.fetchone()
        return int(row[0]) if row else 0


def application_name() -> str:
    """Name under which connections of this process show in the server's list."""
    return f"oasis-{os.getpid()}"


def _start(data: Path) -> Address:
    require_own(data)
    if (pid := _PidFile.read(data)) is not None and pid.alive():
        # recovering after a crash, or started by a process that was killed before it saw the end of the start
        return _await_ready(data)
    if server_user(data) is not None:
        open_the_way(data.parent)
        open_the_way(binaries())
    _make(data)
    _configure(data)
    _clear_remains(data)
    log = data / "server.log"
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        os.truncate(log, 0)
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        seen = log.stat().st_size if log.exists() else 0
        # pg_ctl hands both paths to a shell, which would read a $, a quote or a backquote in them: as seen from the folder they have none
        code, said = run(
            data, "pg_ctl", "start", "-w", "-t", str(START_TIMEOUT_S), "-s", "-l", log.name, "-D", "."
        )
        if code == 0:
            return _await_ready(data)
        reason = reason_in(log, seen) or one_line(said)
        # after kill -9 of the server its last children hold the shared memory until they notice
        if "shared memory block" not in reason or time.monotonic() > deadline:
            raise StorageError(f"the embedded PostgreSQL in {data} does not start: {reason}. See {log}")
        time.sleep(0.5)


def _clear_remains(data: Path) -> None:
    """Remove lock files of a server that is dead, once none of its processes is left.

    The server would do so itself, but takes a dead process that nobody has reaped yet (in a container), or another one
    that has got its number (after a reboot), for the owner. Files are removed only when no process works in the folder, for
    they are what keeps two servers from one folder.
    """
    remains = [
        file for file in (data / "postmaster.pid", *_socket_folder(data).glob(".s.PGSQL.*")) if file.exists()
    ]
    if not remains:
        return
    deadline = time.monotonic() + START_TIMEOUT_S
    while any(_works_in(process, data) for process in psutil.process_iter()):
        if time.monotonic() > deadline:
            raise StorageError(
                f"processes of a PostgreSQL that was killed still work in {data}: end them first"
            )
        time.sleep(0.2)
    for file in remains:
        file.unlink(missing_ok=True)


def _works_in(process: psutil.Process, data: Path) -> bool:
    try:
        return (
            process.name().startswith("postgres")
            and process.status() != psutil.STATUS_ZOMBIE
            and Path(process.cwd()) == data
        )
    except psutil.Error:
        return False


def _await_ready(data: Path) -> Address:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if (address := running(data)) is not None:
            return address
        pid = _PidFile.read(data)
        if pid is None or not pid.alive():
            break
        time.sleep(0.05)
    raise StorageError(
        f"the embedded PostgreSQL in {data} does not answer: {reason_in(data / 'server.log', 0) or 'no reason in its log'}."
        f" See {data / 'server.log'}"
    )


def _stop(data: Path) -> bool:
    _leased(data).unlink(missing_ok=True)
    pid = _PidFile.read(data)
    if pid is None or not pid.alive():
        return False
    code, said = run(data, "pg_ctl", "stop", "-w", "-t", "60", "-s", "-m", "fast", "-D", str(data))
    if code != 0 and pid.alive():
        raise StorageError(
            f"the embedded PostgreSQL in {data} (process {pid.pid}) does not stop: {one_line(said)}"
        )
    folder = _short_socket_folder(data)
    if folder.is_dir():
        shutil.rmtree(folder, ignore_errors=True)
    return True


@dataclass(frozen=True)
class _PidFile:
    """What ``postmaster.pid`` says: process, folder, start, port, socket folder, listen address, memory, status."""

    data: Path
    pid: int
    port: int
    socket_folder: str
    ready: bool

    @classmethod
    def read(cls, data: Path) -> _PidFile | None:
        try:
            lines = (data / "postmaster.pid").read_text().splitlines()
            return cls(
                data,
                int(lines[0]),
                int(lines[3]) if len(lines) > 3 else 5432,
                lines[4].strip() if len(lines) > 4 else "",
                len(lines) > 7 and lines[7].strip() == "ready",
            )
        except FileNotFoundError:
            return None
        except PermissionError:
            raise StorageError(
                f"the data folder {data} belongs to another user; run as that user or choose another OASIS_HOME"
            ) from None
        except (ValueError, IndexError):
            return cls(data, 0, 5432, "", False)

    def alive(self) -> bool:
        """Whether that process is a server of this folder: after a reboot the number may be anybody's."""
        if self.pid <= 0:
            return False
        try:
            process = psutil.Process(self.pid)
            process.cwd()
            return _works_in(process, self.data)
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return self.answers()

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(5)
            try:
                client.connect(f"{self.socket_folder}/.s.PGSQL.{self.port}")
            except OSError:
                return False
            return True

    def address(self) -> Address:
        return Address(self.socket_folder, self.port, SUPERUSER, "postgres")


def _make(data: Path) -> None:
    """Make the data folder under another name, then rename it, so that a half-made one is never taken for a whole one."""
    if data.exists():
        version = data / "PG_VERSION"
        if not version.exists():
            if any(data.iterdir()):
                raise StorageError(
                    f"{data} is not a PostgreSQL data folder; move it away or choose another OASIS_HOME"
                )
            data.rmdir()
        elif version.read_text().strip() != str(MAJOR):
            raise StorageError(
                f"{data} was made by PostgreSQL {version.read_text().strip()}, this release brings {MAJOR}:"
                f" dump it with the release that made it, move the folder away, and restore the dump"
            )
        else:
            return
    user = server_user(data)
    new = data.with_name(f".{data.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    if user is not None:
        os.chown(new, user.pw_uid, user.pw_gid)
    # the built-in C.UTF-8 orders by code point and knows letter case, the same on every system
    code, said = run(
        new, "initdb", "-D", str(new), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C",
        "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
    )  # fmt: skip
    if code != 0:
        shutil.rmtree(new, ignore_errors=True)
        reasons = [
            line for line in said.splitlines() if "error:" in line or "FATAL" in line or "could not" in line
        ]
        raise StorageError(
            f"can't make a PostgreSQL data folder in {data.parent}: {one_line(' '.join(reasons) or said)}"
        )
    with (new / "postgresql.conf").open("a") as conf:
        conf.write("\ninclude 'oasis.conf'    # rewritten at each start; own settings go below this line\n")
    new.rename(data)


def _configure(data: Path) -> None:
    folder = str(_socket_folder(data)).replace("\\", "\\\\").replace("'", "''")
    lines = ["# written by the platform at each start; own settings: at the end of postgresql.conf"]
    lines += [f"{name} = '{value}'" for name, value in _SETTINGS.items()]
    lines.append(f"unix_socket_directories = '{folder}'")
    new = data / "oasis.conf.new"
    new.write_text("\n".join(lines) + "\n")
    new.chmod(0o644)
    new.rename(data / "oasis.conf")


def _socket_folder(data: Path) -> Path:
    if len(os.fsencode(data / ".s.PGSQL.5432.lock")) <= _SOCKET_PATH_LIMIT and "," not in str(data):
        return data
    folder = _short_socket_folder(data)
    folder.mkdir(mode=0o700, exist_ok=True)
    user = server_user(data)
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    mode = folder.lstat()
    if (
        not stat.S_ISDIR(mode.st_mode)
        or mode.st_uid != (user.pw_uid if user else os.geteuid())
        or mode.st_mode & 0o077
    ):
        raise StorageError(f"{folder} belongs to somebody else; remove it or choose a shorter OASIS_HOME")
    return folder


def _short_socket_folder(data: Path) -> Path:
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    short = len(runtime) < 60 and os.geteuid() != 0 and os.path.isdir(runtime)  # noqa: PTH112 - may be empty
    return Path(runtime if short else "/tmp") / f"oasis-{name}"  # noqa: S108 - made private and checked by the caller


def _resolved(data: Path) -> Path:
    return data.expanduser().resolve()


def _beside(data: Path, suffix: str) -> Path:
    return data.with_name(data.name + suffix)


def _leased(data: Path) -> Path:
    return _beside(data, ".leased")


@contextmanager
def _locked(data: Path) -> Iterator[None]:
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
        file = _beside(data, ".lock").open("a")
    except OSError as error:
        raise StorageError(
            f"can't write in {data.parent}: {error.strerror}; choose another OASIS_HOME"
        ) from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
