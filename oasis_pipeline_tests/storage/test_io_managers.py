"""Parquet IO managers in real runs: one day, a range, everything; in a folder and in S3."""

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from oasis_pipeline.assets.resources import ParquetIOManager, StoreResource, build_resources
from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.storage.day_files import (
    day_path,
    read_day,
    read_days,
    stamped,
    stored_days,
    table_path,
    write_days,
)
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.objects import LocalStore, ObjectStore, S3Store, open_store
from oasis_pipeline.storage.versions import OtherVersionError

FIRST = date(2024, 1, 1)
DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-11")
ROWS: dict[date, list[float]] = {}
"""What the upstream asset computes, by day; tests change it."""


def readings(first: date, last: date) -> pa.Table:
    pairs = [
        (datetime(d.year, d.month, d.day, 5), v)
        for d, vs in sorted(ROWS.items())
        if first <= d <= last
        for v in vs
    ]
    return pa.table(
        {
            "NodeID": pa.array([f"well {i}" for i in range(len(pairs))]),
            "Date": pa.array([time for time, _ in pairs], pa.timestamp("ms")),
            "value": pa.array([value for _, value in pairs], pa.float64()),
        }
    )


def span(context: dg.AssetExecutionContext) -> tuple[date, date]:
    keys = context.partition_key_range
    return date.fromisoformat(keys.start), date.fromisoformat(keys.end)


seen: dict[str, Any] = {}

PER_DAY: dict[str, Any] = {
    "partitions_def": DAYS,
    "io_manager_key": "parquet_io",
    "backfill_policy": dg.BackfillPolicy.single_run(),
}


@dg.asset(key=["iot", "readings"], **PER_DAY)
def by_day(context: dg.AssetExecutionContext) -> pa.Table:
    return readings(*span(context))


@dg.asset(key=["iot", "stream"], metadata={"partition_column": "when"}, **PER_DAY)
def as_stream(context: dg.AssetExecutionContext) -> dg.Output:  # type: ignore[type-arg]
    first, last = span(context)

    def tables() -> Iterator[pa.Table]:
        day = first
        while day <= last:
            yield readings(day, day).rename_columns(["NodeID", "when", "value"])
            day += timedelta(days=1)

    # bare, Dagster would take the generator for one of events
    return dg.Output(tables(), metadata={"version": 1})


@dg.asset(
    key=["iot", "same_days"],
    ins={"rows": dg.AssetIn(key=["iot", "readings"], metadata={"columns": ["value"]})},
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def same_days(rows: pa.Table) -> None:
    seen["same_days"] = rows


@dg.asset(
    key=["iot", "whole"], ins={"rows": dg.AssetIn(key=["iot", "readings"])}, io_manager_key="parquet_io"
)
def whole(rows: pa.Table) -> pa.Table:
    return rows


@dg.asset(key=["iot", "after_whole"], ins={"rows": dg.AssetIn(key=["iot", "whole"])})
def after_whole(rows: pa.Table) -> None:
    seen["after_whole"] = rows


ASSETS = [by_day, as_stream, same_days, whole, after_whole]
Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture(params=["folder", "s3"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    ROWS.clear()
    ROWS.update({FIRST: [1.0, 2.0], FIRST + timedelta(days=1): [3.0], FIRST + timedelta(days=3): [4.0]})
    if request.param == "folder":
        return load_settings(tmp_path / "home")
    made: S3Store = request.getfixturevalue("s3_store")
    return load_settings(
        tmp_path / "home", s3_bucket=made.bucket, s3_prefix=made.prefix, s3_endpoint=made.endpoint
    )


@pytest.fixture
def store(installation: Settings) -> ObjectStore:
    return open_store(installation)


@pytest.fixture
def run(installation: Settings) -> Run:
    definitions = dg.Definitions(
        assets=ASSETS, resources=build_resources(installation), executor=dg.in_process_executor
    )

    def one_run(
        asset: dg.AssetsDefinition, first: str | None = None, last: str | None = None, **options: Any
    ) -> Any:
        job = definitions.resolve_implicit_global_asset_job_def()
        tags = (
            {}
            if first is None
            else {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        )
        key = {"partition_key": first} if first is not None and first == last else {"tags": tags}
        return job.execute_in_process(asset_selection=[asset.key], **key, **options)

    return one_run


def metadata_of(result: Any) -> dict[str, Any]:
    event = next(e for e in result.all_events if e.event_type_value == "ASSET_MATERIALIZATION")
    return {name: value.value for name, value in event.materialization.metadata.items()}


@pytest.mark.server
class TestRuns:
    def test_one_day_is_one_file(self, run: Run, store: ObjectStore) -> None:
        result = run(by_day, "2024-01-01", "2024-01-01")
        assert store.list() == ["iot/readings/2024-01-01.parquet"]
        facts = metadata_of(result)
        assert facts["rows"] == 2
        assert facts["bytes"] == store.size("iot/readings/2024-01-01.parquet")
        assert facts["path"] == f"{store.url}/iot/readings/2024-01-01.parquet"
        assert store.read_table(day_path("iot/readings", FIRST)).equals(readings(FIRST, FIRST))

    @pytest.mark.parametrize(("asset", "name"), [(by_day, "iot/readings"), (as_stream, "iot/stream")])
    def test_a_range_is_one_run_with_a_file_for_each_day_that_has_rows(
        self, run: Run, store: ObjectStore, asset: Any, name: str
    ) -> None:
        result = run(asset, "2024-01-01", "2024-01-05")
        assert stored_days(store, name) == [FIRST, date(2024, 1, 2), date(2024, 1, 4)]
        assert "rows" not in metadata_of(result), "Dagster shows them for each day of the range"
        assert sum(store.read_table(day_path(name, day)).num_rows for day in stored_days(store, name)) == 4
        assert store.read_table(day_path(name, date(2024, 1, 4)))["value"].to_pylist() == [4.0]

    def test_a_day_that_lost_its_rows_loses_its_file_and_others_keep_theirs(
        self, run: Run, store: ObjectStore
    ) -> None:
        run(by_day, "2024-01-01", "2024-01-05")
        ROWS.clear()
        ROWS[date(2024, 1, 3)] = [9.0]
        run(by_day, "2024-01-02", "2024-01-03")
        assert stored_days(store, "iot/readings") == [FIRST, date(2024, 1, 3), date(2024, 1, 4)]

    def test_downstream_reads_its_day_its_range_or_all(self, run: Run, store: ObjectStore) -> None:
        run(by_day, "2024-01-01", "2024-01-05")
        run(same_days, "2024-01-02", "2024-01-02")
        assert seen["same_days"].to_pydict() == {"value": [3.0]}
        run(same_days, "2024-01-02", "2024-01-05")
        assert seen["same_days"].to_pydict() == {"value": [3.0, 4.0]}
        run(same_days, "2024-01-03", "2024-01-03")
        assert seen["same_days"].to_pydict() == {"value": []}
        assert metadata_of(run(whole))["path"] == f"{store.url}/iot/whole.parquet"
        run(after_whole)
        assert seen["after_whole"].equals(readings(FIRST, date(2024, 1, 10)))

    def test_rows_of_another_day_fail_the_run(self, run: Run, store: ObjectStore) -> None:
        @dg.asset(key=["iot", "readings"], **PER_DAY)
        def stray(context: dg.AssetExecutionContext) -> pa.Table:
            return readings(FIRST, date(2024, 1, 10))

        with pytest.raises(StorageError, match="not one of the days of this run"):
            dg.materialize([stray], partition_key="2024-01-02", resources={"parquet_io": _io(store)})

    @pytest.mark.parametrize("wrong", [{"a": [1]}, "rows", 3, [1]])
    def test_what_is_no_table_fails_the_run(self, store: ObjectStore, wrong: Any) -> None:
        @dg.asset(key=["iot", "wrong"], io_manager_key="parquet_io")
        def made() -> Any:
            return wrong

        with pytest.raises(StorageError, match=r"a pyarrow\.Table is required"):
            dg.materialize([made], resources={"parquet_io": _io(store)})
        assert store.list() == []


def _io(store: ObjectStore) -> Any:
    fields = (
        {"s3_bucket": store.bucket, "s3_prefix": store.prefix, "s3_endpoint": store.endpoint}
        if isinstance(store, S3Store)
        else {}
    )
    home = str(store.root.parent) if isinstance(store, LocalStore) else "unused"
    return ParquetIOManager(store=StoreResource(home=home, given=fields))


def test_rows_of_a_day_must_come_whole(local_store: LocalStore) -> None:
    rows = pa.table({"Date": [datetime(2024, 1, 1, 3)]})
    with pytest.raises(StorageError, match="came in two tables"):
        write_days(local_store, "a/b", [rows, rows], [FIRST])


def test_rows_without_a_day_are_refused(local_store: LocalStore) -> None:
    with pytest.raises(StorageError, match="no column Date"):
        write_days(local_store, "a/b", [pa.table({"x": [1]})], [FIRST])
    with pytest.raises(StorageError, match="1 rows without a Date"):
        write_days(local_store, "a/b", [pa.table({"Date": pa.array([None], pa.timestamp("ms"))})], [FIRST])


def test_the_last_millisecond_belongs_to_its_day(local_store: LocalStore) -> None:
    rows = pa.table(
        {
            "Date": pa.array(
                [datetime(2024, 1, 1, 23, 59, 59, 999000), datetime(2024, 1, 2)], pa.timestamp("ms")
            )
        }
    )
    write_days(local_store, "a/b", [stamped(rows, "2")], [FIRST, date(2024, 1, 2)])
    assert read_days(local_store, "a/b", [FIRST], version="2").num_rows == 1
    assert read_days(local_store, "a/b", version="2").equals(rows)


def test_other_objects_beside_the_days_are_not_taken_for_days(local_store: LocalStore) -> None:
    local_store.put_bytes("a/b/notes.txt", b"")
    local_store.put_bytes("a/bc/2024-01-01.parquet", b"")
    local_store.put_bytes(table_path("a/b"), b"")
    assert stored_days(local_store, "a/b") == []
    assert read_days(local_store, "a/b", version="1").num_columns == 0


def test_days_of_another_version_are_refused_with_the_cure(local_store: LocalStore) -> None:
    moment, second = datetime(2024, 1, 1), date(2024, 1, 2)
    write_days(local_store, "a/b", [pa.table({"Date": [moment]})], [FIRST])
    newer = pa.table({"Date": [moment + timedelta(days=1)], "new": [1]})
    write_days(local_store, "a/b", [stamped(newer, "2")], [second])
    assert read_days(local_store, "a/b", [second], version="2")["new"].to_pylist() == [1]
    with pytest.raises(OtherVersionError, match=r"2024-01-01.*code version unknown.*makes 2: `oasis run`"):
        read_days(local_store, "a/b", version="2")
    with pytest.raises(OtherVersionError, match="code version 2, this release makes 3"):
        read_day(local_store, "a/b", second, version="3")
    # a column that the other version has not is no KeyError either
    with pytest.raises(OtherVersionError, match="unknown"):
        read_days(local_store, "a/b", [FIRST], ["new"], version="2")
    # without rows on the days asked for, other versions lend no columns
    assert read_days(local_store, "a/b", [date(2024, 2, 1)], version="3").num_columns == 0
