"""The PostgreSQL server that comes as a wheel: made, started, found again and stopped.

Here: the life of one server process over one data folder, for any number of our processes at once. Not here: databases,
tables and connections.

A server is the process that ``postmaster.pid`` names, as long as it is a PostgreSQL that works in the data folder; number, start and
folder are checked again before each signal. Stopping goes from fast over immediate to SIGKILL, because a PostgreSQL 18
that is asked for a fast stop while it recovers from the death of one of its processes never ends.

It listens on a socket in the data folder, and on a TCP port of this machine only where one is asked for, there with passwords. Both
are of the process: a server that runs already keeps what it was started with.

Three files beside the data folder hold the rules together. ``<data>.lock`` is locked while a process starts or stops the
server, so that only one does. ``<data>.users`` is locked shared by every process that holds a `lease`; the last one out stops the
server, but only if a lease started it (``<data>.leased`` exists): a server started by `start` stays until `stop`. Locks
of a killed process vanish with it, so nothing has to be cleaned up.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from oasis_pipeline.home import is_over, list_processes, make_home, open_lock, until
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
START_TIMEOUT_S = 300
"""Crash recovery after a large load takes its time."""

_STOP_TIMEOUTS_S = {signal.SIGINT: 30.0, signal.SIGQUIT: 10.0, signal.SIGKILL: 10.0}
"""A fast stop writes what is in memory; an immediate one leaves that to the recovery at the next start; a kill does, too."""

_RECOVERY_TIMEOUT_S = 60.0
"""A stop waits so long for a server that recovers."""

_ORPHANS_TIMEOUT_S = 5.0
"""Children of a killed server notice its death when they next wait for something; a busy one may not for hours."""

_SOCKET_NUMBER = 5432
"""In the name of the socket, where no port is asked for."""

_SOCKET_PATH_LIMIT = 103 if sys.platform == "darwin" else 107
_LOG_LIMIT_BYTES = 10_000_000
_MAP = "oasis"
"""Name of the map from users of the system to roles, in ``pg_ident.conf``."""

Listen = tuple[str, int]
"""Loopback host and TCP port."""

_SETTINGS = {
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


def start(data: Path, *, keep: bool = False, listen: Listen | None = None) -> Address:
    """Start the server over a data folder, or find it running.

    Parameters
    ----------
    data : Path
        Data folder; made with everything above it if absent.
    keep : bool
        True leaves the server running when the last `lease` ends, whoever started it.
    listen : (str, int), optional
        Host and port at which a server that is started now listens besides its socket.

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
        return _start(data, listen)


def running(data: Path) -> Address | None:
    """Address of the server over a data folder, or None if it does not run.

    Parameters
    ----------
    data : Path
        Data folder.

    Returns
    -------
    Address or None
        An address that takes connections right now; None also while the server starts, recovers or stops. Nothing is started.
    """
    data = _resolved(data)
    pid = _PidFile.read(data)
    return pid.address() if pid is not None and pid.status == "ready" and pid.accepts() else None


def listens_at(data: Path) -> Listen | None:
    """Host and port at which the server over a data folder takes connections besides its socket; None if it does not.

    Parameters
    ----------
    data : Path
        Data folder.

    Returns
    -------
    (str, int) or None
    """
    data = _resolved(data)
    if running(data) is None or (pid := _PidFile.read(data)) is None or not pid.listens_at:
        return None
    return pid.listens_at, pid.port


def alive(data: Path) -> bool:
    """Whether a server runs over a data folder, or is about to: one that starts or recovers takes no connections, but needs no help.

    Parameters
    ----------
    data : Path
        Data folder.

    Returns
    -------
    bool
    """
    data = _resolved(data)
    return _server(data) is not None and _status(data) != "stopping"


def process_number(data: Path) -> int:
    """Number of the server's process; 0 if it does not run."""
    server = _server(_resolved(data))
    return 0 if server is None else server.pid


def left_running(data: Path) -> bool:
    """Whether anything works in a data folder: a server in any state, or what a killed one left.

    Parameters
    ----------
    data : Path
        Data folder.

    Returns
    -------
    bool
    """
    data = _resolved(data)
    return _server(data) is not None or any(_works_in(process, data) for process in list_processes())


def stop(data: Path) -> bool:
    """Stop the server over a data folder; open transactions are rolled back, connections closed.

    A server that recovers is waited for; one that does not stop is stopped without what takes long, then killed. What a killed
    server left running is ended too.

    Parameters
    ----------
    data : Path
        Data folder.

    Returns
    -------
    bool
        False if nothing ran.

    Raises
    ------
    StorageError
        If it can't even be killed.
    """
    data = _resolved(data)
    if not data.parent.is_dir():
        return False
    with _locked(data):
        return _stop(data)


def stop_when_unused(data: Path) -> bool:
    """Stop the server, or have it stopped by the last process that holds a `lease`.

    Parameters
    ----------
    data : Path
        Data folder.

    Returns
    -------
    bool
        False if a lease keeps it for now.

    Raises
    ------
    StorageError
        As `stop`.
    """
    data = _resolved(data)
    if not data.parent.is_dir():
        return True
    with _beside_lock(data, ".users") as users, _locked(data):
        if not _is_last(users.fileno()):
            _leased(data).touch()
            return False
        _stop(data)
        return True


@contextmanager
def lease(data: Path, *, even_if_used: bool = False, listen: Listen | None = None) -> Iterator[Address]:
    """Keep the server running for the length of a block.

    Parameters
    ----------
    data : Path
        Data folder.
    even_if_used : bool
        True stops the server at the end although a person's ``psql`` or a dashboard is connected.
    listen : (str, int), optional
        As `start`.

    Yields
    ------
    Address
        As `start`. At the end the server is stopped if a lease started it, no other process holds a lease, and nobody
        else is connected.
    """
    data = _resolved(data)
    with _beside_lock(data, ".users") as users:
        with _locked(data):
            fcntl.flock(users, fcntl.LOCK_SH)
            if _server(data) is None:
                _leased(data).touch()
            try:
                address = _start(data, listen)
            except (KeyboardInterrupt, SystemExit):
                # nobody would stop what is coming up
                _stop_if_last(data, users.fileno(), None)
                raise
        try:
            yield address
        finally:
            with _locked(data):
                _stop_if_last(data, users.fileno(), None if even_if_used else address)


def _stop_if_last(data: Path, users: int, address: Address | None) -> None:
    if _is_last(users) and _leased(data).exists() and (address is None or _strangers(address) == 0):
        _stop(data)


def _is_last(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _strangers(address: Address) -> int:
    """Count connections of people and other programs: those that are neither this process's nor nameless nor dbt's."""
    import psycopg2

    try:
        with closing(psycopg2.connect(address.uri())) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                " AND pid <> pg_backend_pid() AND application_name NOT IN (%s, 'dbt', '')",
                (application_name(),),
            )
            row = cursor.fetchone()
            return int(row[0]) if row else 0
    except psycopg2.Error:
        # it has died, or recovers from the death of one of its processes: then nobody is connected any more
        return 0


def application_name() -> str:
    """Name under which connections of this process show in the server's list."""
    return f"oasis-{os.getpid()}"


def _start(data: Path, listen: Listen | None) -> Address:
    if os.geteuid() != 0:
        # before anything in it is read, which others may not
        require_own(data)
    end = time.monotonic() + START_TIMEOUT_S
    while True:
        server = _server(data)
        if server is None:
            _launch(data, listen)
        elif _status(data) == "stopping":
            # who asked for it was killed, or it hangs
            _end(data, server)
        elif _answered(data, server, end - time.monotonic()) and (address := running(data)) is not None:
            return address
        elif time.monotonic() > end:
            raise StorageError(
                f"the embedded PostgreSQL in {data} (process {server.pid}) does not accept connections after {START_TIMEOUT_S} s"
                f" (it may still recover: then try again later). See {data / 'server.log'}"
            )


def _answered(data: Path, server: psutil.Process, seconds: float) -> bool:
    """Wait while a server starts or recovers; False if it does not come so far, ends, or stops."""
    until(
        lambda: running(data) is not None or is_over(server) or _status(data) == "stopping",
        seconds,
    )
    return running(data) is not None


def _launch(data: Path, listen: Listen | None) -> None:
    """Start a server where none runs."""
    if server_user(data) is not None:
        open_the_way(data.parent.parent)
        open_the_way(binaries())
    _make(data)
    _clear_remains(data)
    if listen is not None:
        _require_free(listen)
    _configure(data, listen)
    log = data / "server.log"
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        os.truncate(log, 0)
    seen = log.stat().st_size if log.exists() else 0
    # pg_ctl hands both paths to a shell, which would read a $, a quote or a backquote in them: as seen from the folder they have none
    code, said = run(
        data, "pg_ctl", "start", "-w", "-t", str(START_TIMEOUT_S), "-s", "-l", log.name, "-D", "."
    )
    # another start, whose process was killed, may have been first
    if code != 0 and _server(data) is None:
        reason = reason_in(log, seen) or one_line(said)
        raise StorageError(f"the embedded PostgreSQL in {data} does not start: {reason}. See {log}")


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
    _end_orphans(data)
    for file in remains:
        file.unlink(missing_ok=True)


def _end_orphans(data: Path) -> bool:
    """End what a dead server left running: it holds the shared memory, and what it still does will not count.

    Returns
    -------
    bool
        False if there was nothing.
    """
    met: set[psutil.Process] = set()

    def orphans() -> list[psutil.Process]:
        # one on its way out has no working directory any more, but still the shared memory: it is waited for to its end
        met.update(process for process in list_processes() if _works_in(process, data))
        return [process for process in met if not is_over(process)]

    pid = _PidFile.read(data)
    if pid is not None and pid.pid < 0 and psutil.pid_exists(-pid.pid) and orphans():
        raise StorageError(
            f"somebody is using {data} with `postgres --single` (process {-pid.pid}): end that first"
        )
    if not orphans():
        return False
    for number in (None, signal.SIGQUIT, signal.SIGKILL):
        for process in orphans():
            if number is not None:
                _send(process, number)
        if until(lambda: not orphans(), _ORPHANS_TIMEOUT_S):
            return True
    left = ", ".join(str(process.pid) for process in orphans())
    raise StorageError(
        f"processes of a PostgreSQL that was killed still work in {data} and can't be ended: {left}"
    )


def _server(data: Path) -> psutil.Process | None:
    """The server over a data folder, whatever it does; None if there is none."""
    pid = _PidFile.read(data)
    return None if pid is None else pid.process()


def _status(data: Path) -> str:
    pid = _PidFile.read(data)
    return "" if pid is None else pid.status


def _works_in(process: psutil.Process, data: Path) -> bool:
    try:
        return (
            process.name().startswith("postgres")
            and process.status() != psutil.STATUS_ZOMBIE
            and Path(process.cwd()) == data
        )
    except psutil.Error:
        return False


def _send(process: psutil.Process, number: signal.Signals) -> None:
    """Signal this process, not another one that has got its number."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _stop(data: Path) -> bool:
    _leased(data).unlink(missing_ok=True)
    server = _server(data)
    if server is None:
        return _end_orphans(data)
    _end(data, server)
    folder = _short_socket_folder(data)
    if folder.is_dir():
        shutil.rmtree(folder, ignore_errors=True)
    return True


def _end(data: Path, server: psutil.Process) -> None:
    """End a server: fast, else immediately, else by a kill, each for a bounded time."""
    ways = dict(_STOP_TIMEOUTS_S)
    if (stopping_s := _stopping_s(data)) is not None:
        # asked already, by somebody who did not see the end of it
        if until(lambda: is_over(server), ways.pop(signal.SIGINT) - stopping_s):
            ways.clear()
    elif not _answered(data, server, _RECOVERY_TIMEOUT_S):
        # a fast stop hangs while it recovers; after an immediate one it recovers at the next start
        del ways[signal.SIGINT]
    for number, seconds in ways.items():
        _send(server, number)
        if until(lambda: is_over(server), seconds):
            break
    if not is_over(server):
        raise StorageError(
            f"the embedded PostgreSQL in {data} (process {server.pid}) is still running after it was killed"
        )
    _end_orphans(data)


def _stopping_s(data: Path) -> float | None:
    """For how long a server has been stopping; None if it is not."""
    try:
        if _status(data) != "stopping":
            return None
        return max(time.time() - (data / "postmaster.pid").stat().st_mtime, 0.0)
    except FileNotFoundError:
        return None


@dataclass(frozen=True)
class _PidFile:
    """What ``postmaster.pid`` says: process, folder, start, port, socket folder, listen address, memory, status."""

    data: Path
    pid: int
    port: int
    socket_folder: str
    listens_at: str
    status: str

    @classmethod
    def read(cls, data: Path) -> _PidFile | None:
        try:
            lines = (data / "postmaster.pid").read_text().splitlines()
            return cls(
                data,
                int(lines[0]),
                int(lines[3]) if len(lines) > 3 else _SOCKET_NUMBER,
                lines[4].strip() if len(lines) > 4 else "",
                lines[5].strip() if len(lines) > 5 else "",
                lines[7].strip() if len(lines) > 7 else "",
            )
        except FileNotFoundError:
            return None
        except PermissionError:
            raise StorageError(
                f"the data folder {data} belongs to another user; run as that user or choose another OASIS_HOME"
            ) from None
        except (ValueError, IndexError):
            return cls(data, 0, _SOCKET_NUMBER, "", "", "")

    def process(self) -> psutil.Process | None:
        """That process, if it is a server of this folder: after a reboot the number may be anybody's."""
        if self.pid <= 0:
            return None
        try:
            process = psutil.Process(self.pid)
            process.cwd()
            return process if _works_in(process, self.data) else None
        except psutil.NoSuchProcess:
            return None
        except psutil.AccessDenied:
            return process if self._asked() else None

    def accepts(self) -> bool:
        """Whether it takes connections: not while it starts, recovers or stops."""
        answer = self._asked()
        # cannot_connect_now; refused for any other reason (too many, no such role) it does take connections
        return answer[:1] == b"R" or (answer[:1] == b"E" and b"C57P03" not in answer)

    def _asked(self) -> bytes:
        """Beginning of what it says to a request for a connection, which is what ``pg_isready`` asks."""
        request = struct.pack("!i", 3 << 16) + f"user\0{SUPERUSER}\0database\0postgres\0\0".encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(5)
            try:
                client.connect(f"{self.socket_folder}/.s.PGSQL.{self.port}")
                client.sendall(struct.pack("!i", len(request) + 4) + request)
                return client.recv(1024)
            except OSError:
                return b""

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
            require_own(data)
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


def _require_free(listen: Listen) -> None:
    """Refuse a port that somebody else has: the server would say so in its log only."""
    host, port = listen
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        raise StorageError(
            f"the embedded PostgreSQL can't listen on {host}:{port} ({error.strerror}): end what listens there, or"
            " write another port into OASIS_EMBEDDED_TCP"
        ) from None


def _configure(data: Path, listen: Listen | None) -> None:
    host, port = listen or ("", _SOCKET_NUMBER)
    folder = str(_socket_folder(data)).replace("\\", "\\\\").replace("'", "''")
    lines = ["# written by the platform at each start; own settings: at the end of postgresql.conf"]
    lines += [f"{name} = '{value}'" for name, value in _SETTINGS.items()]
    # the number of the socket's name is that of the port
    lines += [f"listen_addresses = '{host}'", f"port = '{port}'", f"unix_socket_directories = '{folder}'"]
    _write(data / "oasis.conf", lines)
    _admit_by_peer(data)


def _admit_by_peer(data: Path) -> None:
    """Let in by name of the system's user, nobody on trust: the owner of the folder, this user and root, as any role.

    Lines that say ``trust`` are those of ``initdb`` and of older releases. Everything else that a person wrote stays.
    """
    hba = data / "pg_hba.conf"
    old = hba.read_text().splitlines() if hba.exists() else ["local all all trust"]
    new = [_without_trust(line) for line in old]
    if new != old:
        _write(hba, new)
    ident = data / "pg_ident.conf"
    old = ident.read_text().splitlines() if ident.exists() else []
    names = {pwd.getpwuid(uid).pw_name for uid in (0, os.geteuid(), data.stat().st_uid)}
    kept = [line for line in old if line.split()[:1] != [_MAP]]
    new = kept + [f'{_MAP} "{name}" all' for name in sorted(names)]
    if new != old:
        _write(ident, new)


def _without_trust(line: str) -> str:
    words = line.split("#", 1)[0].split()
    if "trust" not in words[3:]:
        return line
    method = f"peer map={_MAP}" if words[0] == "local" else "scram-sha-256"
    return " ".join([*words[: words.index("trust", 3)], method])


def _write(file: Path, lines: list[str]) -> None:
    """Write a file of the data folder whole or not at all, for the user that the server runs as."""
    new = file.with_name(f"{file.name}.new")
    new.write_text("\n".join(lines) + "\n")
    new.chmod(0o600)
    if os.geteuid() == 0:
        owner = file.parent.stat()
        os.chown(new, owner.st_uid, owner.st_gid)
    new.replace(file)


def _socket_folder(data: Path) -> Path:
    if len(os.fsencode(data / ".s.PGSQL.65535.lock")) <= _SOCKET_PATH_LIMIT and "," not in str(data):
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
    with _beside_lock(data, ".lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _beside_lock(data: Path, suffix: str) -> IO[str]:
    try:
        user = server_user(data)
        make_home(data.parent, None if user is None else user.pw_gid)
        return open_lock(_beside(data, suffix))
    except OSError as error:
        raise StorageError(
            f"can't write in {data.parent}: {error.strerror}; choose another OASIS_HOME"
        ) from None
