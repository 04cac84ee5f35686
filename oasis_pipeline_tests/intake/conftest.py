"""A field that drops files, and its warehouse."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oasis_pipeline.cards.codec import CardColumn, encode_hex
from oasis_pipeline.intake import PassReport, take_in
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.objects import LocalStore, ObjectStore
from oasis_pipeline.storage.postgres import Warehouse


def hex_card(peak_lbf: float = 9000.0, points: int = 20, stroke_in: float = 100.0) -> str:
    """One plain card as hex."""
    phase = 2 * np.pi * np.arange(points) / points
    position = (stroke_in / 2 * (1 - np.cos(phase))).astype(np.float32)
    load = (peak_lbf - 2000 + 2000 * np.sin(phase)).astype(np.float32)
    return encode_hex(CardColumn.from_rows([(position, load)]))[0]


def csv(*lines: str) -> str:
    return "\n".join(lines) + "\n"


@dataclass
class Field:
    """Puts files into a drop folder and looks at what became of them."""

    warehouse: Warehouse
    store: ObjectStore
    settings: Settings

    def put(self, name: str, content: str | bytes, age_s: float = 60.0) -> Path:
        self.settings.drop.mkdir(parents=True, exist_ok=True)
        path = self.settings.drop / name
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") and isinstance(content, str) else data)
        os.utime(path, (time.time() - age_s,) * 2)
        return path

    def run(self, **options: Any) -> PassReport:
        self.settings.drop.mkdir(parents=True, exist_ok=True)
        report = take_in(self.warehouse, self.store, self.settings, **options)
        assert not [warning for warning in report.warnings if "unexpected" in warning]
        for file in report.files:
            assert file.rows == file.stored + file.superseded + file.rejected, file
        return report

    def take(self, name: str, *lines: str) -> PassReport:
        """One csv file in one pass."""
        self.put(name, csv(*lines))
        return self.run()

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return self.warehouse.query(sql).to_pylist()

    def values(self, sql: str) -> list[Any]:
        return [next(iter(row.values())) for row in self.rows(sql)]

    def rejects(self) -> list[tuple[int, str]]:
        sql = 'SELECT "RowNumber", "Reason" FROM xspoc.rejected ORDER BY "SourceFile", "RowNumber"'
        return [(row["RowNumber"], row["Reason"]) for row in self.rows(sql)]

    def marks(self, asset: str) -> dict[str, int]:
        """Partition -> tick of its last change."""
        sql = f"SELECT partition, changed_tick FROM oasis.asset_state WHERE asset = '{asset}' ORDER BY partition"
        return {row["partition"]: row["changed_tick"] for row in self.rows(sql)}


@pytest.fixture
def field(warehouse: Warehouse, local_store: LocalStore, settings: Settings) -> Field:
    return Field(warehouse, local_store, settings)


@pytest.fixture
def new_field(new_warehouse: Callable[[], Warehouse], tmp_path: Path) -> Callable[[], Field]:
    """Makes fields, each with its own warehouse, home and store."""
    from oasis_pipeline.settings import load_settings

    def make() -> Field:
        warehouse = new_warehouse()
        address = warehouse.address
        home = tmp_path / address.db
        settings = load_settings(home, host=address.host, port=address.port, user=address.user, db=address.db)
        return Field(warehouse, LocalStore(home / "store"), settings)

    return make
