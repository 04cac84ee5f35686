"""Dagster's storage on PostgreSQL, with connections that are kept.

Dagster's own opens a connection for each of the some hundred statements of a run, and a server process with it. Named in ``dagster.yaml``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy import event, exc

from oasis_pipeline.automation.instance import storage_url
from oasis_pipeline.settings import load_settings
from oasis_pipeline.storage.server import address_of, as_dagster

_PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
_KEPT_S = 3600
_MOST = 20
_ASKED_S = 1.0
"""Within this time after it was last taken a connection is taken to be alive: asking each time is a quarter of what statements take."""


class _EventLog(PostgresEventLogStorage):
    """Dagster's event log, which asks once for what stays, and writes the many plans of a range of days together."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self._there: set[str] = set()
        super().__init__(*args, **more)

    def has_table(self, table_name: str) -> bool:
        """Whether there is a table; Dagster asks at each event, a fifth of all its statements."""
        return self._once(table_name, super().has_table)

    def has_asset_key_col(self, column_name: str) -> bool:
        """Whether the table of assets has a column."""
        return self._once(
            f"asset_keys.{column_name}", lambda _: super(_EventLog, self).has_asset_key_col(column_name)
        )

    def _once(self, name: str, ask: Callable[[str], bool]) -> bool:
        """Ask until it is there: tables and columns do not go."""
        if name not in self._there and ask(name):
            self._there.add(name)
        return name in self._there

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Store events; those that plan a materialization, one for each asset and day of a run, in one statement."""
        planned = [each for each in events if each.dagster_event_type is _PLANNED]
        others = [each for each in events if each.dagster_event_type is not _PLANNED]
        if planned:
            with self._connect() as connection:
                statement = self.prepare_insert_event_batch(planned).returning(SqlEventLogStorageTable.c.id)
                numbers = [row[0] for row in connection.execute(statement)]
            # an asset knows its newest event alone
            newest = {
                each.get_dagster_event().asset_key: (each, n)
                for each, n in zip(planned, numbers, strict=True)
            }
            for each, number in newest.values():
                self.store_asset_event(each, number)
        if others:
            super().store_event_batch(others)


class PooledPostgresStorage(DagsterPostgresStorage):
    """`DagsterPostgresStorage`, each part of which keeps one connection and opens more while it needs them."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._event_log_storage = _EventLog(self.postgres_url, should_autocreate_tables=False)
        parts = (self._run_storage, self._event_log_storage, self._schedule_storage)
        for part in parts:
            # what Dagster's own web server does; 0: no time-out of statements
            part.optimize_for_webserver(0, _KEPT_S, _MOST)
            event.listen(part._engine, "checkout", _ask)
        # an instance disposes of runs and events, and knows nothing of connections that are kept
        before = self._event_log_storage.dispose

        def dispose() -> None:
            before()
            for part in parts:
                part._engine.dispose()

        setattr(self._event_log_storage, "dispose", dispose)  # noqa: B010 - a method is replaced

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> PooledPostgresStorage:
        """Make it from ``dagster.yaml``."""
        return cls(
            pg_url_from_config(config_value), config_value.get("should_autocreate_tables", True), inst_data
        )


class InstallationStorage(PooledPostgresStorage):
    """The same in the database that the platform's settings name, whose password may come from a file."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing is said in ``dagster.yaml``."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> InstallationStorage:
        """Make it from the settings."""
        return cls(storage_url(address_of(as_dagster(load_settings()))), True, inst_data)


def _ask(connection: Any, record: Any, _: Any) -> None:
    """See whether a kept connection is still alive; a server that was started again has ended it."""
    before, record.info["asked"] = record.info.get("asked", 0.0), time.monotonic()
    if record.info["asked"] - before < _ASKED_S:
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception as error:
        # the pool throws it away and opens another one
        raise exc.DisconnectionError from error
