"""A field whose rows come from a simulated XSPOC."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from oasis_pipeline.intake.sources import SourceReport
from oasis_pipeline.intake.sources.database import DatabaseSource
from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.storage.objects import LocalStore
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline_tests.fixtures.xspoc import Xspoc


@dataclass
class Live:
    """An installation with a live source, and what became of its rows."""

    warehouse: Warehouse
    store: LocalStore
    settings: Settings
    xspoc: Xspoc

    def source(self, **options: Any) -> DatabaseSource:
        return DatabaseSource(
            self.settings, self.warehouse, self.store, **{"sleep": lambda _s: None, **options}
        )

    def run(self, **options: Any) -> SourceReport:
        with closing(self.source(**options)) as source:
            return source.run()

    def sweep(self) -> SourceReport:
        with self.warehouse.transaction() as tx:
            tx.execute("DELETE FROM oasis.source_task WHERE task = 'sweep'")
        return self.run()

    def configure(self, toml: str) -> None:
        self.settings.home.mkdir(parents=True, exist_ok=True)
        (self.settings.home / "source.toml").write_text(toml)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return self.warehouse.query(sql).to_pylist()

    def count(self, table: str) -> int:
        return int(self.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"])

    def now(self) -> datetime:
        """A moment of the field a few minutes ago, on the full second."""
        return self.settings.field_now().replace(microsecond=0) - timedelta(minutes=5)


@pytest.fixture
def new_live(
    new_warehouse: Callable[[], Warehouse], make_xspoc: Callable[[str], Xspoc], tmp_path: Path
) -> Callable[..., Live]:
    """Makes installations; given an XSPOC it reads that one."""

    def make(xspoc: Xspoc | None = None, **given: Any) -> Live:
        warehouse = new_warehouse()
        address = warehouse.address
        if xspoc is None:
            xspoc = make_xspoc(f"{address.db}_xspoc")
        home = tmp_path / address.db
        settings = load_settings(
            home,
            host=address.host,
            port=address.port,
            user=address.user,
            db=address.db,
            source_url=SecretStr(xspoc.address.uri()),
            **given,
        )
        return Live(warehouse, LocalStore(home / "store"), settings, xspoc)

    return make


@pytest.fixture
def live(new_live: Callable[..., Live]) -> Live:
    return new_live()
