"""Dagster's storage on PostgreSQL, with connections that are kept.

Dagster's own opens a connection for each of the some hundred statements of a run, and a server process with it. Named in ``dagster.yaml``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from dagster_postgres.storage import DagsterPostgresStorage
from sqlalchemy import event, exc

from oasis_pipeline.automation.instance import storage_url
from oasis_pipeline.settings import load_settings
from oasis_pipeline.storage.server import address_of, as_dagster

_KEPT_S = 3600
_MOST = 20
_ASKED_S = 1.0
"""Within this time after it was last taken a connection is taken to be alive: asking each time is a quarter of what statements take."""


class PooledPostgresStorage(DagsterPostgresStorage):
    """`DagsterPostgresStorage`, each part of which keeps one connection and opens more while it needs them."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        parts = (self._run_storage, self._event_log_storage, self._schedule_storage)
        for part in parts:
            # what Dagster's own web server does; 0: no time-out of statements
            part.optimize_for_webserver(0, _KEPT_S, _MOST)
            event.listen(part._engine, "checkout", _ask)
        events = self._event_log_storage
        for name in ("has_table", "has_asset_key_col"):
            setattr(events, name, _remembering(getattr(events, name)))
        # an instance disposes of runs and events, and knows nothing of connections that are kept
        before = events.dispose

        def dispose() -> None:
            before()
            for part in parts:
                part._engine.dispose()

        setattr(events, "dispose", dispose)  # noqa: B010 - a method is replaced

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> PooledPostgresStorage:
        """Make it from ``dagster.yaml``."""
        plain = DagsterPostgresStorage.from_config_value(inst_data, config_value)
        return cls(plain.postgres_url, plain.should_autocreate_tables, inst_data)


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


def _remembering(ask: Callable[[str], bool]) -> Callable[[str], bool]:
    """Ask for a table or column until it is there: Dagster asks at each event, a fifth of all its statements."""
    there: set[str] = set()

    def asked(name: str) -> bool:
        if name not in there and ask(name):
            there.add(name)
        return name in there

    return asked


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
