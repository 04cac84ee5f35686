"""One connection to a source's database: reads only, slowly enough, and again after a fault that passes.

Here: drivers, sessions, back-off, the limit of rows a second. Not here: what is read (``statements``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import URL, make_url

from oasis_pipeline.intake.sources.base import SourceError
from oasis_pipeline.intake.sources.mapping import Mapping
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.errors import one_line

DRIVERS = {"postgresql": "postgresql+psycopg2", "mssql": "mssql+pymssql"}
WAITS_S = (1.0, 4.0, 16.0)
"""Before a statement is tried once more after a connection was lost."""

_CONNECT_S = 10


def source_url(settings: Settings) -> URL:
    """Address of the source of an installation.

    Raises
    ------
    SourceError
        If none is configured, or it can't be used.
    """
    if settings.source_url is None:
        raise SourceError(
            "no source is configured: set OASIS_SOURCE_URL in the environment or in"
            f" {settings.home / '.env'}; docs/live-source.md says how"
        )
    return parse_url(settings.source_url.get_secret_value())


def parse_url(text: str) -> URL:
    """Read ``OASIS_SOURCE_URL``.

    Raises
    ------
    SourceError
        If it can't be used; nothing of it is said, for it holds a password.
    """
    try:
        url = make_url(text)
        server = url.get_backend_name()
    except exc.ArgumentError:
        url, server = None, ""
    if url is None or server not in DRIVERS or not url.database:
        raise SourceError(
            "OASIS_SOURCE_URL is not the address of a database: write mssql://user:password@host/XSPOC or"
            " postgresql://user:password@host/database, with special characters of the password as %40 and so on"
        )
    return url.set(drivername=DRIVERS[server])


class SourceConnection:
    """A connection that is made when needed and made anew when it is lost.

    Parameters
    ----------
    url : URL
        As `parse_url` gives it.
    mapping : Mapping
        Limits.
    sleep : callable
        Waits so many seconds.

    Attributes
    ----------
    waits_s : tuple of float
        Before each further try; empty: a lost connection is an error at once.
    statements : int
        So many were sent.
    """

    def __init__(self, url: URL, mapping: Mapping, sleep: Callable[[float], None] = time.sleep) -> None:
        self.server = url.get_backend_name()
        self.where = url.set(password=None).set(drivername=self.server).difference_update_query(["password"])
        self.waits_s: tuple[float, ...] = WAITS_S
        self.statements = 0
        self._secret = url.password
        self._sleep = sleep
        self._limit = mapping.rows_per_second
        self._seconds = mapping.statement_seconds
        self._engine = _engine(url, mapping.statement_seconds)
        self._connection: sa.Connection | None = None

    def read(self, statement: sa.Select[Any]) -> list[tuple[Any, ...]]:
        """Run a SELECT in a transaction of its own, and rest so long that the limit of rows holds.

        Parameters
        ----------
        statement : Select
            Nothing else is accepted.

        Returns
        -------
        list of tuple

        Raises
        ------
        SourceError
            If the source does not answer, also after some tries, or refuses.
        """
        if not isinstance(statement, sa.Select):
            raise TypeError(f"a source is only read: {type(statement).__name__} is not a SELECT")
        for wait in (*self.waits_s, None):
            begun = time.monotonic()
            try:
                rows = self._read(statement)
            except Exception as error:
                if not _is_of_driver(error):
                    raise
                said = one_line(_said(error), secret=self._secret)
                self.close()
                if _passes(error) and wait is not None:
                    self._sleep(wait)
                    continue
                raise self._fault(said, passes=_passes(error)) from None
            rest = len(rows) / self._limit - (time.monotonic() - begun)
            if rest > 0:
                self._sleep(rest)
            return rows
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """Close it; the next read opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def _read(self, statement: sa.Select[Any]) -> list[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = self._engine.connect()
        self.statements += 1
        with self._connection.begin():
            return [tuple(row) for row in self._connection.execute(statement)]

    def _fault(self, said: str, *, passes: bool) -> SourceError:
        if passes:
            return SourceError(
                f"the source {self.where} does not answer: {said}. Check that it runs and OASIS_SOURCE_URL; nothing is lost, the next"
                " increment goes on from here"
            )
        return SourceError(
            f"the source {self.where} refuses: {said}. The login needs to read (SELECT) the tables of `oasis source check`; a statement"
            f" may take {self._seconds:g} s (statement_seconds)"
        )


_SQL_SERVER_LOST = (0, 20002, 20004, 20006, 20009, 20017, 20047, 1205, 40197, 40501, 40613)
"""Numbers of a connection that is lost or not to be had, of a lost deadlock, and of a busy server."""


def _is_of_driver(error: Exception) -> bool:
    """Whether a database or its driver said it; pymssql has errors of its own that SQLAlchemy does not know."""
    return isinstance(error, (exc.DBAPIError, exc.ResourceClosedError)) or type(error).__module__.startswith(
        "pymssql"
    )


def _said(error: Exception) -> str:
    """What a driver said, in text; pymssql puts bytes behind a number."""
    parts = error.orig.args if isinstance(error, exc.DBAPIError) and error.orig is not None else error.args
    while len(parts) == 1 and isinstance(parts[0], tuple):
        parts = parts[0]
    return " ".join(each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in parts)


def _passes(error: Exception) -> bool:
    """Whether a fault may be over soon: a connection that is lost or not to be had; not a refusal, nor a statement that takes too long."""
    if "DB-Lib error message 20003" in _said(error):
        return False  # the driver gave up a statement that took too long, and its connection with it
    if isinstance(error, exc.ResourceClosedError) or getattr(error, "connection_invalidated", False):
        return True
    orig = error.orig if isinstance(error, exc.DBAPIError) else error
    code = getattr(orig, "pgcode", None)
    if code is not None:
        # connection faults, server stopping or starting, too many connections, chosen as the victim of a deadlock
        return str(code)[:2] in ("08", "53") or str(code) in ("57P01", "57P02", "57P03", "40P01", "40001")
    number = _said(error).partition(" ")[0]
    if type(orig).__module__.startswith("pymssql") and number.isdecimal():
        # a server that is not there is told as a login that failed (18456), with the reason behind it
        return int(number) in _SQL_SERVER_LOST or (number == "18456" and "message 20009" in _said(error))
    return isinstance(error, (exc.OperationalError, exc.InterfaceError))


def _engine(url: URL, statement_seconds: float) -> sa.Engine:
    if url.get_backend_name() == "mssql":
        try:
            import pymssql  # noqa: F401
        except ImportError:
            raise SourceError(
                "SQL Server needs the driver pymssql: install it with pip install 'oasis-pipeline[mssql]'"
            ) from None
        arguments: dict[str, Any] = {
            "timeout": max(1, round(statement_seconds)),
            "login_timeout": _CONNECT_S,
            "appname": "oasis source (reads only)",
            # a busy row is waited for a little, and this session loses a deadlock
            "conn_properties": ["SET LOCK_TIMEOUT 5000", "SET DEADLOCK_PRIORITY LOW"],
        }
        # of comments on tables nothing is wanted: one statement less for each process
        return sa.create_engine(url, poolclass=sa.NullPool, connect_args=arguments, supports_comments=False)
    options = (
        f"-c default_transaction_read_only=on -c statement_timeout={round(statement_seconds * 1000)}"
        " -c lock_timeout=5000 -c idle_in_transaction_session_timeout=60000"
    )
    arguments = {
        "options": options,
        "connect_timeout": _CONNECT_S,
        "application_name": "oasis source (reads only)",
    }
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=arguments)
    return engine.execution_options(postgresql_readonly=True)


def read_columns(rows: Sequence[tuple[Any, ...]]) -> dict[str, tuple[str, dict[str, tuple[str, str]]]]:
    """Sort the answer to `statements.columns_of`: folded table -> its name, and folded column -> its name and type."""
    found: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {}
    for table, column, kind in rows:
        found.setdefault(str(table).casefold(), (str(table), {}))[1][str(column).casefold()] = (
            str(column),
            str(kind),
        )
    return found
