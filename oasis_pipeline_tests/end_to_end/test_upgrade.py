"""A home of an earlier release under this one: it heals by itself, and ends as a fresh home does."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from oasis_pipeline.assets.graph import GRAPH
from oasis_pipeline.automation.passes import run_pass
from oasis_pipeline.automation.staleness import current_plan
from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.migrate import prepare
from oasis_pipeline.storage.objects import open_store
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline_tests.end_to_end.test_pass import own_environment
from oasis_pipeline_tests.fixtures import earlier_release

pytestmark = pytest.mark.server

TIMES_OF_MAKING = {
    "RejectedAt",
    "received_at",
    "received_row",
    "median_lag_s",
    "loaded_at",
    "arrival",
    "created_at",
}
_TRAINED = re.compile(r"\d{8}T\d{6}")
"""A classifier is named by the time of its training."""


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    own_environment(monkeypatch)


@pytest.fixture
def earlier(embedded_server: Address, tmp_path: Path) -> Settings:
    name = f"earlier_{tmp_path.name}"[:60].lower()
    return earlier_release.restore(embedded_server, name, tmp_path / "home")


def address_of(settings: Settings) -> Address:
    return Address(str(settings.host), settings.port, str(settings.user), settings.db)


@pytest.fixture
def upgraded(earlier: Settings) -> Iterator[Warehouse]:
    """Its warehouse, opened as the first command of this release does."""
    prepare(address_of(earlier))
    with closing(Warehouse(address_of(earlier))) as warehouse:
        yield warehouse


def rows_of(warehouse: Warehouse) -> dict[str, list[str]]:
    """Rows of every table of data, times of making left out."""
    names = warehouse.query(
        "select schemaname || '.' || tablename as name from pg_tables where schemaname in ('xspoc', 'clean', 'analysis', 'iot') "
        "and tablename not like 'rawdata\\_%' order by 1"
    )["name"].to_pylist()
    found = {}
    for name in names:
        rows = warehouse.query(f"select * from {name}")
        # columns that an upgrade added stand at the end
        kept = rows.select(sorted(set(rows.column_names) - TIMES_OF_MAKING))
        found[name] = sorted(_TRAINED.sub("", str(row)) for row in kept.to_pylist())
    return found


def files_of(settings: Settings) -> dict[str, pa.Table]:
    store = open_store(settings)
    return {path: store.read_table(path) for part in ("clean/", "iot/") for path in store.list(part)}


NEW = {"clean/wellsummary", "clean/wellstatus", "clean/setpoint", "clean/worklist", "analysis/field_report"}
"""Assets that the earlier release did not have."""


def test_everything_of_the_earlier_release_is_stale(earlier: Settings, upgraded: Warehouse) -> None:
    plan = current_plan(upgraded)
    with_rows = {asset for (asset, _), state in ledger.states(upgraded).items() if state.made_tick}
    every = {asset.key for asset in GRAPH}
    assert {*plan.days, *plan.whole} == every
    assert with_rows == every - NEW
    assert all(len(days) == 7 for asset, days in plan.days.items() if asset.startswith("clean/"))
    assert plan.upgraded == plan.whole - NEW - {"models/card_forecaster"}, "its partitions are Mondays"


def told_apart(one: str, other: str) -> list[tuple[str, str]]:
    """Parts of two rows that differ."""
    return [pair for pair in zip(one.split(", "), other.split(", "), strict=False) if pair[0] != pair[1]]


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_home_of_the_earlier_release_ends_as_a_fresh_one(
    earlier: Settings, upgraded: Warehouse, embedded_server: Address, tmp_path: Path
) -> None:
    later = sorted((earlier.home / "later").iterdir())
    fresh = load_settings(
        tmp_path / "fresh",
        host=earlier.host,
        port=earlier.port,
        user=earlier.user,
        db=f"{earlier.db}_fresh"[:63],
    )
    fresh.drop.mkdir(parents=True)
    earlier_release.first_files(earlier, fresh.drop)
    results = {}
    for settings in (fresh, earlier):
        for more in ([], later):
            for path in more:
                shutil.copy(path, settings.drop / path.name)
            summary = run_pass(settings)
            assert (summary.failures, summary.waiting) == ([], {})
        with closing(Warehouse(address_of(settings))) as warehouse:
            assert not current_plan(warehouse)
            results[settings.db] = rows_of(warehouse)
    assert results[earlier.db].keys() == results[fresh.db].keys()
    for name, rows in results[earlier.db].items():
        different = [pair for pair in zip(rows, results[fresh.db][name], strict=True) if pair[0] != pair[1]]
        assert not different, (name, len(different), told_apart(*different[0]))
    ours, theirs = files_of(earlier), files_of(fresh)
    assert ours.keys() == theirs.keys()
    for path, table in ours.items():
        assert table.schema.equals(theirs[path].schema, check_metadata=True), path
        kept = [name for name in table.column_names if name not in TIMES_OF_MAKING]
        # as text, in which one value that is not a number is another
        rows, others = (each.select(kept).to_pylist() for each in (table, theirs[path]))
        assert list(map(str, rows)) == list(map(str, others)), path
