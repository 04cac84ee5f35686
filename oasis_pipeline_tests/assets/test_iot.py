"""Days of sensor readings: nothing lost, faults flagged, one file a day and type of module."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from oasis_pipeline.assets.common import day_partitions
from oasis_pipeline.assets.graph import READING_ASSETS, build_graph
from oasis_pipeline.assets.iot import (
    BatchConfig,
    RegularConfig,
    implausible,
    reading_faults,
)
from oasis_pipeline.assets.resources import build_resources
from oasis_pipeline.automation.jobs import build_jobs
from oasis_pipeline.automation.schedules import build_schedules
from oasis_pipeline.automation.sensors import (
    ReadingsCursor,
    build_sensors,
    changed_readings,
    due_readings,
)
from oasis_pipeline.automation.staleness import current_plan, next_runs
from oasis_pipeline.operations.reading_days import FLAGS, day_of_readings, wide
from oasis_pipeline.readings.windows import Window, data_batches
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.day_files import read_days
from oasis_pipeline.storage.objects import ObjectStore, open_store
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline.storage.readings import register_modules, store_readings

pytestmark = pytest.mark.server

FIRST, SECOND = date(2026, 3, 1), date(2026, 3, 2)
STEP = timedelta(minutes=15)


def day_rows(module: str, day: date, n: int = 96, seed: int = 0, **columns: Any) -> pa.Table:
    rng = np.random.default_rng([seed, day.toordinal()])
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    power = np.round(5 + np.sin(np.arange(n) / 8) + rng.normal(0, 0.1, n), 4)
    return pa.table(
        {
            "module_num": [module] * n,
            "timestamp": pa.array([begin + i * STEP for i in range(n)], pa.timestamp("us", tz="UTC")),
            "measures": [f'{{"power_w": {p}, "vmppt_v": {p / 2}}}' for p in power.tolist()],
            **columns,
        }
    )


def put(warehouse: Warehouse, *parts: pa.Table, **options: Any) -> None:
    with warehouse.transaction() as tx:
        for part in parts:
            register_modules(tx, part["module_num"].to_pylist())
            store_readings(tx, part, **options)


def typed(warehouse: Warehouse, **types: str) -> None:
    with warehouse.transaction() as tx:
        for module, kind in types.items():
            tx.execute(
                "insert into iot.module (module_num, module_type) values ($1, $2)"
                " on conflict (module_num) do update set module_type = excluded.module_type",
                (module, kind),
            )


class Maker:
    """Makes what is stale, as a pass does."""

    def __init__(self, settings: Settings, warehouse: Warehouse) -> None:
        self.settings, self.warehouse = settings, warehouse
        assets = build_graph(day_partitions(FIRST, date(2026, 3, 9)))
        self.definitions = dg.Definitions(
            assets=assets, resources=build_resources(settings), executor=dg.in_process_executor
        )
        self.job = self.definitions.resolve_implicit_global_asset_job_def()
        self.runs: list[tuple[tuple[str, ...], list[str]]] = []

    def make(self) -> dg.ExecuteInProcessResult | None:
        result = None
        for _ in range(4):
            plan = current_plan(self.warehouse)
            if not plan:
                return result
            for assets, span in next_runs(plan):
                assert span is not None
                self.runs.append((assets, span.keys()))
                result = self.job.execute_in_process(
                    asset_selection=[dg.AssetKey(asset.split("/")) for asset in assets],
                    tags={
                        "dagster/asset_partition_range_start": span.first.isoformat(),
                        "dagster/asset_partition_range_end": span.last.isoformat(),
                    },
                )
                assert result.success
        raise AssertionError("does not settle")


@pytest.fixture
def maker(settings: Settings, warehouse: Warehouse) -> Maker:
    return Maker(settings, warehouse)


@pytest.fixture
def store(settings: Settings) -> ObjectStore:
    return open_store(settings)


def places(rows: pa.Table, flag: str) -> list[int]:
    return np.flatnonzero(rows[flag].to_numpy(zero_copy_only=False)).tolist()


def test_a_day_is_one_file_for_each_type_of_module_and_a_second_pass_makes_nothing(
    maker: Maker, warehouse: Warehouse, store: ObjectStore
) -> None:
    typed(warehouse, a="P-Solar Panel", b="P-AC/DC Input", c="P-Solar Panel")
    put(warehouse, *(day_rows(module, day, seed=ord(module)) for module in "abc" for day in (FIRST, SECOND)))
    maker.make()
    assert maker.runs == [(READING_ASSETS, ["2026-03-01", "2026-03-02"])]
    assert store.list("iot/readings/") == [
        f"iot/readings/{day}/{group}.parquet"
        for day in (FIRST, SECOND)
        for group in ("p-ac-dc-input", "p-solar-panel")
    ]
    rows = read_days(store, "iot/readings", [FIRST], version="1")
    assert rows.num_rows == 3 * 96 * 2
    assert reading_faults(rows) == []
    assert [store.exists(f"{asset}/{FIRST}.parquet") for asset in READING_ASSETS[1:]] == [True] * 3
    maker.make()
    assert len(maker.runs) == 1
    states = ledger.states(warehouse)
    assert states["iot/readings", "2026-03-01"].rows == 3 * 96 * 2


def test_late_readings_make_their_days_again_and_no_other(
    maker: Maker, warehouse: Warehouse, store: ObjectStore
) -> None:
    days = [FIRST + timedelta(days=i) for i in range(4)]
    put(warehouse, *(day_rows("a", day) for day in days))
    maker.make()
    files = {path: store.sha256(path) for path in store.list("iot/")}
    put(warehouse, day_rows("late", days[1], 50), day_rows("late", days[3], 50))
    maker.runs.clear()
    maker.make()
    assert maker.runs == [(READING_ASSETS, [str(days[1])]), (READING_ASSETS, [str(days[3])])]
    changed = {
        path.split("/")[2].removesuffix(".parquet") for path in files if store.sha256(path) != files[path]
    }
    assert changed == {str(days[1]), str(days[3])}
    # the same readings again are no change
    put(warehouse, day_rows("late", days[1], 50))
    assert not current_plan(warehouse)


def test_a_day_that_lost_its_readings_loses_its_files(
    maker: Maker, warehouse: Warehouse, store: ObjectStore
) -> None:
    from oasis_pipeline.storage.readings import mark_readings

    put(warehouse, day_rows("a", FIRST), day_rows("a", SECOND))
    maker.make()
    with warehouse.transaction() as tx:
        tx.execute("delete from iot.rawdata where \"timestamp\" < '2026-03-02T00:00Z'")
        mark_readings(tx, {FIRST: -96})
    maker.make()
    assert {path for path in store.list("iot/") if str(FIRST) in path} == set()
    assert not current_plan(warehouse)


def test_a_module_of_another_type_moves_to_the_other_file_when_its_day_is_made(
    maker: Maker, warehouse: Warehouse, store: ObjectStore
) -> None:
    put(warehouse, day_rows("a", FIRST))
    maker.make()
    assert store.list("iot/readings/") == ["iot/readings/2026-03-01/unknown.parquet"]
    typed(warehouse, a="Radio-2.4 GHz")
    put(warehouse, day_rows("b", FIRST, 10))
    maker.make()
    assert store.list("iot/readings/") == [
        "iot/readings/2026-03-01/radio-2-4-ghz.parquet", "iot/readings/2026-03-01/unknown.parquet"
    ]  # fmt: skip


def test_nothing_is_left_out_and_faults_are_flagged(warehouse: Warehouse) -> None:
    day = day_rows("a", FIRST)
    texts = day["measures"].to_pylist()
    texts[20:40] = ['{"power_w": 5.125, "vmppt_v": 1}'] * 10 + ['{"power_w": 5.125}'] * 10
    texts[60] = '{"power_w": 55, "vmppt_v": 2.5}'
    texts[70] = "{}"
    given = day.set_column(2, "measures", pa.array(texts)).filter(pa.array(np.arange(96) != 80))
    received = datetime(2026, 3, 1, 23, 40, tzinfo=UTC)
    put(warehouse, given, received_at=received)
    rows = day_of_readings(warehouse, FIRST)
    assert reading_faults(rows) == []
    assert pc.count_distinct(rows["timestamp"]).as_py() == 95
    assert pc.sum(pc.is_null(rows["measure"])).as_py() == 1
    power = rows.filter(pc.equal(rows["measure"], "power_w"))
    assert places(power, "stale") == list(range(20, 40))
    assert places(power, "spike") == [60]
    assert places(power, "gap_before") == []
    assert places(power, "future") == [93]  # 23:45, received at 23:40
    assert not any(places(power, name) for name in ("interpolated", "clock_back", "clock_drift"))
    assert power["value"][60].as_py() == 55


def test_a_clock_that_steps_back_is_flagged_in_the_order_of_arrival(warehouse: Warehouse) -> None:
    day = day_rows("a", FIRST, 40)
    order = pa.array([*range(20), *range(30, 40), *range(20, 30)])
    put(warehouse, day.take(order), file_stamp=datetime(2026, 3, 1, 12))
    rows = day_of_readings(warehouse, FIRST)
    stepped = rows.filter(rows["clock_back"])
    assert pc.unique(stepped["timestamp"]).to_pylist() == day["timestamp"].to_pylist()[20:30]


def test_batches_are_those_of_the_data_service(
    maker: Maker, warehouse: Warehouse, store: ObjectStore
) -> None:
    put(warehouse, day_rows("a", FIRST), day_rows("b", FIRST, seed=3))
    maker.make()
    found = read_days(store, "iot/databatch", [FIRST], version="1")
    assert set(found["window"].to_pylist()) == {"64", "1h"}
    rows = read_days(store, "iot/readings", [FIRST], version="1")
    for module in ("a", "b"):
        readings = wide(rows.filter(pc.equal(rows["module_num"], module)))
        for window in ("64", "1h"):
            (same,) = (
                data_batches([readings], Window.parse(window), frequency=True) if window == "64" else (None,)
            )
            if same is not None:
                mine = found.filter(
                    pc.and_(pc.equal(found["module_num"], module), pc.equal(found["window"], window))
                )
                assert mine.equals(same.to_arrow(module))
    hours = found.filter(pc.equal(found["window"], "1h"))
    assert hours.num_rows == 2 * 24 * 2
    assert set(hours["readings"].to_pylist()) == {4}


def test_the_profile_tells_what_the_day_was_like_and_shows_it(
    maker: Maker, warehouse: Warehouse, store: ObjectStore
) -> None:
    put(warehouse, day_rows("a", FIRST).filter(pa.array((np.arange(96) < 30) | (np.arange(96) > 50))))
    result = maker.make()
    assert result is not None
    profile = read_days(store, "iot/profile", [FIRST], version="1").to_pylist()
    assert [row["measure"] for row in profile] == ["power_w", "vmppt_v"]
    assert profile[0]["readings"] == 75
    assert profile[0]["usual_step_s"] == 900
    assert profile[0]["longest_gap_s"] == 22 * 900
    assert profile[0]["coverage_pct"] == pytest.approx(100 * 75 / 96)
    assert profile[0]["gap_before_pct"] == pytest.approx(100 / 75)
    (event,) = [
        e for e in result.get_asset_materialization_events()
        if e.asset_key == dg.AssetKey(["iot", "profile"])
    ]  # fmt: skip
    assert "data:image/png" in event.materialization.metadata["most_flagged"].value


def test_regular_series_say_how_each_value_came_to_be(
    maker: Maker, warehouse: Warehouse, store: ObjectStore
) -> None:
    kept = (np.arange(96) != 10) & ((np.arange(96) < 30) | (np.arange(96) > 50))
    put(warehouse, day_rows("a", FIRST).filter(pa.array(kept)))
    maker.make()
    rows = read_days(store, "iot/regular", [FIRST], version="1")
    assert rows.num_rows == 2 * 96
    power = rows.filter(pc.equal(rows["measure"], "power_w"))
    fill = power["fill"].to_pylist()
    assert fill[10] == "linear"
    assert fill[30:51] == ["missing"] * 21
    assert fill.count("measured") == 74
    values = power["value"].to_pylist()
    assert values[10] == pytest.approx((values[9] + values[11]) / 2)
    assert set(power["step"].to_pylist()) == {"15min"}


def test_rows_out_of_order_repeated_or_impossible_are_faults(warehouse: Warehouse) -> None:
    put(warehouse, day_rows("a", FIRST, 5, temperature=[20.0, 400, None, 1, 2]))
    rows = day_of_readings(warehouse, FIRST)
    assert reading_faults(rows) == []
    assert reading_faults(rows.take([1, 0])) == ["rows are repeated or not in order"]
    assert reading_faults(rows.take([0, 0])) == ["rows are repeated or not in order"]
    assert reading_faults(rows.drop_columns("stale"))[0].startswith("columns are")
    assert implausible(rows) == ["temperature of a"]


@pytest.mark.parametrize("text", ["7min", "64", "2d", "much"])
def test_a_step_that_does_not_divide_the_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must divide the day|not a valid window"):
        RegularConfig(step=text)
    assert BatchConfig(windows=["900s"]).windows == ["15min"]


class TestSensor:
    """What the sensor of readings asks for, tick by tick."""

    def test_late_days_are_asked_for_once_in_bounded_numbers(self, warehouse: Warehouse) -> None:
        days = [FIRST + timedelta(days=i) for i in range(40)]
        put(warehouse, *(day_rows("a", day, 2) for day in days))
        states, cursor = ledger.states(warehouse), ReadingsCursor()
        first = due_readings(states, cursor, 1000.0)
        assert first == [str(day) for day in days[10:]]
        cursor = ReadingsCursor.parse(str(cursor))
        assert due_readings(states, cursor, 1030.0) == [str(day) for day in days[:10]]
        # what failed, or is still running, is not asked for again however long it stays stale
        assert due_readings(states, cursor, 1e9) == []

    def test_a_day_that_goes_on_changing_is_asked_for_now_and_then(self, warehouse: Warehouse) -> None:
        cursor, asked = ReadingsCursor(), []
        for minute in range(30):
            put(warehouse, day_rows("a", FIRST, 2 + minute))
            asked += [minute for _ in due_readings(ledger.states(warehouse), cursor, 60.0 * minute + 1000)]
        assert asked == [0, 10, 20]

    def test_changes_are_recorded_once(self, warehouse: Warehouse) -> None:
        put(warehouse, day_rows("a", FIRST, 2), day_rows("a", SECOND, 3))
        cursor = ReadingsCursor()
        events = changed_readings(ledger.states(warehouse), cursor)
        assert [(e.asset_key.path, e.partition) for e in events] == [
            (["iot", "module"], None), (["iot", "rawdata"], "2026-03-01"), (["iot", "rawdata"], "2026-03-02")
        ]  # fmt: skip
        assert changed_readings(ledger.states(warehouse), cursor) == []
        put(warehouse, day_rows("a", SECOND, 4))
        assert [e.partition for e in changed_readings(ledger.states(warehouse), cursor)] == ["2026-03-02"]

    def test_nothing_is_asked_for_without_readings(self, warehouse: Warehouse, tmp_path: Path) -> None:
        with warehouse.transaction() as tx:
            ledger.mark_changed(tx, "xspoc/card", {"2026-03-01": 5})
        assert due_readings(ledger.states(warehouse), ReadingsCursor(), 0.0) == []
        assert not {asset for assets, _ in next_runs(current_plan(warehouse)) for asset in assets} & set(
            READING_ASSETS
        )

    def test_a_tick_asks_for_the_days_that_changed_and_records_them(
        self, settings: Settings, warehouse: Warehouse
    ) -> None:
        (sensor,) = [each for each in build_sensors(build_jobs()) if each.name == "stale_readings"]
        (schedule,) = [each for each in build_schedules(build_jobs()) if each.name == "daily_readings"]
        put(warehouse, day_rows("a", FIRST, 4), day_rows("a", SECOND, 4), day_rows("a", date(2026, 3, 5), 4))
        with dg.DagsterInstance.ephemeral() as instance:
            resource = build_resources(settings)["warehouse"]

            def tick(cursor: str | None) -> Any:
                # left open, it would leave a storage of this instance behind for all later tests
                with dg.build_sensor_context(
                    instance, cursor=cursor, resources={"warehouse": resource}
                ) as context:
                    return sensor(context)

            first = tick(None)
            assert [
                (r.tags["dagster/asset_partition_range_start"], r.tags["dagster/asset_partition_range_end"])
                for r in first.run_requests
            ] == [("2026-03-01", "2026-03-02"), ("2026-03-05", "2026-03-05")]
            assert {key.to_user_string() for key in first.run_requests[0].asset_selection} == set(
                READING_ASSETS
            )
            assert len(first.asset_events) == 4
            second = tick(first.cursor)
            assert (second.run_requests, second.asset_events) == ([], [])
            assert second.skip_reason.skip_message.startswith("no day of readings is stale")
            for day, asked in (
                (datetime(2026, 3, 6, tzinfo=UTC), True),
                (datetime(2026, 3, 7, tzinfo=UTC), False),
            ):
                with dg.build_schedule_context(
                    instance,
                    scheduled_execution_time=day.replace(minute=20),
                    resources={"warehouse": resource},
                ) as context:
                    found = schedule(context)
                assert isinstance(found, dg.RunRequest) is asked


def test_every_flag_has_a_column() -> None:
    assert len(FLAGS) == len(set(FLAGS)) == 7
